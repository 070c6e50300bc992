//! The working set of a batch: what its commands see and change, in memory, in the order of the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protocol::access::Verdict;
use protocol::decide::{Change, Lookup, decide};
use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::ownership::{OwnershipPolicy, Source};
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::members::{Member, MemberDelta, Members};
use protocol::scim::name::CanonicalName;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;

use super::creates::Creates;
use super::membership::Membership;
use crate::accepted::Accepted;
use crate::store::entity::operation;
use crate::store::fence::Fence;
use crate::store::stored_resource::{Key, StoredResource};

/// The most members that a command names and is answered with: an outcome has to fit into one message. Of more, none
/// is looked up, and the ingress asks for them by pages.
pub(super) const MAX_SHOWN: usize = 1_000;

/// A unique name within a workspace.
pub(super) type Name = (WorkspaceId, ResourceType, CanonicalName);

/// Everything that a batch's commands may see. Users and groups hold an entry for each key that was locked.
#[derive(Debug, Default)]
pub(super) struct WorkingSet {
    pub(super) users: BTreeMap<Key, Entry>,
    pub(super) groups: BTreeMap<Key, Entry>,
    pub(super) members: BTreeMap<Key, Membership>,
    /// Who holds each name that a command of the batch claims.
    pub(super) holders: HashMap<Name, ResourceId>,
    /// Of the members that a created or replaced group names, those that were live before the batch.
    pub(super) live: HashMap<Key, Member>,
    /// The creates that those of the batch may repeat.
    pub(super) creates: Creates,
}

/// A resource before the batch and after the commands so far.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) stored: Option<StoredResource>,
    pub(super) now: Option<StoredResource>,
    /// The fence that is stored instead of a user.
    pub(super) fence: Option<Fence>,
    /// The fence is not needed any more.
    pub(super) fence_lifted: bool,
    /// The e-mail addresses by which the stored row is listed.
    pub(super) emails: BTreeSet<String>,
}

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// Its word on access did not count.
    pub(super) yielded: bool,
}

impl WorkingSet {
    /// Decides one command and carries it out in memory, unless it shares the end of `attempt`: its predecessor, which was
    /// the same request.
    pub(super) fn apply(
        &mut self,
        policy: &OwnershipPolicy,
        accepted: &Accepted,
        attempt: Option<&operation::Model>,
        now: Timestamp,
    ) -> Ended {
        let key = Key::of_command(accepted);
        let verdict = self.verdict(&key, accepted);
        let attached = attempt.and_then(|attempt| self.attached(&key, verdict, accepted, attempt));
        let is_attached = attached.is_some();
        let outcome = attached.unwrap_or_else(|| self.decided(policy, &key, verdict, accepted, now));
        self.lift_fence(&key, accepted);
        if is_attached {
            return Ended { outcome, yielded: false };
        }
        let refused = matches!(outcome, Outcome::Rejected { .. } | Outcome::Duplicate { .. });
        Ended { outcome, yielded: verdict != Verdict::Counts && !refused }
    }

    /// Whether a command on a resource that is there would be refused now. Knows of no name but the resource's own.
    pub(super) fn would_refuse(
        &self,
        policy: &OwnershipPolicy,
        key: &Key,
        accepted: &Accepted,
        now: Timestamp,
    ) -> bool {
        let envelope = &accepted.envelope;
        let current = self.current(envelope.resource_type, key).map(|image| &image.resource);
        let directory = InWorkspace { set: self, workspace: &key.workspace };
        match decide(current, envelope, &directory, policy, Verdict::Counts, now) {
            Ok(Change::Create { resource, .. } | Change::Update { resource, .. }) => too_long(&resource).is_some(),
            Ok(Change::Unchanged | Change::Delete | Change::Superseded) => false,
            Err(_) => true,
        }
    }

    fn decided(
        &mut self,
        policy: &OwnershipPolicy,
        key: &Key,
        verdict: Verdict,
        accepted: &Accepted,
        now: Timestamp,
    ) -> Outcome {
        let envelope = &accepted.envelope;
        let current = self.current(envelope.resource_type, key).map(|image| &image.resource);
        let directory = InWorkspace { set: self, workspace: &key.workspace };
        match decide(current, envelope, &directory, policy, verdict, now) {
            Ok(change) => self.carry_out(key, change, verdict, accepted, now),
            Err(error) => self.refuse(error, accepted),
        }
    }

    /// Remembers how a command ended, for those behind it in the batch.
    pub(super) fn remember(&mut self, row: &operation::Model) {
        self.creates.remember(row);
    }

