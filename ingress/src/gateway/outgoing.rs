//! A command as it is published: written once, sent in attempts that each have a name, an end and a predecessor.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use protocol::id::{Namespace, OperationId, WorkspaceId};
use protocol::message::attempt::AttemptId;
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::header;
use protocol::message::lane::Lane;
use protocol::message::subject::CommandSubject;
use protocol::time::Timestamp;
use tokio::time::Instant;

use super::broker_clock::BrokerClock;
use super::{GatewayError, Timing};

/// How long an attempt is valid, and how long the broker's word on a publish is waited for: what the broker stores later
/// is late.
pub(super) const ATTEMPT_VALIDITY: Duration = Duration::from_secs(3);
/// What headers and the broker's own record of a message take, about, in bytes.
const HEADER_BYTES: usize = 400;
/// An attempt that ends sooner is not published again: the next one is.
const MIN_VALIDITY: Duration = Duration::from_millis(500);

/// A command, written as a message once; publishes differ in their headers.
#[derive(Debug)]
pub(super) struct OutgoingCommand {
    pub(super) operation: OperationId,
    pub(super) workspace: WorkspaceId,
    pub(super) lane: Lane,
    pub(super) subject: String,
    /// The subjects of its resource in all lanes, by which its turn comes, too.
    pub(super) all_lanes: String,
    pub(super) payload: Bytes,
    pub(super) timing: Timing,
    /// It changes the access of a user who is there: when it arrived may decide whether it does.
    pub(super) changes_access: bool,
    attempt: Option<Attempt>,
}

/// One attempt to have the command stored.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    number: u32,
    /// Monotonic, for us; by the broker's clock, for the header.
    ends: Instant,
    valid_until: Timestamp,
}

impl OutgoingCommand {
    /// Writes the command.
    pub(super) fn new(
        namespace: &Namespace,
        envelope: &Envelope<Command>,
        lane: Lane,
        timing: Timing,
    ) -> Result<Self, GatewayError> {
        let subject = CommandSubject {
            lane,
            workspace: envelope.workspace.clone(),
            resource_type: envelope.resource_type,
            resource: envelope.resource,
        };
        Ok(Self {
            operation: envelope.operation,
            workspace: envelope.workspace.clone(),
            lane,
            subject: subject.in_namespace(namespace),
            all_lanes: subject.all_lanes(namespace),
            payload: envelope.encode().map_err(GatewayError::Encode)?.into(),
            timing,
            changes_access: !matches!(envelope.body, Command::Create { .. }) && envelope.body.access().is_some(),
            attempt: None,
        })
    }

    /// How many bytes it takes in the log, about: subject and headers are kept with it.
    pub(super) fn size(&self) -> usize {
        self.payload.len() + self.subject.len() + HEADER_BYTES
    }

    /// Whether it was published: the log may have it.
    pub(super) const fn may_be_stored(&self) -> bool {
        self.attempt.is_some()
    }

    /// It is settled, or no copy of it is in the log.
    pub(super) const fn forget_attempts(&mut self) {
        self.attempt = None;
    }

    /// Whether this is the newest attempt.
    pub(super) fn is_newest(&self, attempt: u32) -> bool {
        self.attempt.is_some_and(|newest| newest.number == attempt)
    }

    /// Whether a copy that the broker stores now would be valid.
    pub(super) fn is_valid(&self) -> bool {
        self.attempt.is_some_and(|attempt| Instant::now() <= attempt.ends)
    }

    /// The newest attempt is lost: what is published next has another name.
    pub(super) fn end_attempt(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.ends = Instant::now();
        }
    }

    /// The headers of a publish without a predecessor: of the present attempt, or of the next one if that has ended.
    pub(super) fn headers(&mut self, clock: &BrokerClock) -> HeaderMap {
        let attempt = self.present_attempt(clock);
        let (arrived, error) = clock.at(self.timing.complete);
        let id = AttemptId { operation: self.operation, number: attempt.number };
        let mut headers = HeaderMap::new();
        headers.insert(header::MESSAGE_ID, id.to_string());
        headers.insert(header::VALID_UNTIL, attempt.valid_until.as_millis().to_string());
        headers.insert(header::ARRIVED, arrived.as_millis().to_string());
        let now = Instant::now();
        let age = now.saturating_duration_since(self.timing.complete) + self.timing.doubt;
        headers.insert(header::SENT, clock.at(now).0.as_millis().to_string());
        headers.insert(header::AGE, age.as_millis().to_string());
        headers.insert(header::ARRIVED_ERROR, (error + self.timing.doubt).as_millis().to_string());
        headers
    }

    fn present_attempt(&mut self, clock: &BrokerClock) -> Attempt {
        let now = Instant::now();
        match self.attempt {
            Some(attempt) if now + MIN_VALIDITY < attempt.ends => attempt,
            ended => {
                let ends = (now + ATTEMPT_VALIDITY).min(self.timing.publish_by.max(now));
                let number = ended.map_or(1, |attempt| attempt.number.saturating_add(1));
                *self.attempt.insert(Attempt { number, ends, valid_until: clock.at(ends).0 })
            }
        }
    }
}
