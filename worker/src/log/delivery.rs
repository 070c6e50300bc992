//! One message of the log: read once, then a command, or the reason why it is none.

use std::time::Duration;

use async_nats::{HeaderMap, Subject, jetstream};
use protocol::access::Arrival;
use protocol::id::{IngressId, Namespace, WorkspaceId};
use protocol::message::attempt::{AttemptId, LateCopy};
use protocol::message::command::Command;
use protocol::message::envelope::{DecodeError, Envelope};
use protocol::message::header;
use protocol::message::lane::Lane;
use protocol::message::subject::CommandSubject;
use protocol::time::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use crate::accepted::{Accepted, RawMessage};
use crate::log::progress::{KeptAlive, Progress};
use crate::store::{CopyReason, Numbering, SettledCopy};

/// From this delivery on, a command is a suspect: workers may have crashed on it.
const SUSPECT_FROM: i64 = 3;

/// How the log is read: whose it is, and how it is numbered.
#[derive(Debug, Clone)]
pub(crate) struct LogView {
    pub(crate) namespace: Namespace,
    pub(crate) numbering: Numbering,
}

/// A message of the log, however it was come by.
#[derive(Debug)]
pub(crate) struct Logged {
    /// Its number: the sequence in the stream, unless the log was renumbered.
    pub(crate) sequence: u64,
    /// The number of its predecessor, 0 for none.
    pub(crate) predecessor: u64,
    /// When the broker stored it.
    pub(crate) accepted_at: Timestamp,
    /// What it says.
    pub(crate) reading: Reading,
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum Reading {
    /// A command to apply.
    Command(Box<Accepted>),
    /// A copy that was stored after its attempt had ended: its sequence is settled, its operation is not touched.
    Late(Late),
    /// Something that a newer worker can read.
    TooNew(u16),
    /// Something that no worker can read, with the workspace of its subject.
    Unreadable { raw: RawMessage, workspace: Option<WorkspaceId>, reason: String },
}

/// A copy that was stored too late.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) copy: SettledCopy,
    /// What its ingress hears of it.
    pub(crate) notice: LateCopy,
    pub(crate) ingress: IngressId,
}

/// A message that this worker works on. With a ticket it was delivered here and has to be settled; without one it was
/// fetched as the predecessor of another, and its own delivery will find the ledger later.
#[derive(Debug)]
pub(crate) struct Item {
    /// The message.
    pub(crate) logged: Logged,
    /// The duty to settle it.
    pub(crate) ticket: Option<Ticket>,
    /// It may be a command that crashes workers: it is applied alone.
    pub(crate) suspect: bool,
    /// How often in a row it was parked.
    pub(crate) parkings: u32,
}

/// The duty to settle one delivery. The delivery is kept alive for as long as the ticket exists.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The lane that delivered it.
    pub(crate) lane: Lane,
    /// Where its acknowledgement goes.
    pub(crate) reply: Subject,
    /// The connection on which it was delivered.
    pub(crate) generation: u64,
    room: Option<OwnedSemaphorePermit>,
    _kept_alive: KeptAlive,
}

impl Item {
    /// Reads a message from a lane. None if it is no JetStream delivery at all.
    pub(crate) fn delivered(
        message: jetstream::Message,
        lane: Lane,
        log: &LogView,
        generation: u64,
        progress: &Progress,
        room: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let info = message.info().ok()?;
        let (sequence, stored) = (info.stream_sequence, time_of(info.published));
        let delivered = info.delivered;
        let reply = message.reply.clone()?;
        let async_nats::Message { subject, payload, headers, .. } = message.message;
        let raw = RawMessage { subject: subject.to_string(), headers: pairs(headers.as_ref()), payload };
        let logged = log.read(sequence, stored, raw);
        let kept_alive = progress.keep(&reply);
        let ticket = Ticket { lane, reply, generation, room: Some(room), _kept_alive: kept_alive };
        Some(Self { logged, ticket: Some(ticket), suspect: delivered >= SUSPECT_FROM, parkings: 0 })
    }

    /// A message that was fetched from the stream by its sequence.
    pub(crate) fn fetched(log: &LogView, message: jetstream::message::StreamMessage) -> Self {
        let headers = pairs(Some(&message.headers));
        let raw = RawMessage { subject: message.subject.to_string(), headers, payload: message.payload };
        let logged = log.read(message.sequence, time_of(message.time), raw);
        Self { logged, ticket: None, suspect: false, parkings: 0 }
    }

    /// Its number in the log.
    pub(crate) const fn sequence(&self) -> u64 {
        self.logged.sequence
    }

