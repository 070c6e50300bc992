//! One run of commands: applied in one transaction, answered, settled; what cannot be applied now is parked.

use std::time::Duration;

use protocol::id::OperationId;
use protocol::message::lane::Lane;
use protocol::message::operator::DeadCause;
use protocol::message::outcome::Outcome;
use runtime::backoff;
use runtime::telemetry::error_chain;
use tokio::time::Instant;
use tracing::{debug, error, warn};

use crate::accepted::Accepted;
use crate::apply::{self, Ending, Parked};
use crate::dispatch::batch_runner::{BatchResult, BatchRunner};
use crate::dispatch::held::RETRY;
use crate::log::acknowledge::Settlement;
use crate::log::delivery::Delivery;
use crate::metrics::METRICS;
use crate::rpc::outcomes;
use crate::store::{Class, DeadMessage, Store, StoreError};

/// How many attempts that ended in a crash prove it.
const CRASHES_PROVE: u32 = 3;
/// How long a batch is retried while the database is away, before it is handed back.
const OUTAGE_PATIENCE: Duration = Duration::from_secs(3);

/// What is done with a suspect.
enum Attempt {
    /// It was applied already: it crashes no worker any more.
    Needless,
    /// The attempt is on record.
    Recorded,
    /// It has crashed too many workers.
    Condemned(Ending),
}

impl BatchRunner {
    /// Applies one run of commands, answers, settles. In an outage it is handed back.
    pub(super) async fn apply_segment(&self, segment: Vec<Delivery>) -> Result<BatchResult, Class> {
        let commands: Vec<&Accepted> = segment.iter().filter_map(Delivery::command).collect();
        let again = segment.iter().any(|delivery| delivery.parkings > 0);
        let began = Instant::now();
        let applied = match segment.as_slice() {
            [] => return Ok(BatchResult::default()),
            [suspect] if suspect.suspect => {
                let _alone = self.alone.write().await;
                self.apply_suspect(&commands, again).await
            }
            _ => {
                let _together = self.alone.read().await;
                self.apply(&commands, again).await
            }
        };
        match applied {
            Ok(mut endings) => {
                self.condemn(&commands, &mut endings).await;
                let (took, settling) = (began.elapsed(), Instant::now());
                self.measure(&commands, &endings, took);
                let end = self.answer_and_settle(segment, endings).await;
                METRICS.batch_duration.observe(["settle"], settling.elapsed().as_secs_f64());
                Ok(end)
            }
            Err(failure) => {
                warn!(error = %error_chain(&failure), commands = commands.len(), "not applied now, handing back");
                if failure.class() == Class::Renumber {
                    self.renumber().await;
                }
                self.log.hand_back_soon(segment, Settlement::Outage);
                Err(failure.class())
            }
        }
    }

