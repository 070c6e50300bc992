//! The heart: what a command does to a resource. Pure, so that every rule can be tested with values.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::access::{Access, Verdict};
use crate::id::ResourceId;
use crate::message::command::Command;
use crate::message::envelope::Envelope;
use crate::ownership::{OwnershipPolicy, Source};
use crate::scim::attributes::Attributes;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::members::MemberDelta;
use crate::scim::name::CanonicalName;
use crate::scim::patch::PatchRequest;
use crate::scim::precondition::Precondition;
use crate::scim::resource::{Meta, Ownership, Resource, Version};
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{Mutability, ResourceSchema};
use crate::time::Timestamp;

/// What is known of other rows, answered from the batch's working set.
pub trait Lookup {
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
        members: MemberDelta,
    },
    /// New values for the row, and changed member rows.
    Update {
        /// The resource after the change, its version raised, without `members`.
        resource: Resource,
        /// Its members.
        members: MemberDelta,
    },
    /// Nothing: the resource is as the command wants it. Version and `lastModified` stay.
    Unchanged,
    /// The row goes, with its member rows and those that name it.
    Delete,
    /// Nothing: all that the command asks for is about access, and its word on that does not count.
    Superseded,
}

/// The names that a command may claim: what has to be looked up before [`decide`] can say whether they are free. It may
/// name more than the command comes to claim, never less.
pub fn claimed_names(resource_type: ResourceType, command: &Command) -> Vec<CanonicalName> {
    let name = resource_type.unique_attribute();
    let mut names: Vec<CanonicalName> = match command {
        Command::Create { attributes, .. } | Command::Replace { attributes, .. } => {
            attributes.string(name).map(CanonicalName::of).into_iter().collect()
        }
        Command::Patch { request, .. } => {
            request.values_of(name).filter_map(Value::as_str).map(CanonicalName::of).collect()
        }
        Command::Delete { .. } => Vec::new(),
    };
    names.sort_unstable();
    names.dedup();
    names
}

/// The ids that a command on a group names as members: what has to be looked up before [`decide`] can count.
pub fn named_members(resource_type: ResourceType, command: &Command) -> BTreeSet<ResourceId> {
    match (resource_type, command) {
        (ResourceType::User, _) | (ResourceType::Group, Command::Delete { .. }) => BTreeSet::new(),
        (ResourceType::Group, Command::Create { members, .. } | Command::Replace { members, .. }) => members.clone(),
        (ResourceType::Group, Command::Patch { request, .. }) => {
            let edit = request.member_delta();
            edit.remove.union(&edit.add).copied().collect()
        }
    }
}

/// Decides what a command does: precondition, then the change itself, then ownership, then schema and uniqueness.
/// `verdict` says whether its word on a user's access counts ([`access::verdict`](crate::access::verdict)).
///
/// `current` is the resource as it is, under its lock, a group's without `members`. An error is what the client sees:
/// 400, 403, 404, 409 or 412. Nothing has changed then.
pub fn decide(
    current: Option<&Resource>,
    envelope: &Envelope<Command>,
    directory: &impl Lookup,
    policy: &OwnershipPolicy,
    verdict: Verdict,
    now: Timestamp,
) -> Result<Change, ScimError> {
    let schema = envelope.extensions.of(envelope.resource_type);
    let (resource_type, id) = (envelope.resource_type, envelope.resource);
    let decision = Decision { schema, resource_type, id, directory, verdict, now };
    if envelope.source == Source::Application && !matches!(envelope.body, Command::Patch { .. }) {
        return Err(ScimError::new(403, "the product may change single attributes only"));
    }
    match &envelope.body {
        Command::Create { attributes, members } => decision.create(current, attributes.clone(), members.clone()),
        Command::Replace { attributes, members, precondition } => {
            let current = existing(current, precondition)?;
            let after = decision.replaced(current, attributes.clone())?;
            // RFC 7644 §3.5.1: a group that the body gives no members has none.
            let clear = envelope.resource_type == ResourceType::Group;
            let members = MemberDelta { clear, remove: BTreeSet::new(), add: members.clone() };
            let written = BTreeSet::new();
            let owned = policy.enforce(envelope.source, &current.ownership, &current.attributes, after, &written)?;
            let change = decision.update(current, owned, members)?;
            Ok(decision.yielded(change, current, &envelope.body))
        }
        Command::Patch { request, precondition } => {
            let current = existing(current, precondition)?;
            let (after, members) = decision.patched(current, request, envelope.source)?;
            let written = request.written();
            let owned = policy.enforce(envelope.source, &current.ownership, &current.attributes, after, &written)?;
            let change = decision.update(current, owned, members)?;
            Ok(decision.yielded(change, current, &envelope.body))
        }
        Command::Delete { precondition } => {
            let current = existing(current, precondition)?;
            Ok(decision.yielded(Change::Delete, current, &envelope.body))
        }
    }
}

