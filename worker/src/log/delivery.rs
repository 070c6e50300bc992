//! One message of the log: read once, then a command, or the reason why it is none.

use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::{HeaderMap, Subject, jetstream};
use protocol::access::Arrival;
use protocol::id::{IngressId, WorkspaceId};
use protocol::message::attempt::{AttemptId, LateCopy};
use protocol::message::command::Command;
use protocol::message::envelope::{DecodeError, Envelope};
use protocol::message::header;
use protocol::message::lane::Lane;
use protocol::message::subject::{CommandSubject, InvalidSubject};
use protocol::replay::Replayed;
use protocol::time::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use crate::accepted::{Accepted, RawMessage};
use crate::log::Log;
use crate::log::keep_alive::{KeepAlive, KeptAlive};
use crate::metrics::METRICS;

/// From this delivery on, a command is a suspect: workers may have crashed on it.
const SUSPECT_FROM: i64 = 3;

/// A message that this worker works on. With an acknowledgement to send it was delivered here and has to be settled;
/// without one it was fetched as the predecessor of another, and its own delivery will find the ledger later.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// Its number: the sequence in the stream, unless the log was renumbered.
    pub(crate) sequence: u64,
    /// The number of its predecessor, 0 for none.
    pub(crate) predecessor: u64,
    /// When the broker stored it.
    pub(crate) accepted_at: Timestamp,
    /// The workspace of its subject.
    pub(crate) workspace: Option<WorkspaceId>,
    /// What it says.
    pub(crate) content: Content,
    /// The duty to settle it.
    pub(crate) ack: Option<AckHandle>,
    /// It may be a command that crashes workers: it is applied alone.
    pub(crate) suspect: bool,
    /// How often in a row it was parked.
    pub(crate) parkings: u32,
}

/// What a message says.
#[derive(Debug)]
pub(crate) enum Content {
    /// A command to apply.
    Command(Box<Accepted>),
    /// A copy that was stored after its attempt had ended: its sequence is settled, its operation is not touched. What its
    /// ingress hears of it.
    Late { notice: LateCopy, ingress: IngressId },
    /// Something that a newer worker can read.
    TooNew(u16),
    /// Something that no worker can read.
    Unreadable { raw: RawMessage, reason: String },
}

/// The duty to settle one delivery. The delivery is kept alive for as long as this exists.
#[derive(Debug)]
pub(crate) struct AckHandle {
    /// The lane that delivered it.
    pub(crate) lane: Lane,
    /// Where its acknowledgement goes.
    pub(crate) reply: Subject,
    /// The connection on which it was delivered.
    pub(crate) generation: u64,
    /// Room in the lane; none for a command that is held.
    room: Option<OwnedSemaphorePermit>,
    _kept_alive: KeptAlive,
}

impl AckHandle {
    pub(super) fn new(
        lane: Lane,
        reply: Subject,
        generation: u64,
        keep_alive: &KeepAlive,
        room: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let kept_alive = keep_alive.keep(&reply);
        Self { lane, reply, generation, room, _kept_alive: kept_alive }
    }
}

impl Delivery {
    /// The command, if it is one.
    pub(crate) fn command(&self) -> Option<&Accepted> {
        match &self.content {
            Content::Command(accepted) => Some(accepted),
            Content::Late { .. } | Content::TooNew(_) | Content::Unreadable { .. } => None,
        }
    }

    /// The lane that delivered it; none if it was fetched.
    pub(crate) fn lane(&self) -> Option<Lane> {
        self.ack.as_ref().map(|ack| ack.lane)
    }

    /// Lets the lane pull another in its place: called when this one is held for its predecessor.
    pub(crate) fn make_room(&mut self) {
        if let Some(ack) = &mut self.ack {
            ack.room = None;
        }
    }
}