    fn carry_out(
        &mut self,
        key: &Key,
        change: Change,
        verdict: Verdict,
        accepted: &Accepted,
        now: Timestamp,
    ) -> Outcome {
        match change {
            Change::Create { .. } if self.creates.has_superseded(accepted) => Outcome::Superseded,
            Change::Create { resource, members } | Change::Update { resource, members } => {
                if let Some(error) = too_long(&resource) {
                    return Outcome::Rejected { error };
                }
                self.write(key, resource, &members, verdict, accepted);
                self.outcome(key, accepted)
            }
            Change::Unchanged => {
                self.confirm_active(key, verdict, accepted);
                self.note_unchanged(key, accepted);
                self.outcome(key, accepted)
            }
            Change::Delete => {
                self.delete(key, accepted, now);
                Outcome::Deleted
            }
            Change::Superseded => Outcome::Superseded,
        }
    }

    /// A command that changes nothing is a later word all the same: an older one that is replayed yields to it.
    fn note_unchanged(&mut self, key: &Key, accepted: &Accepted) {
        let entry = self.entries(accepted.envelope.resource_type).get_mut(key);
        if let Some(image) = entry.and_then(|entry| entry.now.as_mut()) {
            image.last_sequence = image.last_sequence.max(accepted.place());
            image.extensions = accepted.envelope.extensions.clone();
        }
    }

    fn refuse(&mut self, error: ScimError, accepted: &Accepted) -> Outcome {
        let is_create = matches!(accepted.envelope.body, Command::Create { .. });
        let may_be_duplicate = is_create && error.scim_type == Some(ScimType::Uniqueness);
        let duplicate = may_be_duplicate.then(|| self.duplicate(accepted)).flatten();
        duplicate.unwrap_or(Outcome::Rejected { error })
    }

    fn write(&mut self, key: &Key, resource: Resource, members: &MemberDelta, verdict: Verdict, accepted: &Accepted) {
        let resource_type = resource.resource_type;
        let standing = self.standing_after(key, verdict, accepted);
        let envelope = &accepted.envelope;
        let fence = self.users.get(key).and_then(|entry| entry.fence);
        let before = self.current(resource_type, key);
        let provider_sequence = match (envelope.source, before) {
            (Source::IdentityProvider, _) => accepted.place(),
            (Source::Application, before) => before.map_or(0, |image| image.provider_sequence),
        };
        let provider_sequence = provider_sequence.max(fence.map_or(0, |fence| fence.provider_sequence));
        let created_by = before.map_or(Some(envelope.operation), |image| image.created_by);
        let count = before.map_or(0, |image| image.member_count);
        let old_name = before.and_then(StoredResource::name);
        let member_count = match resource_type {
            ResourceType::User => 0,
            ResourceType::Group => self.members.entry(key.clone()).or_default().edit(members, count),
        };
        let image = StoredResource {
            resource,
            standing,
            last_sequence: accepted.place(),
            created_by,
            provider_sequence,
            member_count,
            extensions: envelope.extensions.clone(),
        };
        self.release(key, resource_type, old_name);
        if let Some(name) = image.name() {
            self.holders.insert((key.workspace.clone(), resource_type, name), key.id);
        }
        self.entries(resource_type).entry(key.clone()).or_default().now = Some(image);
    }

    fn delete(&mut self, key: &Key, accepted: &Accepted, now: Timestamp) {
        let resource_type = accepted.envelope.resource_type;
        let old_name = self.current(resource_type, key).and_then(StoredResource::name);
        self.release(key, resource_type, old_name);
        let entry = self.entries(resource_type).entry(key.clone()).or_default();
        entry.now = None;
        entry.fence_lifted = true;
        let edit = MemberDelta { remove: [key.id].into(), ..MemberDelta::default() };
        let in_workspace = self.members.iter_mut().filter(|(group, _)| group.workspace == key.workspace);
        for (group, membership) in in_workspace.filter(|(_, membership)| membership.contains(key.id)) {
            let Some(image) = self.groups.get_mut(group).and_then(|entry| entry.now.as_mut()) else { continue };
            image.member_count = membership.edit(&edit, image.member_count);
            // Who reads the group finds a member less: another representation, another version.
            image.resource.meta.version = image.resource.meta.version.next();
            image.resource.meta.last_modified = now;
            image.extensions = accepted.envelope.extensions.clone();
        }
        if resource_type == ResourceType::Group {
            self.members.insert(key.clone(), Membership::cleared());
        }
    }

