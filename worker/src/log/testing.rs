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
use crate::log::delivery::{AckHandle, Content, Delivery};
use crate::log::keep_alive::KeepAlive;

/// A command on a user, with its place in the log; not delivered.
pub(crate) fn command(user: u128, sequence: u64, predecessor: u64) -> Delivery {
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
    let workspace = Some(envelope.workspace.clone());
    let accepted = Accepted { epoch: 0, sequence, predecessor, lane, accepted_at, arrival, envelope, raw };
    let content = Content::Command(Box::new(accepted));
    Delivery { sequence, predecessor, accepted_at, workspace, content, ack: None, suspect: false, parkings: 0 }
}

/// The command as one that a lane delivered.
pub(crate) fn delivered(command: Delivery, lane: Lane) -> Delivery {
    let reply = async_nats::Subject::from(format!("reply.{}", command.sequence));
    Delivery { ack: Some(AckHandle::new(lane, reply, 0, &KeepAlive::default(), None)), ..command }
}

/// The sequences of deliveries.
pub(crate) fn sequences(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.sequence).collect()
}