impl Log {
    /// Reads a message from a lane. None if it is no JetStream delivery at all.
    pub(super) fn delivered(
        &self,
        message: jetstream::Message,
        lane: Lane,
        generation: u64,
        keep_alive: &KeepAlive,
        room: OwnedSemaphorePermit,
    ) -> Option<Delivery> {
        let info = message.info().ok()?;
        let (sequence, stored, deliveries) = (info.stream_sequence, time_of(info.published), info.delivered);
        let reply = message.reply.clone()?;
        if deliveries > 1 {
            METRICS.redelivered.add_one([lane.as_str()]);
        }
        if deliveries >= SUSPECT_FROM {
            METRICS.suspects.add_one();
        }
        let async_nats::Message { subject, payload, headers, .. } = message.message;
        let raw = RawMessage { subject: subject.to_string(), headers: pairs(headers.as_ref()), payload };
        let ack = AckHandle::new(lane, reply, generation, keep_alive, Some(room));
        Some(Delivery { ack: Some(ack), suspect: deliveries >= SUSPECT_FROM, ..self.read(sequence, stored, raw) })
    }

    /// A message that was fetched from the stream by its sequence.
    pub(super) fn fetched(&self, message: StreamMessage) -> Delivery {
        let headers = pairs(Some(&message.headers));
        let raw = RawMessage { subject: message.subject.to_string(), headers, payload: message.payload };
        self.read(message.sequence, time_of(message.time), raw)
    }

    fn read(&self, in_stream: u64, accepted_at: Timestamp, raw: RawMessage) -> Delivery {
        let predecessor = header_of(&raw, header::PREDECESSOR).and_then(|text| text.parse().ok()).unwrap_or(0);
        let (sequence, predecessor) = (self.numbering.number(in_stream), self.numbering.number(predecessor));
        let subject = CommandSubject::parse(&self.namespace, &raw.subject);
        let workspace = subject.as_ref().ok().map(|subject| subject.workspace.clone());
        let content = match decode(subject, &raw) {
            Ok((_, envelope)) if accepted_at > valid_until(&raw, &envelope) => {
                let (operation, attempt) = (envelope.operation, attempt_of(&raw));
                let notice = LateCopy { operation, attempt, sequence: in_stream, stored_at: accepted_at };
                Content::Late { notice, ingress: envelope.ingress }
            }
            Ok((lane, envelope)) => {
                let (epoch, replayed) = (self.numbering.epoch, replayed(&raw));
                let (accepted_at, arrival) = came(&raw, replayed, accepted_at);
                let accepted =
                    Accepted { epoch, sequence, predecessor, lane, accepted_at, arrival, envelope, replayed, raw };
                Content::Command(Box::new(accepted))
            }
            Err(DecodeError::TooNew(version)) => Content::TooNew(version),
            Err(error @ DecodeError::Undecodable(_)) => Content::Unreadable { raw, reason: error.to_string() },
        };
        let (ack, suspect, parkings) = (None, false, 0);
        Delivery { sequence, predecessor, accepted_at, workspace, content, ack, suspect, parkings }
    }
}

/// Subject and envelope say the same thing twice; a message in which they differ was not made by an ingress.
fn decode(
    subject: Result<CommandSubject, InvalidSubject>,
    raw: &RawMessage,
) -> Result<(Lane, Envelope<Command>), DecodeError> {
    let refused = |reason: String| DecodeError::Undecodable(reason);
    let subject = subject.map_err(|error| refused(error.to_string()))?;
    let envelope = Envelope::decode(&raw.payload)?;
    let same = subject.workspace == envelope.workspace
        && subject.resource_type == envelope.resource_type
        && subject.resource == envelope.resource;
    if same {
        Ok((subject.lane, envelope))
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

/// What a replayed command says of itself.
fn replayed(raw: &RawMessage) -> Option<Replayed> {
    let number = header_of(raw, header::REPLAY)?.parse().ok()?;
    let letter = header_of(raw, header::ORIGINAL_SEQUENCE)?.parse().ok()?;
    Some(Replayed { number, letter, forced: header_of(raw, header::FORCED).is_some() })
}

/// When a command was accepted, and when it arrived. One that is replayed came when it came first, unless it is forced.
pub(crate) fn came(raw: &RawMessage, replayed: Option<Replayed>, stored: Timestamp) -> (Timestamp, Arrival) {
    match replayed {
        Some(Replayed { forced: true, .. }) => (stored, Arrival::new(stored, Duration::ZERO)),
        Some(_) => {
            let accepted = time_in(raw, header::ORIGINAL_ACCEPTED).unwrap_or(stored);
            (accepted, arrival_of(raw, accepted))
        }
        None => (stored, arrival_of(raw, stored)),
    }
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
