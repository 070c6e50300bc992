//! What commands come to, one after the other: slow, obvious, and without a line of rosterd's own rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

use super::ledger::Operation;
use super::plan::Cast;
use super::request::{Edit, Kind, Request, members};

/// What a provider can change of a resource; a user has no members, and a group is always active.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Content {
    pub(super) name: String,
    pub(super) title: Option<String>,
    pub(super) nickname: Option<String>,
    pub(super) active: bool,
    pub(super) members: BTreeSet<Uuid>,
}

/// A resource as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) content: Content,
    pub(super) version: i64,
    /// How many members a group says that it has.
    pub(super) member_count: usize,
}

/// All resources of a run.
#[derive(Clone, Default)]
pub(super) struct Model {
    resources: BTreeMap<Uuid, Resource>,
    /// The group whose members are deleted: that changes it, too, and from outside its own chain.
    roster: Uuid,
    roster_version: i64,
    /// The users of whom a command has said whether they have access.
    heard_of_access: BTreeSet<Uuid>,
    /// By user: the commands that took access away before their turn, at a moment that is not known yet.
    first_effects: BTreeMap<Uuid, BTreeSet<i64>>,
    /// By user: the last of them that did. What was accepted before it says nothing of access any more.
    access_taken: BTreeMap<Uuid, i64>,
}

impl Content {
    /// The body that a provider sends to create it, or to replace one.
    pub(super) fn body(&self, kind: Kind) -> Value {
        let mut body = match kind {
            Kind::User => json!({ "userName": self.name, "title": self.title, "nickName": self.nickname }),
            Kind::Group => json!({ "displayName": self.name, "members": members(&self.members) }),
        };
        body["schemas"] = json!([format!("urn:ietf:params:scim:schemas:core:2.0:{kind:?}")]);
        body
    }

    /// What a provider reads, without the members.
    pub(super) fn read(kind: Kind, body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        let (name, active) = match kind {
            Kind::User => (text("userName"), body["active"] == true),
            Kind::Group => (text("displayName"), true),
        };
        let name = name.unwrap_or_default();
        Self { name, title: text("title"), nickname: text("nickName"), active, members: BTreeSet::new() }
    }
}

impl Model {
    /// As it is before the run.
    pub(super) fn new(cast: &Cast) -> Self {
        let created = |content: &Content| Resource { content: content.clone(), version: 1, member_count: 0 };
        let resources = cast.contents.iter().map(|(id, content)| (*id, created(content))).collect();
        Self { resources, roster: cast.roster, roster_version: 1, ..Self::default() }
    }

    /// The command with this sequence took access away before its turn.
    pub(super) fn expect_first_effect(&mut self, user: Uuid, sequence: i64) {
        self.first_effects.entry(user).or_default().insert(sequence);
    }

    /// Carries out what the ledger says was accepted next; what the ledger should say, where it says something else.
    pub(super) fn apply(&mut self, request: &Request, operation: &Operation) -> Option<String> {
        let before = self.clone();
        let difference = self.judge(request, operation)?;
        let later =
            before.first_effects.get(&request.target).into_iter().flatten().filter(|at| **at > operation.sequence);
        for at in later {
            let mut other = before.clone();
            other.take_access(request.target, *at);
            if other.judge(request, operation).is_none() {
                *self = other;
                return None;
            }
        }
        Some(difference)
    }

    fn take_access(&mut self, user: Uuid, sequence: i64) {
        self.access_taken.insert(user, sequence);
        let Some(resource) = self.resources.get_mut(&user) else { return };
        resource.version += i64::from(resource.content.active);
        resource.content.active = false;
    }

    fn judge(&mut self, request: &Request, operation: &Operation) -> Option<String> {
        let (status, version) =
            if operation.superseded { self.supersede(request) } else { self.carry_out(request, operation.sequence) };
        let version = if request.target == self.roster {
            // Its members' deletions raise the version, too, and nothing orders them among its own commands.
            let later = operation.version.filter(|version| *version > self.roster_version);
            self.roster_version = later.unwrap_or(self.roster_version);
            later.or(version)
        } else {
            version
        };
        let (expected, said) = ((status, version), (operation.status, operation.version));
        let sequence = operation.sequence;
        (said != expected).then(|| format!("sequence {sequence} ended as {said:?}, must be {expected:?}: {request:?}"))
    }

    /// The resource after all commands.
    pub(super) fn shown(&self, id: Uuid) -> Option<Resource> {
        let resource = self.resources.get(&id)?.clone();
        Some(Resource { member_count: resource.content.members.len(), ..resource })
    }

    /// Only a word on access yields, and only to an earlier one in the log that arrived later.
    fn supersede(&self, request: &Request) -> (u16, Option<i64>) {
        let says_access = matches!(request.edit, Edit::Active(_) | Edit::Delete);
        let may_yield = says_access && request.kind == Kind::User && self.heard_of_access.contains(&request.target);
        if may_yield { (409, None) } else { (200, None) }
    }

    /// Status and version of the answer.
    fn carry_out(&mut self, request: &Request, sequence: i64) -> (u16, Option<i64>) {
        let access_is_taken = self.access_taken.get(&request.target).is_some_and(|taken| *taken > sequence);
        let Some(resource) = self.resources.get_mut(&request.target) else { return (404, None) };
        if request.if_match.is_some_and(|version| version != resource.version) {
            return (412, None);
        }
        if matches!(request.edit, Edit::Active(_)) {
            self.heard_of_access.insert(request.target);
        }
        let (before, content) = (resource.content.clone(), &mut resource.content);
        match request.edit.clone() {
            Edit::Title(title) => content.title = title,
            Edit::Nickname(nickname) => content.nickname = nickname,
            Edit::Active(_) if access_is_taken => {}
            Edit::Active(active) => content.active = active,
            Edit::Rename(name) => content.name = name,
            Edit::Join(ids) => content.members.extend(ids),
            Edit::Leave(ids) => content.members.retain(|id| !ids.contains(id)),
            Edit::Replace(new) => *content = Content { active: before.active, ..new },
            Edit::Delete => {
                self.delete(request.target);
                return (204, None);
            }
        }
        resource.version += i64::from(resource.content != before);
        (request.status(), Some(resource.version))
    }

    fn delete(&mut self, id: Uuid) {
        self.resources.remove(&id);
        for group in self.resources.values_mut() {
            group.version += i64::from(group.content.members.remove(&id));
        }
    }
}
