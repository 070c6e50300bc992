//! One batch or one chain: sets aside what is no command, holds back what has to wait, applies the rest, answers,
//! settles.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use backoff::{ExponentialBuilder, Retryable};
use protocol::id::OperationId;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use tokio::sync::{RwLock, watch};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::accepted::Accepted;
use crate::apply;
use crate::broker::delivery::{Item, LogView, Reading, Ticket};
use crate::broker::first_effect::{FirstEffects, Order};
use crate::broker::held::{Held, RETRY};
use crate::broker::replies::Replies;
use crate::broker::settled::RecentlySettled;
use crate::broker::soundness::Soundness;
use crate::clock::Clock;
use crate::disposition::Ending;
use crate::store::{Class, DeadMessage, SettledCopy, Store, StoreError};

/// How many attempts that ended in a crash prove it.
const CRASHES_PROVE: u32 = 3;
/// How long a batch is retried while the database is away, before it is handed back.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(3);

/// What a batch needs.
pub(crate) struct Work {
    pub(crate) store: Store,
    pub(crate) replies: Replies,
    pub(crate) soundness: Soundness,
    /// The connection on which the log was last found sound.
    pub(crate) sound: watch::Receiver<u64>,
    pub(crate) log: LogView,
    pub(crate) clock: Clock,
    pub(crate) policy: OwnershipPolicy,
    pub(crate) settled: RecentlySettled,
    pub(crate) first_effects: FirstEffects,
    /// Read by whatever is applied, written by a suspect: it is alone in this process, so that a crash is its own.
    pub(crate) alone: RwLock<()>,
    /// The most commands in one transaction.
    pub(crate) batch: usize,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(crate) struct WorkEnd {
    /// The sequences that are settled now.
    pub(crate) settled: Vec<u64>,
    /// What waits for a predecessor, and from when on the predecessor is brought along.
    pub(crate) held: Vec<(Item, Instant)>,
    /// The database is away: what was in the batch was handed back.
    pub(crate) outage: bool,
}

impl Work {
    /// Applies deliveries of one lane. Those whose predecessor is not settled are held.
    pub(crate) async fn batch(self: Arc<Self>, items: Vec<Item>) -> WorkEnd {
        let mut end = match self.unsettled_predecessors(&items).await {
            Ok(missing) => self.carry_out(items, missing).await,
            Err(error) => self.outage(items, &error),
        };
        let now = Instant::now();
        for (item, due) in &mut end.held {
            *due = Held::due(item.ticket.as_ref().map_or(Lane::Bulk, |ticket| ticket.lane), now);
        }
        end
    }

    /// Applies the held commands of one chain together with the predecessors that they still lack.
    pub(crate) async fn chain(self: Arc<Self>, items: Vec<Item>) -> WorkEnd {
        let mut items = items;
        // What was delivered may have failed because of the predecessor that it brought along.
        let suspect = items.iter().any(|item| item.suspect);
        match self.fetch_predecessors(&mut items).await {
            Ok(missing) => {
                for fetched in items.iter_mut().filter(|item| item.ticket.is_none()) {
                    fetched.suspect = suspect;
                }
                let order = Order::of(&items);
                let end = self.carry_out(items, missing).await;
                if !end.outage {
                    self.first_effects(&order, end.held.iter().map(|(item, _)| item)).await;
                }
                end
            }
            Err(error) => self.outage(items, &error),
        }
    }

    /// Gives deliveries back to the broker.
    pub(crate) async fn hand_back(&self, items: Vec<Item>, ending: Ending) {
        for ticket in items.into_iter().filter_map(|item| item.ticket) {
            self.replies.settle(ticket, ending).await;
        }
    }

    /// Gives deliveries back to the broker, in a task of its own.
    pub(crate) fn hand_back_soon(&self, items: Vec<Item>, ending: Ending) {
        self.settle_later(items.into_iter().filter_map(|item| item.ticket).collect(), ending);
    }

