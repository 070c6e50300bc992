//! One run of commands: applied in one transaction, answered, settled; what cannot be applied now is parked.

use std::time::Duration;

use protocol::id::OperationId;
use protocol::message::outcome::Outcome;
use runtime::backoff;
use runtime::telemetry::error_chain;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::accepted::Accepted;
use crate::apply::{self, Parked};
use crate::dispatch::batch_runner::BatchRunner;
use crate::dispatch::held::RETRY;
use crate::log::acknowledge::{Settlement, settle};
use crate::log::delivery::{Item, Logged, Reading, Ticket};
use crate::store::{Class, DeadMessage, Store, StoreError};

/// How many attempts that ended in a crash prove it.
const CRASHES_PROVE: u32 = 3;
/// How long a batch is retried while the database is away, before it is handed back.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(3);

/// What a run came to.
#[derive(Debug, Default)]
pub(super) struct SegmentEnd {
    /// The sequences that are settled now.
    pub(super) settled: Vec<u64>,
    /// What cannot be applied now, and why.
    pub(super) parked: Vec<(Item, Parked)>,
}

/// What is done with a suspect.
enum Attempt {
    /// It was applied already: it crashes no worker any more.
    Needless,
    /// The attempt is on record.
    Recorded,
    /// It has crashed too many workers.
    Condemned(apply::Ending),
}

/// What an item is beside its command.
struct Delivery {
    ticket: Option<Ticket>,
    suspect: bool,
    parkings: u32,
}

impl BatchRunner {
    /// Applies one run of commands, answers, settles. In an outage it is handed back.
    pub(super) async fn apply_segment(&self, segment: Vec<Item>) -> Result<SegmentEnd, Class> {
        let alone = segment.len() == 1 && segment.first().is_some_and(|item| item.suspect);
        let (commands, deliveries): (Vec<Accepted>, Vec<Delivery>) = segment.into_iter().filter_map(split).unzip();
        let again = deliveries.iter().any(|delivery| delivery.parkings > 0);
        let applied = match commands.as_slice() {
            [] => return Ok(SegmentEnd::default()),
            [suspect] if alone => {
                let _alone = self.alone.write().await;
                self.apply_suspect(suspect, again).await
            }
            commands => {
                let _together = self.alone.read().await;
                self.apply(commands, again).await
            }
        };
        match applied {
            Ok(mut endings) => {
                self.condemn(&commands, &mut endings).await;
                Ok(self.answer_and_settle(commands, deliveries, endings).await)
            }
            Err(failure) => {
                warn!(error = %error_chain(&failure), commands = commands.len(), "not applied now, handing back");
                if failure.class() == Class::Renumber {
                    self.renumber().await;
                }
                let tickets = deliveries.into_iter().filter_map(|delivery| delivery.ticket).collect();
                self.settle_later(tickets, Settlement::Outage);
                Err(failure.class())
            }
        }
    }

    /// Another message has the number of one that SQL knows: the log lost messages unseen.
    async fn renumber(&self) {
        if let Err(failure) = self.consistency.renumber(self.log.numbering).await {
            warn!(error = %error_chain(&failure), "the log could not be renumbered; the next attempt will");
        }
        self.outcomes.connection.doubt();
    }