    /// Counts how commands ended, after the commit.
    fn measure(&self, commands: &[&Accepted], endings: &[Ending], took: Duration) {
        METRICS.batch_size.observe::<&str>([], f64::from(u32::try_from(commands.len()).unwrap_or(u32::MAX)));
        METRICS.batch_duration.observe(["apply"], took.as_secs_f64());
        let now = self.clock.now();
        for (command, ending) in commands.iter().zip(endings) {
            let kind = command.envelope.body.kind();
            match ending {
                Ending::Answered(outcome) => METRICS.ended(outcome, kind),
                Ending::Dead(_) => METRICS.died(kind),
                Ending::Committed | Ending::Parked(_) => continue,
            }
            if command.lane == Lane::Urgent {
                // Between two clocks: the broker's and this one.
                let millis = now.as_millis().saturating_sub(command.accepted_at.as_millis());
                METRICS.deactivation_duration.took(Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
            }
        }
    }

    /// Another message has the number of one that SQL knows: the log lost messages unseen.
    async fn renumber(&self) {
        if let Err(failure) = self.log.renumber().await {
            warn!(error = %error_chain(&failure), "the log could not be renumbered; the next attempt will");
        }
        self.log.connection.doubt();
    }

    /// Retries while the database is away, with the deliveries kept alive meanwhile. `again` if some were parked before.
    async fn apply(&self, commands: &[&Accepted], again: bool) -> Result<Vec<Ending>, StoreError> {
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
                Ok(endings) => return Ok(endings),
                Err(failure) => failure,
            };
            if failure.class() == Class::Locked && self.store.probe().await.is_ok() {
                return Ok(vec![Ending::Parked(Parked::Locked); commands.len()]);
            }
            let pause = pauses.next().filter(|_| failure.is_unavailable() && Instant::now() < until);
            let Some(pause) = pause else { return Err(failure) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Applies a command that may crash this worker: the attempt is on record before it begins.
    async fn apply_suspect(&self, suspect: &[&Accepted], again: bool) -> Result<Vec<Ending>, StoreError> {
        let [command] = suspect else { return self.apply(suspect, again).await };
        let operation = command.envelope.operation;
        let recorded = match self.begin_attempt(command).await {
            Ok(Attempt::Needless) => false,
            Ok(Attempt::Recorded) => true,
            Ok(Attempt::Condemned(dead)) => return Ok(vec![dead]),
            Err(failure) => return Ok(vec![self.park_suspect(operation, failure).await?]),
        };
        let endings = self.apply(suspect, again).await;
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
        if self.store.knows(command).await? {
            return Ok(Attempt::Needless);
        }
        let attempts = self.store.record_attempt(operation, self.clock.now()).await?;
        if attempts <= CRASHES_PROVE {
            return Ok(Attempt::Recorded);
        }
        let reason = format!("{CRASHES_PROVE} attempts to apply it ended in a crash");
        let dead = self.bury(command, DeadCause::Crash, reason).await?;
        error!(%operation, attempts, "operation {operation} crashes workers; it is a dead letter now");
        Ok(Attempt::Condemned(dead))
    }

    /// A suspect whose attempt cannot be put on record waits with its resource only, unless the database is away. One that
    /// answers that another transaction has a lock is not.
    async fn park_suspect(&self, operation: OperationId, failure: StoreError) -> Result<Ending, StoreError> {
        let is_locked = failure.class() == Class::Locked;
        if !is_locked {
            self.store.doubt_connections();
        }
        match self.store.probe().await {
            Err(probe) if probe.class() != Class::Locked => Err(failure.outage()),
            Ok(()) | Err(_) => {
                warn!(%operation, error = %error_chain(&failure), "operation {operation} may crash workers and cannot be tried now");
                Ok(Ending::Parked(if is_locked { Parked::Locked } else { Parked::Waiting }))
            }
        }
    }

    /// Makes dead letters of the commands that have failed by themselves too often.
    async fn condemn(&self, commands: &[&Accepted], endings: &mut [Ending]) {
        for (command, ending) in commands.iter().zip(endings.iter()) {
            match ending {
                Ending::Answered(_) => {
                    self.failures.applied(command.envelope.operation, command.envelope.resource_type);
                }
                Ending::Dead(_) | Ending::Committed => self.failures.forget(command.envelope.operation),
                Ending::Parked(_) => {}
            }
        }
        for (command, ending) in commands.iter().zip(endings) {
            let Ending::Parked(Parked::Failed(reason)) = ending else { continue };
            let (operation, resource_type) = (command.envelope.operation, command.envelope.resource_type);
            if !self.failures.failed(operation, resource_type, Instant::now()) {
                continue;
            }
            let why = format!("it fails while others are applied: {reason}");
            match self.bury(command, DeadCause::Failing, why).await {
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

    async fn bury(&self, command: &Accepted, cause: DeadCause, reason: String) -> Result<Ending, StoreError> {
        self.store.bury(&[DeadMessage::of(command, cause, &reason)], self.clock.now()).await?;
        Ok(Ending::Dead(reason))
    }

    /// After the commit, never before it.
    async fn answer_and_settle(&self, segment: Vec<Delivery>, endings: Vec<Ending>) -> BatchResult {
        let mut end = BatchResult::default();
        for (delivery, ending) in segment.into_iter().zip(endings) {
            let (outcome, settled) = match ending {
                Ending::Answered(outcome) => (Some(outcome), Settlement::Settled),
                Ending::Dead(_) => (Some(Outcome::dead_letter(delivery.sequence)), Settlement::Dead),
                Ending::Committed => (None, Settlement::Settled),
                Ending::Parked(parked) => {
                    end.parked.push((delivery, parked));
                    continue;
                }
            };
            end.settled.push(delivery.sequence);
            if let Some(Accepted { envelope, sequence, replayed, .. }) = delivery.command() {
                let (operation, trace) = (envelope.operation, envelope.trace.as_deref());
                debug!(%operation, trace, sequence, kind = envelope.body.kind(), "settled");
                // No client waits for a replayed command.
                if let Some(outcome) = outcome.filter(|_| replayed.is_none()) {
                    outcomes::answer(&self.log, &envelope.ingress, operation, outcome).await;
                }
            }
            if let Some(ack) = delivery.ack {
                self.log.settle(ack, settled).await;
            }
        }
        end
    }
}

/// The database is away; as soon as it is back, an attempt that was no crash is taken off the record. There are never
/// more of these than there are suspects.
async fn clear_in_time(store: Store, operation: OperationId) {
    while store.clear_attempts(operation).await.is_err() {
        tokio::time::sleep(RETRY).await;
    }
}
