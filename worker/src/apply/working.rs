//! The working set of a batch: what its commands see and change, in memory, in the order of the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use protocol::access::Verdict;
use protocol::decide::{Change, Directory, MemberEdit, decide};
use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::member::Member;
use protocol::scim::name::CanonicalName;
use protocol::scim::resource::{Resource, ResourceType};
use protocol::time::Timestamp;
use serde_json::Value;

use super::membership::Membership;
use crate::accepted::Accepted;
use crate::store::row::{Image, Key, set_members};

/// The most members that a command names and is answered with: an outcome has to fit into one message. Of more, nobody
/// is looked up, and the ingress asks for them by pages.
pub(super) const MOST_SHOWN: usize = 1_000;

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
}

/// A resource before the batch and after the commands so far.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) stored: Option<Image>,
    pub(super) now: Option<Image>,
    /// The e-mail addresses by which the stored row is listed.
    pub(super) emails: BTreeSet<String>,
}

impl WorkingSet {
    /// Decides one command and carries it out in memory.
    pub(super) fn apply(&mut self, policy: &OwnershipPolicy, accepted: &Accepted, now: Timestamp) -> Outcome {
        let envelope = &accepted.envelope;
        let key = Key { workspace: envelope.workspace.clone(), id: envelope.resource };
        let current = self.current(envelope.resource_type, &key).map(|image| &image.resource);
        let directory = InWorkspace { set: self, workspace: &key.workspace };
        match decide(current, envelope, &directory, policy, Verdict::Counts, now) {
            Ok(Change::Create { resource, members } | Change::Update { resource, members }) => {
                if let Some(error) = too_long(&resource) {
                    return Outcome::Rejected { error };
                }
                self.write(&key, resource, &members, accepted);
                self.outcome(&key, accepted)
            }
            Ok(Change::Unchanged) => {
                self.confirm_active(&key, accepted);
                self.outcome(&key, accepted)
            }
            Ok(Change::Delete) => {
                self.delete(&key, accepted, now);
                Outcome::Deleted
            }
            Ok(Change::Superseded) => Outcome::Superseded,
            Err(error) => Outcome::Rejected { error },
        }
    }

    fn write(&mut self, key: &Key, mut resource: Resource, members: &MemberEdit, accepted: &Accepted) {
        let resource_type = resource.resource_type;
        let before = self.current(resource_type, key);
        let mut active_seq = before.map_or(0, |image| image.active_seq);
        if resource_type == ResourceType::User && accepted.sequence > active_seq {
            if writes_active(&accepted.envelope.body) {
                active_seq = accepted.sequence;
            }
        } else if let Some(active) = before.and_then(|image| image.resource.attributes.user().active()) {
            // Only a later command changes `active`: an older one that comes late revives nobody.
            resource.attributes.set("active", Value::Bool(active));
        }
        let count = before.map_or(0, |image| image.member_count);
        let old_name = before.and_then(Image::name);
        let member_count = match resource_type {
            ResourceType::User => 0,
            ResourceType::Group => self.members.entry(key.clone()).or_default().edit(members, count),
        };
        let extensions = accepted.envelope.extensions.clone();
        let image = Image { resource, active_seq, last_sequence: accepted.sequence, member_count, extensions };
        self.release(key, resource_type, old_name);
        if let Some(name) = image.name() {
            self.holders.insert((key.workspace.clone(), resource_type, name), key.id);
        }
        self.entries(resource_type).entry(key.clone()).or_default().now = Some(image);
    }

    /// Nothing changes, but it is said later than before whether the user is active.
    fn confirm_active(&mut self, key: &Key, accepted: &Accepted) {
        let user = self.users.get_mut(key).and_then(|entry| entry.now.as_mut());
        if let Some(image) = user
            && accepted.envelope.resource_type == ResourceType::User
            && writes_active(&accepted.envelope.body)
        {
            image.active_seq = image.active_seq.max(accepted.sequence);
            image.extensions = accepted.envelope.extensions.clone();
        }
    }

    fn delete(&mut self, key: &Key, accepted: &Accepted, now: Timestamp) {
        let resource_type = accepted.envelope.resource_type;
        let old_name = self.current(resource_type, key).and_then(Image::name);
        self.release(key, resource_type, old_name);
        self.entries(resource_type).entry(key.clone()).or_default().now = None;
        let edit = MemberEdit { remove: [key.id].into(), ..MemberEdit::default() };
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
    fn outcome(&self, key: &Key, accepted: &Accepted) -> Outcome {
        let resource_type = accepted.envelope.resource_type;
        let Some(image) = self.current(resource_type, key) else { return Outcome::Deleted };
        let mut resource = image.resource.clone();
        match (resource_type, &accepted.envelope.body) {
            (ResourceType::Group, Command::Patch { .. } | Command::Delete { .. }) => {
                return Outcome::UpdatedWithoutBody { version: resource.meta.version };
            }
            (ResourceType::Group, Command::Create { attributes } | Command::Replace { attributes, .. }) => {
                let mut named: Vec<ResourceId> = attributes.group().member_ids().collect();
                named.sort_unstable();
                named.dedup();
                resource.members_apart = named.len() > MOST_SHOWN;
                if !resource.members_apart {
                    let live = named.into_iter().filter_map(|id| self.member(&key.workspace, id));
                    set_members(&mut resource, &live.collect::<Vec<_>>());
                }
            }
            (ResourceType::User, _) => {}
        }
        let resource = Box::new(resource);
        match &accepted.envelope.body {
            Command::Create { .. } => Outcome::Created { resource },
            Command::Replace { .. } | Command::Patch { .. } | Command::Delete { .. } => Outcome::Updated { resource },
        }
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

    fn current(&self, resource_type: ResourceType, key: &Key) -> Option<&Image> {
        let entries = match resource_type {
            ResourceType::User => &self.users,
            ResourceType::Group => &self.groups,
        };
        entries.get(key)?.now.as_ref()
    }

    fn entries(&mut self, resource_type: ResourceType) -> &mut BTreeMap<Key, Entry> {
        match resource_type {
            ResourceType::User => &mut self.users,
            ResourceType::Group => &mut self.groups,
        }
    }
}

/// What is indexed has a length that an index can hold: PostgreSQL's take 2,704 bytes, and case folding can triple.
fn too_long(resource: &Resource) -> Option<ScimError> {
    const MOST_BYTES: usize = 800;
    let long = |name: &&str| resource.attributes.string(name).is_some_and(|value| value.len() > MOST_BYTES);
    let name = ["userName", "displayName", "externalId"].into_iter().find(long)?;
    Some(ScimError::bad_request(ScimType::InvalidValue, format!("{name} is longer than {MOST_BYTES} bytes")))
}

fn member_of(resource: &Resource) -> Member {
    let display = Some(resource.attributes.user().display().to_owned());
    Member { id: resource.id, resource_type: resource.resource_type, display }
}

/// Whether a command says whether the user is active.
fn writes_active(command: &Command) -> bool {
    match command {
        Command::Create { .. } => true,
        Command::Replace { attributes, .. } => attributes.user().active().is_some(),
        Command::Patch { request, .. } => request.written().contains("active"),
        Command::Delete { .. } => false,
    }
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

impl Directory for InWorkspace<'_> {
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
