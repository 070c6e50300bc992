//! Commands for this module's own tests.

use std::time::Duration;

use bytes::Bytes;
use protocol::access::Arrival;
use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, FORMAT_VERSION, Fingerprint};
use protocol::message::lane::Lane;
use protocol::ownership::Source;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use protocol::time::Timestamp;

use crate::accepted::{Accepted, RawMessage};
use crate::log::delivery::{Item, Logged, Reading, Ticket};
use crate::log::progress::Progress;

/// A command on a user, with its place in the log; not delivered.
pub(crate) fn command(user: u128, sequence: u64, predecessor: u64) -> Item {
    let envelope = Envelope {
        version: FORMAT_VERSION,
        operation: format!("01900000-0000-7000-8000-{sequence:012}").parse().unwrap(),
        workspace: "acme".parse().unwrap(),
        resource_type: ResourceType::User,
        resource: format!("01900000-0000-7000-9000-{user:012}").parse::<ResourceId>().unwrap(),
        source: Source::IdentityProvider,
        token: None,
        fingerprint: Fingerprint("00".repeat(32)),
        ingress: "one".parse().unwrap(),
        deadline: Timestamp::from_millis(i64::MAX),
        trace: None,
        extensions: Extensions::default(),
        body: Command::Delete { precondition: Precondition::None },
    };
    let raw = RawMessage { subject: String::new(), headers: Vec::new(), payload: Bytes::new() };
    let accepted_at = Timestamp::from_millis(0);
    let arrival = Arrival::new(accepted_at, Duration::ZERO);
    let lane = Lane::Interactive;
    let accepted = Accepted { epoch: 0, sequence, predecessor, lane, accepted_at, arrival, envelope, raw };
    Item {
        logged: Logged { sequence, predecessor, accepted_at, reading: Reading::Command(Box::new(accepted)) },
        ticket: None,
        suspect: false,
        parkings: 0,
    }
}

/// The item as a delivery of a lane.
pub(crate) fn delivered(item: Item, lane: Lane) -> Item {
    let reply = async_nats::Subject::from(format!("reply.{}", item.sequence()));
    let kept_alive = Progress::default().keep(&reply);
    Item { ticket: Some(Ticket::without_room(lane, reply, kept_alive)), ..item }
}

/// The sequences of items.
pub(crate) fn sequences(items: &[Item]) -> Vec<u64> {
    items.iter().map(Item::sequence).collect()
}
