//! Commands on users of the workspace `acme`, as an ingress would write them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use protocol::id::{OperationId, ResourceId};
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, FORMAT_VERSION, Fingerprint};
use protocol::message::lane::Lane;
use protocol::message::subject::CommandSubject;
use protocol::ownership::Source;
use protocol::scim::attributes::Attributes;
use protocol::scim::patch::PatchRequest;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use protocol::time::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::harness::scim;

/// 1970: who sent this gave up long ago.
const LONG_AGO: Timestamp = Timestamp::from_millis(0);
/// 2100.
const FAR_AHEAD: Timestamp = Timestamp::from_millis(4_102_444_800_000);

/// A message before it is in the log.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) lane: Lane,
    /// By which the broker drops a message that it has stored already.
    pub(crate) id: String,
    pub(crate) envelope: Envelope<Command>,
}

impl Message {
    /// POST of a user.
    pub(crate) fn create(user: ResourceId, name: &str) -> Self {
        let attributes = Attributes::parse(ResourceType::User, scim::user(name)).unwrap();
        Self::of(user, Command::Create { attributes, members: BTreeSet::new() })
    }

    /// PATCH of a user's title.
    pub(crate) fn set_title(user: ResourceId, title: &str) -> Self {
        let operations = json!([{ "op": "replace", "path": "title", "value": title }]);
        let request = PatchRequest::parse(ResourceType::User, scim::patch(&operations)).unwrap();
        Self::of(user, Command::Patch { request, precondition: Precondition::None })
    }

    /// PATCH that takes a user's access away, in its lane.
    pub(crate) fn deactivate(user: ResourceId) -> Self {
        let operations = json!([{ "op": "replace", "path": "active", "value": false }]);
        let request = PatchRequest::parse(ResourceType::User, scim::patch(&operations)).unwrap();
        let message = Self::of(user, Command::Patch { request, precondition: Precondition::None });
        message.in_lane(Lane::Urgent)
    }

    /// The same as a later build would write it, in a form that this one cannot read.
    pub(crate) fn too_new(mut self) -> Self {
        self.envelope.version = 99;
        self
    }

    /// The same in another lane.
    pub(crate) fn in_lane(self, lane: Lane) -> Self {
        Self { lane, ..self }
    }

    /// The same with a deadline that has passed.
    pub(crate) fn too_late(mut self) -> Self {
        self.envelope.deadline = LONG_AGO;
        self
    }

    /// The same as the broker takes it once more while it remembers the operation.
    pub(crate) fn under_another_id(mut self) -> Self {
        self.id.push_str(":again");
        self
    }

    /// The subject below the namespace.
    pub(crate) fn subject(&self) -> CommandSubject {
        let Envelope { workspace, resource_type, resource, .. } = &self.envelope;
        let (workspace, resource_type, resource) = (workspace.clone(), *resource_type, *resource);
        CommandSubject { lane: self.lane, workspace, resource_type, resource }
    }

    fn of(resource: ResourceId, body: Command) -> Self {
        let operation = OperationId(next_id());
        let envelope = Envelope {
            version: FORMAT_VERSION,
            operation,
            workspace: "acme".parse().unwrap(),
            resource_type: ResourceType::User,
            resource,
            source: Source::IdentityProvider,
            token: None,
            fingerprint: Fingerprint(operation.to_string()),
            ingress: "nobody".parse().unwrap(),
            deadline: FAR_AHEAD,
            trace: None,
            extensions: Extensions::default(),
            body,
        };
        Self { lane: Lane::Interactive, id: operation.to_string(), envelope }
    }
}

/// The id of a user that nobody else has.
pub(crate) fn new_user() -> ResourceId {
    ResourceId(next_id())
}

/// In ascending order, as those of an ingress.
fn next_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}
