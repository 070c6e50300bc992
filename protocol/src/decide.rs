//! The heart: what a command does to a resource. Pure, so that every rule can be tested with values.

use std::collections::BTreeSet;

use crate::id::ResourceId;
use crate::message::command::Command;
use crate::message::envelope::Envelope;
use crate::ownership::OwnershipPolicy;
use crate::scim::error::ScimError;
use crate::scim::name::CanonicalName;
use crate::scim::resource::{Resource, ResourceType};
use crate::time::Timestamp;

/// What is known of other rows, answered from the batch's working set.
pub trait Directory {
    /// Which live resource of that kind in the command's workspace holds this unique name.
    fn holder(&self, resource_type: ResourceType, name: &CanonicalName) -> Option<ResourceId>;

    /// How many member rows a group has.
    fn member_count(&self, group: ResourceId) -> u64;

    /// Whether a group has a member row for this id. Asked only for ids in [`named_members`].
    fn is_member(&self, group: ResourceId, member: ResourceId) -> bool;
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A new row, and the member rows of a new group.
    Create {
        /// The resource, without `members`.
        resource: Resource,
        /// Its members.
        members: MemberEdit,
    },
    /// New values for the row, and changed member rows.
    Update {
        /// The resource after the change, its version raised, without `members`.
        resource: Resource,
        /// Its members.
        members: MemberEdit,
    },
    /// Nothing: the resource is as the command wants it. Version and `lastModified` stay.
    Unchanged,
    /// The row goes, with its member rows and those that name it.
    Delete,
}

/// A change of a group's member rows: first `clear`, then `remove`, then `add`. No id is in both sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberEdit {
    /// All rows go first; `remove` is empty then.
    pub clear: bool,
    /// Rows to delete.
    pub remove: BTreeSet<ResourceId>,
    /// Rows to insert, unless they are there.
    pub add: BTreeSet<ResourceId>,
}

/// The names that a command may claim: what has to be looked up before [`decide`] can say whether they are free.
pub fn claimed_names(resource_type: ResourceType, command: &Command) -> Vec<CanonicalName> {
    let _ = (resource_type, command);
    Vec::new()
}

/// The ids that a command on a group names as members: what has to be looked up before [`decide`] can count.
pub fn named_members(resource_type: ResourceType, command: &Command) -> BTreeSet<ResourceId> {
    let _ = (resource_type, command);
    BTreeSet::new()
}

/// Decides what a command does: precondition, then the change itself, then ownership, then schema and uniqueness.
///
/// `current` is the resource under its lock, without `members`; none if there is none with this id in the workspace.
pub fn decide(
    current: Option<&Resource>,
    envelope: &Envelope<Command>,
    directory: &impl Directory,
    policy: &OwnershipPolicy,
    now: Timestamp,
) -> Result<Change, ScimError> {
    let _ = (current, envelope, directory, policy, now);
    Err(ScimError::not_found())
}
