//! A log of commands, as the broker would deliver it.

use std::time::Duration;

use protocol::access::Arrival;
use protocol::id::{IngressId, OperationId, ResourceId};
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, FORMAT_VERSION, Fingerprint};
use protocol::message::lane::Lane;
use protocol::ownership::Source;
use protocol::scim::attributes::Attributes;
use protocol::scim::patch::PatchRequest;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use protocol::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;
use worker::accepted::{Accepted, RawMessage};

/// By how much an arrival may be wrong.
const ERROR: Duration = Duration::from_millis(10);

/// When everything happens.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Hands out sequences.
pub(crate) struct Log {
    workspace: &'static str,
    next: u64,
}

impl Log {
    /// A log that begins at sequence 1.
    pub(crate) fn of(workspace: &'static str) -> Self {
        Self::from(workspace, 1)
    }

    /// A log that begins at a later sequence.
    pub(crate) fn from(workspace: &'static str, next: u64) -> Self {
        Self { workspace, next }
    }

    /// Accepts a command.
    pub(crate) fn accept(&mut self, resource_type: ResourceType, resource: ResourceId, body: Command) -> Accepted {
        let sequence = self.next;
        self.next += 1;
        let operation = OperationId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(sequence)));
        let envelope = Envelope {
            version: FORMAT_VERSION,
            operation,
            workspace: self.workspace.parse().unwrap(),
            resource_type,
            resource,
            source: Source::IdentityProvider,
            token: Some("abc".parse().unwrap()),
            fingerprint: Fingerprint(format!("fingerprint {sequence}")),
            ingress: "ingress1".parse::<IngressId>().unwrap(),
            deadline: NOW,
            trace: None,
            extensions: Extensions::default(),
            body,
        };
        let payload = envelope.encode().unwrap().into();
        let raw = RawMessage { subject: "rosterd.cmd.x".to_owned(), headers: Vec::new(), payload };
        let (lane, arrival) = (Lane::Interactive, Arrival::new(NOW, Duration::ZERO));
        Accepted { epoch: 0, sequence, predecessor: 0, lane, accepted_at: NOW, arrival, envelope, raw }
    }

    /// Accepts a command on a user.
    pub(crate) fn user(&mut self, id: u128, body: Command) -> Accepted {
        self.accept(ResourceType::User, user(id), body)
    }

    /// Accepts a command on a group.
    pub(crate) fn group(&mut self, id: u128, body: Command) -> Accepted {
        self.accept(ResourceType::Group, group(id), body)
    }
}

/// The command as one that arrived and was accepted then, in milliseconds after [`NOW`].
pub(crate) fn at(arrived: i64, accepted: i64, command: Accepted) -> Accepted {
    let after = |millis: i64| Timestamp::from_millis(NOW.as_millis() + millis);
    Accepted { arrival: Arrival::new(after(arrived), ERROR), accepted_at: after(accepted), ..command }
}

/// The command as one that was sent as this request.
pub(crate) fn sent_as(fingerprint: &str, mut command: Accepted) -> Accepted {
    command.envelope.fingerprint = Fingerprint(fingerprint.to_owned());
    command
}

/// The batch as it is applied.
pub(crate) fn refs(batch: &[Accepted]) -> Vec<&Accepted> {
    batch.iter().collect()
}

/// A user's id.
pub(crate) fn user(id: u128) -> ResourceId {
    ResourceId(Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + id))
}

/// A group's id.
pub(crate) fn group(id: u128) -> ResourceId {
    ResourceId(Uuid::from_u128(0x0190_0000_0000_7000_a000_0000_0000_0000 + id))
}

/// POST of a user.
pub(crate) fn new_user(name: &str) -> Command {
    Command::Create { attributes: user_attributes(json!({ "userName": name })) }
}

/// POST of a user with more attributes.
pub(crate) fn new_user_with(attributes: Value) -> Command {
    Command::Create { attributes: user_attributes(attributes) }
}

/// PUT of a user.
pub(crate) fn put_user(attributes: Value) -> Command {
    Command::Replace { attributes: user_attributes(attributes), precondition: Precondition::None }
}

/// POST of a group.
pub(crate) fn new_group(name: &str, members: &[ResourceId]) -> Command {
    Command::Create { attributes: group_attributes(name, members) }
}

/// PUT of a group.
pub(crate) fn put_group(name: &str, members: &[ResourceId]) -> Command {
    Command::Replace { attributes: group_attributes(name, members), precondition: Precondition::None }
}

/// PATCH with one operation.
pub(crate) fn patch(resource_type: ResourceType, operation: &Value) -> Command {
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation] });
    let request = PatchRequest::parse(resource_type, body).unwrap();
    Command::Patch { request, precondition: Precondition::None }
}

/// PATCH of a user: replace one attribute.
pub(crate) fn set(path: &str, value: impl Into<Value>) -> Command {
    patch(ResourceType::User, &json!({ "op": "replace", "path": path, "value": value.into() }))
}

/// PATCH of a group: add members.
pub(crate) fn add_members(members: &[ResourceId]) -> Command {
    patch(ResourceType::Group, &json!({ "op": "add", "path": "members", "value": values(members) }))
}

/// PATCH of a group: remove one member.
pub(crate) fn remove_member(member: ResourceId) -> Command {
    patch(ResourceType::Group, &json!({ "op": "remove", "path": format!("members[value eq \"{member}\"]") }))
}

/// DELETE.
pub(crate) fn delete() -> Command {
    Command::Delete { precondition: Precondition::None }
}

fn user_attributes(attributes: Value) -> Attributes {
    let Value::Object(mut body) = attributes else { panic!("attributes are an object") };
    body.insert("schemas".to_owned(), json!(["urn:ietf:params:scim:schemas:core:2.0:User"]));
    Attributes::parse(ResourceType::User, Value::Object(body)).unwrap()
}

fn group_attributes(name: &str, members: &[ResourceId]) -> Attributes {
    let schemas = ["urn:ietf:params:scim:schemas:core:2.0:Group"];
    let body = json!({ "schemas": schemas, "displayName": name, "members": values(members) });
    Attributes::parse(ResourceType::Group, body).unwrap()
}

fn values(members: &[ResourceId]) -> Vec<Value> {
    members.iter().map(|member| json!({ "value": member.to_string() })).collect()
}