    /// Retries while the database is away, with the deliveries kept alive meanwhile. `again` if some were parked before.
    async fn apply(&self, commands: &[Accepted], again: bool) -> Result<Vec<apply::Ending>, StoreError> {
        let mut pauses = backoff::delays(Duration::from_millis(20), Duration::from_millis(500));
        // Attempts take time, too: a limit on the pauses alone would be minutes in all.
        let until = Instant::now() + OUTAGE_PATIENCE;
        loop {
            let applied = if again {
                apply::apply_parked(&self.store, &self.policy, commands, self.clock).await
            } else {
                apply::apply(&self.store, &self.policy, commands, self.clock).await
            };
            let failure = match applied {
                Ok(applied) => return Ok(applied.into_iter().map(|applied| applied.ending).collect()),
                Err(failure) => failure,
            };
            if failure.class() == Class::Locked && self.store.probe().await.is_ok() {
                return Ok(vec![apply::Ending::Parked(Parked::Locked); commands.len()]);
            }
            let pause = pauses.next().filter(|_| failure.is_unavailable() && Instant::now() < until);
            let Some(pause) = pause else { return Err(failure) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Applies a command that may crash this worker: the attempt is on record before it begins.
    async fn apply_suspect(&self, command: &Accepted, again: bool) -> Result<Vec<apply::Ending>, StoreError> {
        let operation = command.envelope.operation;
        let recorded = match self.begin_attempt(command).await {
            Ok(Attempt::Needless) => false,
            Ok(Attempt::Recorded) => true,
            Ok(Attempt::Condemned(dead)) => return Ok(vec![dead]),
            Err(failure) => return Ok(vec![self.park_suspect(operation, failure).await?]),
        };
        let endings = self.apply(std::slice::from_ref(command), again).await;
        if !recorded {
            return endings;
        }
        // Also after an outage: this process lives, so the attempt did not end in a crash.
        if let Err(failure) = self.store.clear_attempts(operation).await {
            warn!(%operation, error = %error_chain(&failure), "an attempt that was no crash is on record, until it can be taken off");
            tokio::spawn(clear_in_time(self.store.clone(), operation));
        }
        endings
    }

    async fn begin_attempt(&self, command: &Accepted) -> Result<Attempt, StoreError> {
        let operation = command.envelope.operation;
        if self.store.knows(operation).await? {
            return Ok(Attempt::Needless);
        }
        let attempts = self.store.record_attempt(operation, self.clock.now()).await?;
        if attempts <= CRASHES_PROVE {
            return Ok(Attempt::Recorded);
        }
        let dead = self.bury(command, format!("{CRASHES_PROVE} attempts to apply it ended in a crash")).await?;
        error!(%operation, attempts, "operation {operation} crashes workers; it is a dead letter now");
        Ok(Attempt::Condemned(dead))
    }

    /// A suspect whose attempt cannot be put on record waits with its resource only, unless the database is away. One that
    /// answers that another transaction has a lock is not.
    async fn park_suspect(&self, operation: OperationId, failure: StoreError) -> Result<apply::Ending, StoreError> {
        let is_locked = failure.class() == Class::Locked;
        if !is_locked {
            self.store.doubt_connections();
        }
        match self.store.probe().await {
            Err(probe) if probe.class() != Class::Locked => Err(failure.outage()),
            Ok(()) | Err(_) => {
                warn!(%operation, error = %error_chain(&failure), "operation {operation} may crash workers and cannot be tried now");
                Ok(apply::Ending::Parked(if is_locked { Parked::Locked } else { Parked::Waiting }))
            }
        }
    }

    /// Makes dead letters of the commands that have failed by themselves too often.
    async fn condemn(&self, commands: &[Accepted], endings: &mut [apply::Ending]) {
        for (command, ending) in commands.iter().zip(endings.iter()) {
            match ending {
                apply::Ending::Answered(_) => {
                    self.failures.applied(command.envelope.operation, command.envelope.resource_type);
                }
                apply::Ending::Dead(_) | apply::Ending::Committed => self.failures.forget(command.envelope.operation),
                apply::Ending::Parked(_) => {}
            }
        }
        for (command, ending) in commands.iter().zip(endings) {
            let apply::Ending::Parked(Parked::Failed(reason)) = ending else { continue };
            let (operation, resource_type) = (command.envelope.operation, command.envelope.resource_type);
            if !self.failures.failed(operation, resource_type, Instant::now()) {
                continue;
            }
            match self.bury(command, format!("it fails while others are applied: {reason}")).await {
                Ok(dead) => {
                    error!(%operation, reason, "operation {operation} fails while others are applied; it is a dead letter now");
                    self.failures.forget(operation);
                    *ending = dead;
                }
                Err(failure) => {
                    warn!(%operation, error = %error_chain(&failure), "a dead letter cannot be written now");
                }
            }
        }
    }

    async fn bury(&self, command: &Accepted, reason: String) -> Result<apply::Ending, StoreError> {
        let dead = DeadMessage::Command { accepted: Box::new(command.clone()), reason: reason.clone() };
        self.store.bury(&[dead], self.clock.now()).await?;
        Ok(apply::Ending::Dead(reason))
    }

    /// After the commit, never before it.
    async fn answer_and_settle(
        &self,
        commands: Vec<Accepted>,
        deliveries: Vec<Delivery>,
        endings: Vec<apply::Ending>,
    ) -> SegmentEnd {
        let mut end = SegmentEnd::default();
        for ((command, delivery), ending) in commands.into_iter().zip(deliveries).zip(endings) {
            let operation = command.envelope.operation;
            let (outcome, settled) = match ending {
                apply::Ending::Answered(outcome) => (Some(outcome), Settlement::Settled),
                apply::Ending::Dead(_) => (Some(Outcome::dead_letter(command.sequence)), Settlement::Dead),
                apply::Ending::Committed => (None, Settlement::Settled),
                apply::Ending::Parked(parked) => {
                    end.parked.push((join(command, delivery), parked));
                    continue;
                }
            };
            end.settled.push(command.sequence);
            let trace = command.envelope.trace.as_deref();
            debug!(%operation, trace, sequence = command.sequence, kind = command.envelope.body.kind(), "settled");
            if let Some(outcome) = outcome {
                self.outcomes.answer(&command.envelope.ingress, operation, outcome).await;
            }
            if let Some(ticket) = delivery.ticket {
                settle(&self.outcomes.connection, ticket, settled).await;
            }
        }
        end
    }
}

fn split(item: Item) -> Option<(Accepted, Delivery)> {
    let Item { logged, ticket, suspect, parkings } = item;
    match logged.reading {
        Reading::Command(accepted) => Some((*accepted, Delivery { ticket, suspect, parkings })),
        Reading::Late(_) | Reading::TooNew(_) | Reading::Unreadable { .. } => None,
    }
}

fn join(command: Accepted, delivery: Delivery) -> Item {
    let (sequence, predecessor, accepted_at) = (command.sequence, command.predecessor, command.accepted_at);
    let logged = Logged { sequence, predecessor, accepted_at, reading: Reading::Command(Box::new(command)) };
    let Delivery { ticket, suspect, parkings } = delivery;
    Item { logged, ticket, suspect, parkings }
}

/// The database is away; as soon as it is back, an attempt that was no crash is taken off the record. There are never
/// more of these than there are suspects.
async fn clear_in_time(store: Store, operation: OperationId) {
    while store.clear_attempts(operation).await.is_err() {
        tokio::time::sleep(RETRY).await;
    }
}