/// The resource, if it exists and has a version that the precondition allows.
fn existing<'a>(current: Option<&'a Resource>, precondition: &Precondition) -> Result<&'a Resource, ScimError> {
    let current = current.ok_or_else(ScimError::not_found)?;
    if precondition.admits(current.meta.version) { Ok(current) } else { Err(ScimError::precondition_failed()) }
}

/// What a decision about one resource rests on.
struct Decision<'a, D> {
    schema: ResourceSchema,
    resource_type: ResourceType,
    id: ResourceId,
    directory: &'a D,
    verdict: Verdict,
    now: Timestamp,
}

impl<D: Lookup> Decision<'_, D> {
    fn create(
        &self,
        current: Option<&Resource>,
        mut attributes: Attributes,
        add: BTreeSet<ResourceId>,
    ) -> Result<Change, ScimError> {
        if current.is_some() {
            return Err(ScimError::uniqueness("id"));
        }
        if self.resource_type == ResourceType::User {
            // A fence stands for a later command that took access away before this one was applied.
            let active = self.verdict == Verdict::Counts && attributes.user().active() != Some(false);
            attributes.set("active", Value::Bool(active));
        }
        let members = MemberDelta { add, ..MemberDelta::default() };
        self.check(&attributes, &members)?;
        let meta = Meta { created: self.now, last_modified: self.now, version: Version::FIRST };
        let resource = Resource::new(self.resource_type, self.id, attributes, meta, Ownership::default());
        Ok(Change::Create { resource, members })
    }

    /// RFC 7644 §3.5.1: what the body leaves out is unassigned.
    fn replaced(&self, current: &Resource, mut after: Attributes) -> Result<Attributes, ScimError> {
        self.keep_active(current, &mut after);
        for path in self.immutable() {
            if path.of(&after).is_none() {
                path.keep(&current.attributes, &mut after);
            }
        }
        self.check_immutable(&current.attributes, &after)?;
        Ok(after)
    }

    fn patched(
        &self,
        current: &Resource,
        request: &PatchRequest,
        source: Source,
    ) -> Result<(Attributes, MemberDelta), ScimError> {
        if request.resource_type() != self.resource_type {
            return Err(ScimError::bad_request(
                ScimType::InvalidPath,
                "the operations are for another kind of resource",
            ));
        }
        let members = request.member_delta();
        if source == Source::Application && members != MemberDelta::default() {
            return Err(ScimError::new(403, "members are the identity provider's to change"));
        }
        let mut after = request.apply(&current.attributes)?;
        self.keep_active(current, &mut after);
        self.check_immutable(&current.attributes, &after)?;
        Ok((after, members))
    }

    fn update(
        &self,
        current: &Resource,
        (attributes, ownership): (Attributes, Ownership),
        members: MemberDelta,
    ) -> Result<Change, ScimError> {
        self.check(&attributes, &members)?;
        let members = self.minimal(members);
        let same = attributes == current.attributes && ownership == current.ownership;
        if same && members == MemberDelta::default() {
            return Ok(Change::Unchanged);
        }
        let Meta { created, version, .. } = current.meta;
        let meta = Meta { created, last_modified: self.now, version: version.next() };
        let resource = Resource::new(self.resource_type, self.id, attributes, meta, ownership);
        Ok(Change::Update { resource, members })
    }

    /// A change that says nothing of `active`, or unassigns it, leaves it as it was, and so does one whose word does not
    /// count: a profile update must neither revive a deactivated user nor leave open whether the user has access.
    fn keep_active(&self, current: &Resource, after: &mut Attributes) {
        let is_said = after.user().active().is_some() && self.verdict == Verdict::Counts;
        if let Some(active) = current.attributes.user().active()
            && !is_said
        {
            after.set("active", Value::Bool(active));
        }
    }

    /// The change, unless nothing is left of it because the command's word on access does not count.
    fn yielded(&self, change: Change, current: &Resource, command: &Command) -> Change {
        let says_otherwise = match command.access() {
            Some(Access::Given) => current.attributes.user().active() == Some(false),
            Some(Access::Taken) => current.attributes.user().active() == Some(true) || change == Change::Delete,
            None => false,
        };
        let nothing_else = matches!(change, Change::Unchanged | Change::Delete);
        let yields = self.resource_type == ResourceType::User && self.verdict == Verdict::Yields;
        if yields && says_otherwise && nothing_else { Change::Superseded } else { change }
    }

    /// Schema and uniqueness. A resource may keep its own name, also in another letter case.
    fn check(&self, attributes: &Attributes, members: &MemberDelta) -> Result<(), ScimError> {
        attributes.check_required(&self.schema)?;
        if members.add.contains(&self.id) {
            return Err(ScimError::bad_request(ScimType::InvalidValue, "a group cannot be a member of itself"));
        }
        let unique = self.resource_type.unique_attribute();
        let name = attributes.string(unique).map(CanonicalName::of);
        match name.and_then(|name| self.directory.holder(self.resource_type, &name)) {
            Some(holder) if holder != self.id => Err(ScimError::uniqueness(unique)),
            Some(_) | None => Ok(()),
        }
    }

    /// RFC 7643 §7: what is immutable is set once. Only extensions of a workspace's own have such attributes.
    fn check_immutable(&self, before: &Attributes, after: &Attributes) -> Result<(), ScimError> {
        let changed = |path: &InExtension| path.of(before).is_some() && path.of(before) != path.of(after);
        match self.immutable().find(changed) {
            Some(path) => Err(ScimError::bad_request(
                ScimType::Mutability,
                format!("{}:{} is immutable: it has a value already", path.urn, path.name),
            )),
            None => Ok(()),
        }
    }

    fn immutable(&self) -> impl Iterator<Item = InExtension> + '_ {
        let attributes = self.schema.custom_attributes();
        attributes
            .filter(|(_, definition)| definition.mutability == Mutability::Immutable)
            .map(|(urn, definition)| InExtension { urn, name: definition.name })
    }

    /// The edit without what is so already; the empty edit if nothing is left.
    fn minimal(&self, edit: MemberDelta) -> MemberDelta {
        let is_member = |member: &ResourceId| self.directory.is_member(self.id, *member);
        if !edit.clear {
            let remove = edit.remove.into_iter().filter(is_member).collect();
            let add = edit.add.into_iter().filter(|member| !is_member(member)).collect();
            return MemberDelta { clear: false, remove, add };
        }
        let kept = edit.add.iter().filter(|member| is_member(member)).count();
        // If every row of now is among those wanted, none has to go.
        if u64::try_from(kept).is_ok_and(|kept| kept == self.directory.member_count(self.id)) {
            let add = edit.add.into_iter().filter(|member| !is_member(member)).collect();
            return MemberDelta { add, ..MemberDelta::default() };
        }
        edit
    }
}

/// An attribute of an extension.
struct InExtension {
    urn: &'static str,
    name: &'static str,
}

impl InExtension {
    fn of<'a>(&self, attributes: &'a Attributes) -> Option<&'a Value> {
        attributes.as_map().get(self.urn)?.get(self.name)
    }

    /// Takes the value over, if there is one.
    fn keep(&self, from: &Attributes, to: &mut Attributes) {
        let Some(value) = self.of(from) else { return };
        let extension = to.as_map_mut().entry(self.urn).or_insert_with(|| Value::Object(Map::new()));
        if let Some(extension) = extension.as_object_mut() {
            extension.insert(self.name.to_owned(), value.clone());
        }
    }
}