    fn release(&mut self, key: &Key, resource_type: ResourceType, name: Option<CanonicalName>) {
        let Some(name) = name else { return };
        let name = (key.workspace.clone(), resource_type, name);
        if self.holders.get(&name) == Some(&key.id) {
            self.holders.remove(&name);
        }
    }

    /// The answer to a command that was carried out, with the resource as it is after it.
    pub(super) fn outcome(&self, key: &Key, accepted: &Accepted) -> Outcome {
        let resource_type = accepted.envelope.resource_type;
        let Some(image) = self.current(resource_type, key) else { return Outcome::Deleted };
        match (resource_type, &accepted.envelope.body) {
            (ResourceType::Group, Command::Patch { .. } | Command::Delete { .. }) => {
                Outcome::UpdatedWithoutBody { version: image.resource.meta.version }
            }
            (_, Command::Create { members, .. }) => {
                Outcome::Created { resource: Box::new(self.shown(&key.workspace, image, members)) }
            }
            (_, Command::Replace { members, .. }) => {
                Outcome::Updated { resource: Box::new(self.shown(&key.workspace, image, members)) }
            }
            (ResourceType::User, Command::Patch { .. } | Command::Delete { .. }) => {
                Outcome::Updated { resource: Box::new(image.resource.clone()) }
            }
        }
    }

    /// The resource with those of its members that are live, if it is a group of these.
    pub(super) fn shown(
        &self,
        workspace: &WorkspaceId,
        image: &StoredResource,
        members: &BTreeSet<ResourceId>,
    ) -> Resource {
        let mut resource = image.resource.clone();
        if resource.resource_type == ResourceType::Group {
            resource.members = if members.len() > MAX_SHOWN {
                Members::Paged
            } else {
                Members::Read(members.iter().filter_map(|id| self.member(workspace, *id)).collect())
            };
        }
        resource
    }

    /// The live user or group of that id.
    fn member(&self, workspace: &WorkspaceId, id: ResourceId) -> Option<Member> {
        let key = Key { workspace: workspace.clone(), id };
        let changed = [self.users.get(&key), self.groups.get(&key)].into_iter().flatten();
        let mut seen = false;
        for entry in changed {
            seen |= entry.stored.is_some();
            if let Some(image) = &entry.now {
                return Some(member_of(&image.resource));
            }
        }
        if seen { None } else { self.live.get(&key).cloned() }
    }

    pub(super) fn current(&self, resource_type: ResourceType, key: &Key) -> Option<&StoredResource> {
        let entries = match resource_type {
            ResourceType::User => &self.users,
            ResourceType::Group => &self.groups,
        };
        entries.get(key)?.now.as_ref()
    }

    pub(super) fn entries(&mut self, resource_type: ResourceType) -> &mut BTreeMap<Key, Entry> {
        match resource_type {
            ResourceType::User => &mut self.users,
            ResourceType::Group => &mut self.groups,
        }
    }
}

/// What is indexed has a length that an index can hold: PostgreSQL's take 2,704 bytes, and case folding can triple.
fn too_long(resource: &Resource) -> Option<ScimError> {
    const MAX_BYTES: usize = 800;
    let long = |name: &&str| resource.attributes.string(name).is_some_and(|value| value.len() > MAX_BYTES);
    let name = ["userName", "displayName", "externalId"].into_iter().find(long)?;
    Some(ScimError::bad_request(ScimType::InvalidValue, format!("{name} is longer than {MAX_BYTES} bytes")))
}

fn member_of(resource: &Resource) -> Member {
    let display = Some(resource.attributes.user().display().to_owned());
    Member { id: resource.id, resource_type: resource.resource_type, display }
}

/// The working set as a command of one workspace sees it.
struct InWorkspace<'a> {
    set: &'a WorkingSet,
    workspace: &'a WorkspaceId,
}

impl InWorkspace<'_> {
    fn key(&self, id: ResourceId) -> Key {
        Key { workspace: self.workspace.clone(), id }
    }
}

impl Lookup for InWorkspace<'_> {
    fn holder(&self, resource_type: ResourceType, name: &CanonicalName) -> Option<ResourceId> {
        self.set.holders.get(&(self.workspace.clone(), resource_type, name.clone())).copied()
    }

    fn member_count(&self, group: ResourceId) -> u64 {
        self.set.current(ResourceType::Group, &self.key(group)).map_or(0, |image| image.member_count)
    }

    fn is_member(&self, group: ResourceId, member: ResourceId) -> bool {
        self.set.members.get(&self.key(group)).is_some_and(|membership| membership.contains(member))
    }
}
