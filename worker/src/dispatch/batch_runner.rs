//! One batch or one chain: sets aside what is no command, holds back what has to wait, applies the rest, answers,
//! settles.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::message::lane::Lane;
use protocol::message::operator::DeadCause;
use protocol::ownership::OwnershipPolicy;
use runtime::clock::Clock;
use runtime::telemetry::error_chain;
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;
use tracing::{error, warn};

use crate::apply::Parked;
use crate::dispatch::failures::Failures;
use crate::dispatch::first_effect::Order;
use crate::dispatch::held::{Held, RETRY};
use crate::dispatch::recent_sequences::RecentSequences;
use crate::log::Log;
use crate::log::acknowledge::Settlement;
use crate::log::delivery::{Content, Delivery};
use crate::metrics::METRICS;
use crate::rpc::outcomes;
use crate::store::{Class, CopyReason, DeadMessage, SettledCopy, Store, StoreError, to_u64};

/// What a batch needs.
pub(crate) struct BatchRunner {
    pub(crate) store: Store,
    pub(crate) log: Log,
    pub(crate) clock: Clock,
    pub(crate) policy: OwnershipPolicy,
    /// Lately seen settled.
    pub(crate) settled: RecentSequences,
    pub(crate) failures: Failures,
    /// The commands that have their first effect, now or since earlier, or cannot have one.
    pub(crate) first_effects: RecentSequences,
    /// Held by the task that gives first effects beside the batches, so that they take one connection at most.
    pub(crate) first_effects_turn: Mutex<()>,
    /// Read by every batch that is applied, written by a suspect: it is alone in this process, so that a crash is its own.
    pub(crate) alone: RwLock<()>,
    /// The most commands in one transaction.
    pub(crate) batch: usize,
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(crate) struct BatchResult {
    /// The sequences that are settled now.
    pub(crate) settled: Vec<u64>,
    /// What waits for a predecessor, and from when on the predecessor is brought along.
    pub(crate) held: Vec<(Delivery, Instant)>,
    /// What cannot be applied now, and why; it is tried again by itself.
    pub(crate) parked: Vec<(Delivery, Parked)>,
    /// The database is away: what was in the batch was handed back.
    pub(crate) outage: bool,
}

impl BatchRunner {
    /// Applies deliveries of one lane. Those whose predecessor is not settled are held.
    pub(crate) async fn batch(self: Arc<Self>, deliveries: Vec<Delivery>) -> BatchResult {
        let began = Instant::now();
        let missing = self.unsettled_predecessors(&deliveries).await;
        METRICS.batch_duration.observe(["predecessors"], began.elapsed().as_secs_f64());
        let mut end = match missing {
            Ok(missing) => self.carry_out(deliveries, missing).await,
            Err(error) => self.not_now(deliveries, &error).await,
        };
        let now = Instant::now();
        for (delivery, due) in &mut end.held {
            *due = Held::due(delivery.lane().unwrap_or(Lane::Bulk), now);
        }
        end
    }

    /// Applies the held commands of one chain together with the predecessors that they still lack.
    pub(crate) async fn chain(self: Arc<Self>, deliveries: Vec<Delivery>) -> BatchResult {
        let mut deliveries = deliveries;
        // What was delivered may have failed because of the predecessor that it brought along.
        let suspect = deliveries.iter().any(|delivery| delivery.suspect);
        match self.fetch_predecessors(&mut deliveries).await {
            Ok(missing) => {
                for fetched in deliveries.iter_mut().filter(|delivery| delivery.ack.is_none()) {
                    fetched.suspect = suspect;
                }
                let order = Order::of(&deliveries);
                let end = self.carry_out(deliveries, missing).await;
                if !end.outage {
                    self.first_effects_soon(&order, &end);
                }
                end
            }
            Err(error) => self.not_now(deliveries, &error).await,
        }
    }

