//! Appends commands so that each names its predecessor: the broker itself checks the order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::client::Request;
use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use protocol::failpoint::Failpoint;
use protocol::id::OperationId;
use protocol::message::lane::Lane;
use runtime::connection::Connection;
use runtime::{backoff, failpoint, ids};
use tokio::time::{Instant, timeout_at};

use super::GatewayError;
use super::observer::Observed;
use super::outgoing::{ATTEMPT_VALIDITY, OutgoingCommand};
use super::publish_ack::{self, PublishResult};
use super::window::Window;

/// How long a sequence that the cluster is just assigning takes to be known.
const ASSIGNMENT_PAUSE: Duration = Duration::from_millis(4);

/// For so long no publish was answered, and the broker answers everything else: it stores nothing.
const SILENT_AFTER: Duration = Duration::from_secs(6);

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
    silence: Mutex<Silence>,
}

/// Since when the broker has not answered any publish, though it was connected.
#[derive(Debug, Default)]
struct Silence {
    since: Option<Instant>,
    was_told: bool,
}

/// What has become of a command's publishes so far.
struct Tries<D> {
    predecessor: u64,
    conflicts: u32,
    /// One of them may have been stored.
    unknown: bool,
    /// Why the last one was refused.
    refused: Option<PublishResult>,
    delays: D,
}

impl Appender {
    pub(super) fn new(connection: Connection, observed: Arc<Observed>) -> Self {
        let window = Window::default();
        Self { connection, observed, window, refusal: AtomicU64::new(0), silence: Mutex::default() }
    }

    /// Appends a command in as many attempts as it takes, until its time has come; dropping this ends that. Nothing is
    /// sent while the broker is not connected.
    pub(super) async fn append(&self, command: &mut OutgoingCommand) -> Result<Appended, GatewayError> {
        let publish_by = command.timing.publish_by;
        let delays = backoff::delays(Duration::from_millis(20), Duration::from_secs(1));
        let mut tries = Tries { predecessor: 0, conflicts: 0, unknown: command.was_sent(), refused: None, delays };
        let appended = timeout_at(publish_by, self.try_until_stored(command, &mut tries)).await;
        appended.unwrap_or_else(|_| Err(self.given_up(&tries)))
    }

    async fn try_until_stored(
        &self,
        command: &mut OutgoingCommand,
        tries: &mut Tries<impl Iterator<Item = Duration>>,
    ) -> Result<Appended, GatewayError> {
        loop {
            let said = self.publish(command, tries.predecessor).await;
            tries.refused = None;
            match said {
                // A copy that was found after its attempt had ended may be a late one.
                PublishResult::Stored { duplicate: true, .. } if !command.is_valid() => {
                    command.end_attempt();
                    tries.unknown = true;
                }
                PublishResult::Stored { duplicate, sequence } => {
                    failpoint::hit(Failpoint::IngressPublishAfter).await;
                    self.refusal.store(0, Ordering::Relaxed);
                    return Ok(Appended { sequence, duplicate });
                }
                PublishResult::Pending(sequence) => {
                    tries.predecessor = sequence;
                    tries.conflicts += 1;
                    give_way(tries.conflicts).await;
                }
                PublishResult::InFlight => tokio::time::sleep(ASSIGNMENT_PAUSE).await,
                PublishResult::TooLarge if !tries.unknown => {
                    return Err(GatewayError::TooLarge { limit: self.connection.client().max_payload() });
                }
                PublishResult::Unknown => {
                    tries.unknown = true;
                    self.pause(command.operation, PublishResult::Unknown, tries).await;
                }
                said @ (PublishResult::Full
                | PublishResult::TooLarge
                | PublishResult::NoLog
                | PublishResult::Refused(_)) => {
                    self.pause(command.operation, said, tries).await;
                }
            }
        }
    }

    async fn pause(
        &self,
        operation: OperationId,
        said: PublishResult,
        tries: &mut Tries<impl Iterator<Item = Duration>>,
    ) {
        self.note(operation, &said);
        tries.refused = Some(said);
        tokio::time::sleep(tries.delays.next().unwrap_or(ATTEMPT_VALIDITY)).await;
    }

    /// Stores new resources' commands all at once, in one write (NATS ADR-50): gives back the sequence of each if the log
    /// has them all. Otherwise each is to be [appended](Self::append) by itself; what was stored nevertheless is a
    /// duplicate then.
    ///
    /// They name no predecessor: no other request knows these ids yet.
    pub(super) async fn append_together(&self, commands: &mut [&mut OutgoingCommand]) -> Option<Vec<u64>> {
        failpoint::hit(Failpoint::IngressPublishBefore).await;
        let generation = self.connection.connected().await;
        self.observed.clock.measured_on(generation).await;
        let slot = self.window.enter(commands.len(), false).await;
        let said = tokio::select! {
            said = self.publish_together(commands) => said,
            _ = self.connection.reconnected(generation) => PublishResult::Unknown,
        };
        let PublishResult::Stored { sequence: last, .. } = said else {
            tracing::debug!(?said, commands = commands.len(), "not stored together, appending one by one");
            return None;
        };
        slot.acknowledged();
        failpoint::hit(Failpoint::IngressPublishAfter).await;
        let first = (last + 1).saturating_sub(u64::try_from(commands.len()).unwrap_or(last));
        Some((first..=last).collect())
    }