    /// The predecessors that are neither in the batch nor known to be settled.
    async fn unsettled_predecessors(&self, items: &[Item]) -> Result<HashSet<u64>, StoreError> {
        let own: HashSet<u64> = items.iter().map(Item::sequence).collect();
        let predecessors = items.iter().map(|item| item.logged.predecessor);
        let open = |sequence: &u64| *sequence != 0 && !own.contains(sequence) && !self.settled.contains(*sequence);
        let mut missing: HashSet<u64> = predecessors.filter(open).collect();
        if !missing.is_empty() {
            let asked: Vec<u64> = missing.iter().copied().collect();
            let settled = self.store.settled(&asked).await?;
            missing.retain(|sequence| !settled.contains(sequence));
            self.settled.remember(settled);
        }
        Ok(missing)
    }

    /// Settles everything whose predecessors are settled or among the items, in sequence order.
    async fn carry_out(&self, items: Vec<Item>, mut missing: HashSet<u64>) -> WorkEnd {
        let mut end = WorkEnd::default();
        let commands = match self.set_aside(items, &mut missing, &mut end.settled).await {
            Ok(commands) => commands,
            Err((left, error)) => return self.outage(left, &error),
        };
        let (ready, held) = hold_back(commands, missing);
        self.first_effects_before_suspects(&ready).await;
        let later = Instant::now() + RETRY;
        end.held = held.into_iter().map(|item| (item, later)).collect();
        let mut segments = segments(ready, self.batch).into_iter();
        while let Some(segment) = segments.next() {
            match self.apply_segment(segment).await {
                Ok(settled) => end.settled.extend(settled),
                Err(class) => {
                    end.outage = class != Class::Renumber;
                    self.hand_back(segments.by_ref().flatten().collect(), Ending::Outage).await;
                }
            }
        }
        self.settled.remember(end.settled.iter().copied());
        end
    }

    /// Settles what is no command: late copies and unreadable messages by their sequence; what is too new goes to a
    /// newer worker, and what comes after it in its chain waits.
    async fn set_aside(
        &self,
        items: Vec<Item>,
        missing: &mut HashSet<u64>,
        settled: &mut Vec<u64>,
    ) -> Result<Vec<Item>, (Vec<Item>, StoreError)> {
        let (commands, others): (Vec<Item>, Vec<Item>) =
            items.into_iter().partition(|item| matches!(item.logged.reading, Reading::Command(_)));
        let (too_new, aside): (Vec<Item>, Vec<Item>) =
            others.into_iter().partition(|item| matches!(item.logged.reading, Reading::TooNew(_)));
        missing.extend(too_new.iter().map(Item::sequence));
        for item in &too_new {
            if let Reading::TooNew(version) = item.logged.reading {
                warn!(
                    sequence = item.sequence(),
                    version, "a message is too new for this worker; it waits for a newer one"
                );
            }
        }
        self.hand_back(too_new, Ending::TooNew).await;
        if let Err(error) = self.record_aside(&aside).await {
            return Err((commands.into_iter().chain(aside).collect(), error));
        }
        for item in aside {
            settled.push(item.sequence());
            let ending = match &item.logged.reading {
                Reading::Late(late) => {
                    self.replies.late(late).await;
                    Ending::Settled
                }
                Reading::Command(_) | Reading::TooNew(_) | Reading::Unreadable { .. } => Ending::Dead,
            };
            if let Some(ticket) = item.ticket {
                self.replies.settle(ticket, ending).await;
            }
        }
        Ok(commands)
    }

    async fn record_aside(&self, aside: &[Item]) -> Result<(), StoreError> {
        let late =
            |item: &Item| if let Reading::Late(late) = &item.logged.reading { Some(late.copy.clone()) } else { None };
        let copies: Vec<SettledCopy> = aside.iter().filter_map(late).collect();
        let dead: Vec<DeadMessage> = aside.iter().filter_map(unreadable).collect();
        let now = self.clock.now();
        if !copies.is_empty() {
            warn!(copies = copies.len(), "copies were stored after their attempts had ended; they are not applied");
            self.store.settle_copies(&copies, now).await?;
        }
        if !dead.is_empty() {
            error!(messages = dead.len(), "messages cannot be decoded; they are dead letters now");
            self.store.bury(&dead, now).await?;
        }
        Ok(())
    }

