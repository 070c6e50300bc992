//! Appends commands so that each names its predecessor: the broker itself checks the order.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::Request;
use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use protocol::failpoint::Failpoint;
use protocol::id::OperationId;
use protocol::message::header;
use protocol::message::lane::Lane;
use runtime::connection::Connection;
use runtime::publish_ack::{self, PublishResult};
use runtime::{backoff, failpoint, ids};
use tokio::time::{Instant, timeout_at};

use super::GatewayError;
use super::observer::Observed;
use super::outgoing::{ATTEMPT_VALIDITY, OutgoingCommand};
use super::window::Window;
use crate::metrics::METRICS;

/// Between two publishes of which the first was refused or not answered, at first and at most; chance takes up to half off.
const PAUSE: Duration = Duration::from_millis(40);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long a sequence that the cluster is just assigning takes to be known.
const ASSIGNMENT_PAUSE: Duration = Duration::from_millis(4);

/// The log has a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Appended {
    /// Its sequence in the stream.
    pub(super) sequence: u64,
    /// An earlier publish had been stored: its outcome may have been sent before.
    pub(super) duplicate: bool,
}

/// The end of the log at which commands are appended.
#[derive(Debug)]
pub(super) struct Appender {
    connection: Connection,
    observed: Arc<Observed>,
    window: Window,
    /// The broker's last refusal for a reason that is not foreseen, so that it is logged once; 0 for none.
    refusal: AtomicU64,
}

/// What has become of a command's publishes so far.
#[derive(Default)]
struct Tries {
    predecessor: u64,
    conflicts: u32,
    pauses: u32,
    /// One of them may have been stored.
    unknown: bool,
    /// Why the last one was refused.
    refused: Option<PublishResult>,
}

impl Appender {
    pub(super) fn new(connection: Connection, observed: Arc<Observed>) -> Self {
        Self { connection, observed, window: Window::default(), refusal: AtomicU64::new(0) }
    }

    /// Appends a command in as many attempts as it takes, until its time has come; dropping this ends that. Nothing is
    /// sent while the broker is not connected.
    pub(super) async fn append(&self, command: &mut OutgoingCommand) -> Result<Appended, GatewayError> {
        let publish_by = command.timing.publish_by;
        let mut tries = Tries { unknown: command.may_be_stored(), ..Tries::default() };
        let appended = timeout_at(publish_by, self.try_until_stored(command, &mut tries)).await;
        appended.unwrap_or_else(|_| Err(self.given_up(&tries)))
    }

    async fn try_until_stored(
        &self,
        command: &mut OutgoingCommand,
        tries: &mut Tries,
    ) -> Result<Appended, GatewayError> {
        loop {
            // Of a publish under way when the time has come it is not known whether it is stored.
            tries.refused = None;
            match self.publish(&mut [&mut *command], tries.predecessor).await {
                // A copy that was found after its attempt had ended may be a late one.
                PublishResult::Stored { duplicate: true, .. } if !command.is_valid() => {
                    command.end_attempt();
                    tries.unknown = true;
                }
                PublishResult::Stored { duplicate, sequence } => {
                    if duplicate {
                        METRICS.publish_duplicates.add_one();
                    }
                    failpoint::hit(Failpoint::IngressPublishAfter).await;
                    self.refusal.store(0, Ordering::Relaxed);
                    return Ok(Appended { sequence, duplicate });
                }
                PublishResult::Pending(sequence) => {
                    METRICS.publish_conflicts.add_one();
                    tries.predecessor = sequence;
                    tries.conflicts += 1;
                    give_way(tries.conflicts).await;
                }
                PublishResult::InFlight => tokio::time::sleep(ASSIGNMENT_PAUSE).await,
                PublishResult::TooLarge if !tries.unknown => {
                    return Err(GatewayError::TooLarge { limit: self.connection.client().max_payload() });
                }
                said => {
                    tries.unknown |= said == PublishResult::Unknown;
                    self.note(command.operation, &said);
                    tries.refused = Some(said);
                    tokio::time::sleep(backoff::doubled(PAUSE, LONGEST_PAUSE, tries.pauses)).await;
                    tries.pauses += 1;
                }
            }
        }
    }