    async fn publish_together(&self, commands: &mut [&mut OutgoingCommand]) -> PublishResult {
        let (batch, clock) = (ids::batch(), &self.observed.clock);
        let Some((last, others)) = commands.split_last_mut() else {
            return PublishResult::Stored { sequence: 0, duplicate: false };
        };
        let headers = |index: usize, command: &mut OutgoingCommand| {
            let mut headers = command.headers(clock);
            headers.insert(NATS_BATCH_ID, batch.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, index.saturating_add(1).to_string());
            headers
        };
        let client = self.connection.client();
        let count = others.len();
        for (index, command) in others.iter_mut().enumerate() {
            let (subject, payload) = (command.subject.clone(), command.payload.clone());
            if client.publish_with_headers(subject, headers(index, command), payload).await.is_err() {
                return PublishResult::Unknown;
            }
        }
        let mut commit = headers(count, last);
        commit.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        let request = Request::new().headers(commit).payload(last.payload.clone()).timeout(Some(ATTEMPT_VALIDITY));
        match client.send_request(last.subject.clone(), request).await {
            Ok(message) => publish_ack::read(&message.payload),
            Err(error) => publish_ack::failed(error.kind()),
        }
    }

    fn note(&self, operation: OperationId, said: &PublishResult) {
        tracing::debug!(%operation, ?said, "appending again");
        if let PublishResult::Refused(code) = *said
            && self.refusal.swap(code, Ordering::Relaxed) != code
        {
            tracing::warn!(code, "the broker refuses commands with error {code}, trying again");
        }
    }

    /// Notes whether a publish was answered. A nats-server whose disk was full (measured with 2.15.1) stores nothing any
    /// more and does not answer publishes, also with room again, while it answers everything else.
    fn note_silence(&self, sent: Instant, answered: bool) {
        let mut silence = self.silence();
        if answered {
            *silence = Silence::default();
            return;
        }
        silence.since.get_or_insert(sent);
        if self.is_silent(&silence) && !std::mem::replace(&mut silence.was_told, true) {
            tracing::error!(
                "the broker is connected and stores nothing: its disk is full or failing, as its own log says; make room and \
                 restart it"
            );
        }
    }

    fn is_silent(&self, silence: &Silence) -> bool {
        let long_ago = |since: Instant| since.elapsed() >= SILENT_AFTER;
        silence.since.is_some_and(|since| long_ago(since) && self.observed.has_answered_since(since + ATTEMPT_VALIDITY))
    }

    fn silence(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the command is not in the log. After a publish of unknown fate it cannot be said that nothing was changed.
    fn given_up(&self, tries: &Tries<impl Iterator<Item = Duration>>) -> GatewayError {
        match tries.refused {
            Some(PublishResult::Full) if !tries.unknown => GatewayError::LogFull,
            _ if self.is_silent(&self.silence()) => GatewayError::StoresNothing,
            _ => GatewayError::Timeout { queued: None },
        }
    }

    async fn publish(&self, command: &mut OutgoingCommand, predecessor: u64) -> PublishResult {
        failpoint::hit(Failpoint::IngressPublishBefore).await;
        let generation = self.connection.connected().await;
        self.observed.clock.measured_on(generation).await;
        let slot = self.window.enter(1, command.lane == Lane::Urgent).await;
        if command.changes_access {
            self.observed.clock.measured_just_now().await;
        }
        let sent = Instant::now();
        let request = command.request(&self.observed.clock, predecessor);
        let request = self.connection.client().send_request(command.subject.clone(), request);
        let said = tokio::select! {
            reply = request => match reply {
                Ok(message) => publish_ack::read(&message.payload),
                Err(error) => publish_ack::failed(error.kind()),
            },
            // The answer went to the connection that is gone.
            _ = self.connection.reconnected(generation) => return PublishResult::Unknown,
        };
        self.note_silence(sent, said != PublishResult::Unknown);
        if said != PublishResult::Unknown {
            slot.acknowledged();
        }
        said
    }
}

/// Another ingress publishes for the same resource: the first conflict is normal, more of them mean that both spin.
async fn give_way(conflicts: u32) {
    if conflicts > 1 {
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..500 * u64::from(conflicts.min(10))))).await;
    }
}