    /// Lets the lane pull another in its place: called when this one is held for its predecessor.
    pub(crate) fn make_room(&mut self) {
        if let Some(ticket) = &mut self.ticket {
            ticket.room = None;
        }
    }
}

#[cfg(test)]
impl Ticket {
    /// Of a delivery that takes no room from others.
    pub(crate) fn without_room(lane: Lane, reply: Subject, kept_alive: KeptAlive) -> Self {
        Self { lane, reply, generation: 0, room: None, _kept_alive: kept_alive }
    }
}

impl LogView {
    fn read(&self, in_stream: u64, stored: Timestamp, raw: RawMessage) -> Logged {
        let predecessor = header_of(&raw, header::PREDECESSOR).and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sequence, predecessor) = (self.numbering.number(in_stream), self.numbering.number(predecessor));
        let reading = match decode(&self.namespace, &raw) {
            Ok((_, envelope)) if stored > valid_until(&raw, &envelope) => {
                let attempt = attempt_of(&raw);
                let notice =
                    LateCopy { operation: envelope.operation, attempt, sequence: in_stream, stored_at: stored };
                let (workspace, operation) = (Some(envelope.workspace), Some(envelope.operation));
                let copy = SettledCopy { sequence, reason: CopyReason::Late, workspace, operation };
                Reading::Late(Late { copy, notice, ingress: envelope.ingress })
            }
            Ok((subject, envelope)) => {
                let lane = subject.lane;
                let epoch = self.numbering.epoch;
                let arrival = arrival_of(&raw, stored);
                let accepted =
                    Accepted { epoch, sequence, predecessor, lane, accepted_at: stored, arrival, envelope, raw };
                Reading::Command(Box::new(accepted))
            }
            Err(DecodeError::TooNew(version)) => Reading::TooNew(version),
            Err(error @ DecodeError::Undecodable(_)) => {
                let reason = error.to_string();
                let subject = CommandSubject::parse(&self.namespace, &raw.subject);
                Reading::Unreadable { raw, workspace: subject.ok().map(|subject| subject.workspace), reason }
            }
        };
        Logged { sequence, predecessor, accepted_at: stored, reading }
    }
}

/// Subject and envelope say the same thing twice; a message in which they differ was not made by an ingress.
fn decode(namespace: &Namespace, raw: &RawMessage) -> Result<(CommandSubject, Envelope<Command>), DecodeError> {
    let refused = |reason: String| DecodeError::Undecodable(reason);
    let subject = CommandSubject::parse(namespace, &raw.subject).map_err(|error| refused(error.to_string()))?;
    let envelope = Envelope::decode(&raw.payload)?;
    let same = subject.workspace == envelope.workspace
        && subject.resource_type == envelope.resource_type
        && subject.resource == envelope.resource;
    if same {
        Ok((subject, envelope))
    } else {
        Err(refused("subject and envelope name different resources".to_owned()))
    }
}

/// Until when the attempt could be stored; without a header of its own, the whole operation.
fn valid_until(raw: &RawMessage, envelope: &Envelope<Command>) -> Timestamp {
    time_in(raw, header::VALID_UNTIL).unwrap_or(envelope.deadline)
}

fn attempt_of(raw: &RawMessage) -> u32 {
    let attempt = header_of(raw, header::MESSAGE_ID).and_then(|id| id.parse::<AttemptId>().ok());
    attempt.map_or(1, |attempt| attempt.number)
}

/// When the request was complete; without headers, when it was stored.
fn arrival_of(raw: &RawMessage, stored: Timestamp) -> Arrival {
    let error = header_of(raw, header::ARRIVED_ERROR).and_then(|text| text.parse().ok());
    let age = header_of(raw, header::AGE).and_then(|text| text.parse().ok());
    let arrival =
        Arrival::new(time_in(raw, header::ARRIVED).unwrap_or(stored), Duration::from_millis(error.unwrap_or(0)));
    match (time_in(raw, header::SENT), age) {
        (Some(sent), Some(age)) => arrival.published(sent, Duration::from_millis(age)).believed(stored),
        _ => arrival.believed(stored),
    }
}

fn time_in(raw: &RawMessage, name: &str) -> Option<Timestamp> {
    header_of(raw, name).and_then(|text| text.parse().ok()).map(Timestamp::from_millis)
}

fn header_of<'a>(raw: &'a RawMessage, name: &str) -> Option<&'a str> {
    raw.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn pairs(headers: Option<&HeaderMap>) -> Vec<(String, String)> {
    let all = headers.into_iter().flat_map(HeaderMap::iter);
    all.flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string()))).collect()
}

/// The broker's clock, in whole milliseconds.
fn time_of(time: async_nats::datetime::DateTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
}