    /// Applies one run of commands, answers, settles. What could not be applied now is handed back.
    async fn apply_segment(&self, segment: Vec<Item>) -> Result<Vec<u64>, Class> {
        let alone = segment.len() == 1 && segment.first().is_some_and(|item| item.suspect);
        let command = |item: Item| match item.logged.reading {
            Reading::Command(accepted) => Some((*accepted, item.ticket)),
            Reading::Late(_) | Reading::TooNew(_) | Reading::Unreadable { .. } => None,
        };
        let (commands, tickets): (Vec<Accepted>, Vec<Option<Ticket>>) = segment.into_iter().filter_map(command).unzip();
        let applied = match commands.as_slice() {
            [suspect] if alone => {
                let _alone = self.alone.write().await;
                self.apply_suspect(suspect).await
            }
            commands => {
                let _together = self.alone.read().await;
                self.apply(commands).await
            }
        };
        match applied {
            Ok(endings) => {
                self.answer_and_settle(&commands, tickets, endings).await;
                Ok(commands.iter().map(|command| command.sequence).collect())
            }
            Err(failure) => {
                warn!(error = %chain(&failure), commands = commands.len(), "not applied now, handing back");
                if failure.class() == Class::Renumber {
                    self.renumber().await;
                }
                self.settle_later(tickets.into_iter().flatten().collect(), Ending::Outage);
                Err(failure.class())
            }
        }
    }

    /// Another message has the number of one that SQL knows: the log lost messages unseen.
    async fn renumber(&self) {
        if let Err(failure) = self.soundness.renumber(self.log.numbering).await {
            warn!(error = %chain(&failure), "the log could not be numbered anew; the next attempt will");
        }
        self.replies.connection.doubt();
    }

    /// Retries while the database is away, with the deliveries kept alive meanwhile.
    async fn apply(&self, commands: &[Accepted]) -> Result<Vec<apply::Ending>, StoreError> {
        let patience = ExponentialBuilder::default()
            .with_jitter()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_millis(500))
            .without_max_times();
        // Attempts take time, too: a limit on the pauses alone would be minutes in all.
        let until = Instant::now() + OUTAGE_PATIENCE;
        let may_pass = |failure: &StoreError| failure.is_unavailable() && Instant::now() < until;
        let attempt = || apply::apply(&self.store, &self.policy, commands, self.clock);
        let applied = attempt.retry(patience).when(may_pass).await?;
        Ok(applied.into_iter().map(|applied| applied.ending).collect())
    }

    /// Applies a command that may crash this worker: the attempt is on record before it begins.
    async fn apply_suspect(&self, command: &Accepted) -> Result<Vec<apply::Ending>, StoreError> {
        let operation = command.envelope.operation;
        if self.store.knows(operation).await? {
            return self.apply(std::slice::from_ref(command)).await;
        }
        let attempts = self.store.record_attempt(operation, self.clock.now()).await?;
        if attempts > CRASHES_PROVE {
            let reason = format!("{CRASHES_PROVE} attempts to apply it ended in a crash");
            error!(%operation, attempts, "operation {operation} crashes workers; it is a dead letter now");
            let dead = DeadMessage::Command { accepted: Box::new(command.clone()), reason: reason.clone() };
            let ending = apply::Ending::Dead(reason);
            self.store.bury(&[dead], self.clock.now()).await?;
            return Ok(vec![ending]);
        }
        let endings = self.apply(std::slice::from_ref(command)).await;
        // Also after an outage: this process lives, so the attempt did not end in a crash.
        if let Err(failure) = self.store.clear_attempts(operation).await {
            warn!(%operation, error = %chain(&failure), "an attempt that was no crash is on record, until it can be taken off");
            tokio::spawn(clear_in_time(self.store.clone(), operation));
        }
        endings
    }

    /// After the commit, never before it.
    async fn answer_and_settle(
        &self,
        commands: &[Accepted],
        tickets: Vec<Option<Ticket>>,
        endings: Vec<apply::Ending>,
    ) {
        for ((command, ticket), ending) in commands.iter().zip(tickets).zip(endings) {
            let operation = command.envelope.operation;
            let (outcome, settled) = match ending {
                apply::Ending::Answered(outcome) => (Some(outcome), Ending::Settled),
                apply::Ending::Dead(_) => (Some(Outcome::dead_letter(command.sequence)), Ending::Dead),
                apply::Ending::Committed => (None, Ending::Settled),
            };
            if let Some(outcome) = outcome {
                self.replies.answer(&command.envelope.ingress, operation, outcome).await;
            }
            if let Some(ticket) = ticket {
                self.replies.settle(ticket, settled).await;
            }
        }
    }