    /// The predecessors that are neither in the batch nor known to be settled.
    async fn unsettled_predecessors(&self, deliveries: &[Delivery]) -> Result<HashSet<u64>, StoreError> {
        let own: HashSet<u64> = deliveries.iter().map(|delivery| delivery.sequence).collect();
        let predecessors = deliveries.iter().map(|delivery| delivery.predecessor);
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

    /// Settles everything whose predecessors are settled or among the deliveries, in sequence order.
    async fn carry_out(&self, deliveries: Vec<Delivery>, missing: HashSet<u64>) -> BatchResult {
        let mut end = BatchResult::default();
        let mut unsettled = Unsettled::of(&deliveries, missing);
        let (commands, others): (Vec<Delivery>, Vec<Delivery>) =
            deliveries.into_iter().partition(|delivery| delivery.command().is_some());
        let (too_new, aside): (Vec<Delivery>, Vec<Delivery>) =
            others.into_iter().partition(|delivery| matches!(delivery.content, Content::TooNew(_)));
        unsettled.add(too_new.iter().map(|delivery| delivery.sequence));
        self.hand_back_too_new(too_new).await;
        let (held, ready) = unsettled.split(commands);
        self.first_effects_before_suspects(&ready).await;
        let later = Instant::now() + RETRY;
        end.held = held.into_iter().map(|delivery| (delivery, later)).collect();
        let mut segments = segments(ready, self.batch).into_iter();
        while let Some(segment) = segments.next() {
            let (behind, segment) = unsettled.split(segment);
            end.held.extend(behind.into_iter().map(|delivery| (delivery, later)));
            match self.apply_segment(segment).await {
                Ok(done) => {
                    unsettled.add(done.parked.iter().map(|(delivery, _)| delivery.sequence));
                    end.settled.extend(done.settled);
                    end.parked.extend(done.parked);
                }
                Err(class) => {
                    end.outage = class != Class::Renumber;
                    self.log.hand_back(segments.by_ref().flatten().chain(aside).collect(), Settlement::Outage).await;
                    self.settled.remember(end.settled.iter().copied());
                    return end;
                }
            }
        }
        let (behind, aside) = unsettled.split(aside);
        self.log.hand_back(behind, Settlement::Crowded).await;
        self.set_aside(aside, &mut end).await;
        self.settled.remember(end.settled.iter().copied());
        end
    }

    /// What is too new goes to a newer worker, and what comes after it in its chain waits.
    async fn hand_back_too_new(&self, deliveries: Vec<Delivery>) {
        for delivery in &deliveries {
            if let Content::TooNew(version) = delivery.content {
                warn!(
                    sequence = delivery.sequence,
                    version, "a message is too new for this worker; it waits for a newer one"
                );
            }
        }
        METRICS.too_new.add(to_u64(deliveries.len()));
        self.log.hand_back(deliveries, Settlement::TooNew).await;
    }

    /// Settles what is no command: late copies and unreadable messages by their sequence. Not before their predecessors:
    /// what comes after them waits for them only.
    async fn set_aside(&self, aside: Vec<Delivery>, end: &mut BatchResult) {
        if let Err(error) = self.record_aside(&aside).await {
            let not_now = self.not_now(aside, &error).await;
            end.outage |= not_now.outage;
            end.parked.extend(not_now.parked);
            return;
        }
        for delivery in aside {
            end.settled.push(delivery.sequence);
            let ending = match &delivery.content {
                Content::Late { notice, ingress } => {
                    outcomes::tell_late(&self.log, ingress, notice).await;
                    Settlement::Settled
                }
                Content::Command(_) | Content::TooNew(_) | Content::Unreadable { .. } => Settlement::Dead,
            };
            if let Some(ack) = delivery.ack {
                self.log.settle(ack, ending).await;
            }
        }
    }

    async fn record_aside(&self, aside: &[Delivery]) -> Result<(), StoreError> {
        let (mut copies, mut dead) = (Vec::new(), Vec::new());
        for Delivery { sequence, workspace, content, .. } in aside {
            let sequence = *sequence;
            match content {
                Content::Late { notice, .. } => {
                    let (reason, operation) = (CopyReason::Late, Some(notice.operation));
                    copies.push(SettledCopy { sequence, reason, workspace: workspace.clone(), operation });
                }
                Content::Unreadable { raw, reason } => {
                    let workspace = workspace.as_ref();
                    let cause = DeadCause::Undecodable;
                    dead.push(DeadMessage { sequence, workspace, command: None, raw, cause, reason });
                }
                Content::Command(_) | Content::TooNew(_) => {}
            }
        }
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

    /// What could not even be looked at. If the database takes writes, only this failed.
    async fn not_now(&self, deliveries: Vec<Delivery>, error: &StoreError) -> BatchResult {
        self.store.doubt_connections();
        let mut end = BatchResult { outage: self.store.probe().await.is_err(), ..BatchResult::default() };
        warn!(error = %error_chain(error), messages = deliveries.len(), outage = end.outage, "deliveries cannot be worked on now");
        if end.outage {
            self.log.hand_back_soon(deliveries, Settlement::Outage);
        } else {
            end.parked = deliveries.into_iter().map(|delivery| (delivery, Parked::Waiting)).collect();
        }
        end
    }
}

/// The sequences that are not settled, and everything among a batch's deliveries that comes after one of them in its chain.
struct Unsettled {
    /// Each delivery's sequence and its predecessor's, in order.
    links: Vec<(u64, u64)>,
    sequences: HashSet<u64>,
}

impl Unsettled {
    fn of(deliveries: &[Delivery], missing: HashSet<u64>) -> Self {
        let mut links: Vec<_> = deliveries.iter().map(|delivery| (delivery.sequence, delivery.predecessor)).collect();
        links.sort_unstable();
        let mut unsettled = Self { links, sequences: missing };
        unsettled.add([]);
        unsettled
    }

    fn add(&mut self, sequences: impl IntoIterator<Item = u64>) {
        self.sequences.extend(sequences);
        for (sequence, predecessor) in &self.links {
            if self.sequences.contains(predecessor) {
                self.sequences.insert(*sequence);
            }
        }
    }

    /// Those that wait, and those that can be settled now, in the order of the log.
    fn split(&self, mut deliveries: Vec<Delivery>) -> (Vec<Delivery>, Vec<Delivery>) {
        deliveries.sort_unstable_by_key(|delivery| delivery.sequence);
        deliveries.into_iter().partition(|delivery| self.sequences.contains(&delivery.sequence))
    }
}

/// Runs of at most so many commands that keep the order and in which every suspect is alone.
fn segments(commands: Vec<Delivery>, most: usize) -> Vec<Vec<Delivery>> {
    let mut segments: Vec<Vec<Delivery>> = Vec::new();
    let mut after_suspect = true;
    for delivery in commands {
        let suspect = delivery.suspect;
        match segments.last_mut() {
            Some(segment) if !suspect && !after_suspect && segment.len() < most => segment.push(delivery),
            Some(_) | None => segments.push(vec![delivery]),
        }
        after_suspect = suspect;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::testing::{command, sequences};

    #[test]
    fn what_follows_a_missing_predecessor_waits_with_everything_behind_it() {
        let commands = vec![command(1, 9, 8), command(1, 8, 3), command(2, 7, 0), command(3, 5, 4)];
        let mut unsettled = Unsettled::of(&commands, HashSet::from([3]));
        let (held, ready) = unsettled.split(commands);
        assert_eq!((sequences(&held), sequences(&ready)), (vec![8, 9], vec![5, 7]));
        unsettled.add([5]);
        assert_eq!(sequences(&unsettled.split(ready).0), [5]);
    }

    #[test]
    fn ready_commands_come_in_the_order_of_the_log() {
        let commands = vec![command(1, 9, 8), command(2, 3, 0), command(1, 8, 0)];
        let (held, ready) = Unsettled::of(&commands, HashSet::new()).split(commands);
        assert_eq!(sequences(&ready), [3, 8, 9]);
        assert!(held.is_empty());
    }

    #[test]
    fn a_run_is_as_long_as_a_batch_and_a_suspect_is_alone() {
        let commands = |suspect: u64| {
            let mut commands: Vec<Delivery> = (1..=5).map(|sequence| command(1, sequence, sequence - 1)).collect();
            for delivery in &mut commands {
                delivery.suspect = delivery.sequence == suspect;
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