    /// Stores new resources' commands all at once, in one write (NATS ADR-50): gives back the sequence of each if the log
    /// has them all. Otherwise each is to be [appended](Self::append) by itself; what was stored nevertheless is a
    /// duplicate then.
    ///
    /// They name no predecessor: no other request knows these ids yet.
    pub(super) async fn append_together(&self, commands: &mut [&mut OutgoingCommand]) -> Option<RangeInclusive<u64>> {
        let said = self.publish(commands, 0).await;
        let PublishResult::Stored { sequence: last, .. } = said else {
            tracing::debug!(?said, commands = commands.len(), "not stored together, appending one by one");
            return None;
        };
        failpoint::hit(Failpoint::IngressPublishAfter).await;
        let first = (last + 1).saturating_sub(u64::try_from(commands.len()).unwrap_or(last));
        Some(first..=last)
    }

    /// Publishes one command, or several that are stored together, and hears what the broker says.
    async fn publish(&self, commands: &mut [&mut OutgoingCommand], predecessor: u64) -> PublishResult {
        failpoint::hit(Failpoint::IngressPublishBefore).await;
        let generation = self.connection.connected().await;
        self.observed.clock.measured_on(generation).await;
        let is_urgent = commands.iter().any(|command| command.lane == Lane::Urgent);
        let slot = self.window.enter(commands.len(), is_urgent).await;
        if commands.iter().any(|command| command.changes_access) {
            self.observed.clock.measured_just_now().await;
        }
        let sent = Instant::now();
        let said = tokio::select! {
            said = self.send(commands, predecessor) => said,
            // The answer went to the connection that is gone.
            _ = self.connection.reconnected(generation) => return PublishResult::Unknown,
        };
        let is_answered = said != PublishResult::Unknown;
        self.observed.published(sent, is_answered);
        if is_answered {
            METRICS.publish_duration.took(sent.elapsed());
            slot.acknowledged();
        }
        said
    }

    /// A command by itself names its predecessor. Of several the last one commits all.
    async fn send(&self, commands: &mut [&mut OutgoingCommand], predecessor: u64) -> PublishResult {
        let (client, count) = (self.connection.client(), commands.len());
        let batch = (count > 1).then(ids::batch);
        for (index, command) in commands.iter_mut().enumerate() {
            let mut headers = command.headers(&self.observed.clock);
            let (subject, payload) = (command.subject.clone(), command.payload.clone());
            let is_last = index + 1 == count;
            if let Some(batch) = &batch {
                headers.insert(NATS_BATCH_ID, batch.as_str());
                headers.insert(NATS_BATCH_SEQUENCE, (index + 1).to_string());
                if is_last {
                    headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
                }
            } else {
                headers.insert(header::PREDECESSOR, predecessor.to_string());
                headers.insert(header::PREDECESSOR_SUBJECT, command.all_lanes.as_str());
            }
            if is_last {
                let request = Request::new().headers(headers).payload(payload).timeout(Some(ATTEMPT_VALIDITY));
                return match client.send_request(subject, request).await {
                    Ok(message) => publish_ack::read(&message.payload),
                    Err(error) => publish_ack::failed(error.kind()),
                };
            }
            if client.publish_with_headers(subject, headers, payload).await.is_err() {
                break;
            }
        }
        PublishResult::Unknown
    }

    fn note(&self, operation: OperationId, said: &PublishResult) {
        tracing::debug!(%operation, ?said, "appending again");
        if let PublishResult::Refused(code) = *said
            && self.refusal.swap(code, Ordering::Relaxed) != code
        {
            tracing::warn!(code, "the broker refuses commands with error {code}, trying again");
        }
    }

    /// Why the command is not in the log. After a publish of unknown fate it cannot be said that nothing was changed.
    fn given_up(&self, tries: &Tries) -> GatewayError {
        match tries.refused {
            Some(PublishResult::Full) if !tries.unknown => GatewayError::LogFull,
            _ if self.observed.broker_stores_nothing() => GatewayError::StoresNothing,
            _ => GatewayError::Timeout { queued: None },
        }
    }
}

/// Another ingress publishes for the same resource: the first conflict is normal, more of them mean that both spin.
async fn give_way(conflicts: u32) {
    if conflicts > 1 {
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..500 * u64::from(conflicts.min(10))))).await;
    }
}