    fn outage(&self, items: Vec<Item>, error: &StoreError) -> WorkEnd {
        warn!(error = %chain(error), messages = items.len(), "the database is away, handing back");
        self.hand_back_soon(items, Ending::Outage);
        WorkEnd { outage: true, ..WorkEnd::default() }
    }

    fn settle_later(&self, tickets: Vec<Ticket>, ending: Ending) {
        let replies = self.replies.clone();
        tokio::spawn(async move {
            for ticket in tickets {
                replies.settle(ticket, ending).await;
            }
        });
    }
}

/// The database is away; as soon as it is back, an attempt that was no crash is taken off the record. There are never
/// more of these than there are suspects.
async fn clear_in_time(store: Store, operation: OperationId) {
    while store.clear_attempts(operation).await.is_err() {
        tokio::time::sleep(RETRY).await;
    }
}

/// Splits commands into those that can be applied now, in order, and those that wait, directly or not, for a missing
/// predecessor.
fn hold_back(mut commands: Vec<Item>, mut missing: HashSet<u64>) -> (Vec<Item>, Vec<Item>) {
    commands.sort_unstable_by_key(Item::sequence);
    commands.into_iter().partition(|item| {
        let waits = missing.contains(&item.logged.predecessor);
        if waits {
            missing.insert(item.sequence());
        }
        !waits
    })
}

/// Runs of at most so many commands that keep the order and in which every suspect is alone.
fn segments(commands: Vec<Item>, most: usize) -> Vec<Vec<Item>> {
    let mut segments: Vec<Vec<Item>> = Vec::new();
    let mut after_suspect = true;
    for item in commands {
        let suspect = item.suspect;
        match segments.last_mut() {
            Some(segment) if !suspect && !after_suspect && segment.len() < most => segment.push(item),
            Some(_) | None => segments.push(vec![item]),
        }
        after_suspect = suspect;
    }
    segments
}

fn unreadable(item: &Item) -> Option<DeadMessage> {
    let Reading::Unreadable { raw, workspace, reason } = &item.logged.reading else { return None };
    let (raw, workspace, reason) = (raw.clone(), workspace.clone(), reason.clone());
    Some(DeadMessage::Unreadable { sequence: item.sequence(), workspace, raw, reason })
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::samples::{command, sequences};

    #[test]
    fn what_follows_a_missing_predecessor_waits_with_everything_behind_it() {
        let commands = vec![command(1, 9, 8), command(1, 8, 3), command(2, 7, 0), command(3, 5, 4)];
        let (ready, held) = hold_back(commands, HashSet::from([3]));
        assert_eq!(sequences(&ready), [5, 7]);
        assert_eq!(sequences(&held), [8, 9]);
    }

    #[test]
    fn ready_commands_come_in_the_order_of_the_log() {
        let (ready, held) = hold_back(vec![command(1, 9, 8), command(2, 3, 0), command(1, 8, 0)], HashSet::new());
        assert_eq!(sequences(&ready), [3, 8, 9]);
        assert!(held.is_empty());
    }

    #[test]
    fn a_run_is_as_long_as_a_batch_and_a_suspect_is_alone() {
        let commands = |suspect: u64| {
            let mut commands: Vec<Item> = (1..=5).map(|sequence| command(1, sequence, sequence - 1)).collect();
            for item in &mut commands {
                item.suspect = item.sequence() == suspect;
            }
            commands
        };
        let runs =
            |suspect, most| segments(commands(suspect), most).iter().map(|run| sequences(run)).collect::<Vec<_>>();
        assert_eq!(runs(0, 256), [vec![1, 2, 3, 4, 5]]);
        assert_eq!(runs(0, 2), [vec![1, 2], vec![3, 4], vec![5]]);
        assert_eq!(runs(3, 256), [vec![1, 2], vec![3], vec![4, 5]]);
        assert!(segments(Vec::new(), 256).is_empty());
    }
}
