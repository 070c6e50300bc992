//! A command as it stands in the log, decoded.

use bytes::Bytes;
use protocol::access::Arrival;
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::replay::Replayed;
use protocol::time::Timestamp;

/// A command that the log has accepted, with its place in it.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The numbering of the log under which it was read.
    pub epoch: u32,
    /// Its number in the log.
    pub sequence: u64,
    /// The sequence of the resource's command before it; 0 for none pending at acceptance.
    pub predecessor: u64,
    /// The lane in which it waited.
    pub lane: Lane,
    /// When the broker stored it; a replayed command, unless it is forced, when it was stored first.
    pub accepted_at: Timestamp,
    /// When the request was complete, by the broker's clock.
    pub arrival: Arrival,
    /// The command.
    pub envelope: Envelope<Command>,
    /// It is in the log again, because its first message became a dead letter.
    pub replayed: Option<Replayed>,
    /// The message as it is in the log, kept for the case that it has to be set aside.
    pub raw: RawMessage,
}

impl Accepted {
    /// The sequence at which it takes effect, which decides what is newer: a replayed command, unless it is forced, comes
    /// where it was accepted first.
    pub fn place(&self) -> u64 {
        self.replayed.filter(|replayed| !replayed.forced).map_or(self.sequence, |replayed| replayed.letter)
    }
}

/// A message's exact bytes.
#[derive(Debug, Clone)]
pub struct RawMessage {
    /// The subject on which it was published.
    pub subject: String,
    /// Its headers, as `Name: value` pairs.
    pub headers: Vec<(String, String)>,
    /// Its payload.
    pub payload: Bytes,
}
