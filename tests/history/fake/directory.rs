//! Users and groups in memory, and what SCIM asks of them.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use serde_json::{Value, json};

use super::Flaw;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// `Users`, or `Users/u-7`.
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Value,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    /// 0: there is none, ever.
    pub(super) status: u16,
    pub(super) body: Option<Value>,
}

/// Users and groups by id, as they are shown.
type Resources = BTreeMap<String, Value>;

/// The state; one request at a time.
#[derive(Debug, Default)]
pub(super) struct Directory {
    users: Resources,
    groups: Resources,
    /// An earlier state, for flaws.
    old: (Resources, Resources),
    flaw: Option<Flaw>,
    chances: u32,
    requests: u32,
    ids: u32,
    /// Users of whom a reactivation was never answered.
    abandoned: BTreeSet<String>,
    revived: u32,
    /// What happens in secret, by the request after which it does.
    late: BTreeMap<(u32, usize), Late>,
}

#[derive(Debug)]
enum Late {
    /// A request whose answer was lost takes effect.
    Handle(Asked),
    /// A user is changed, if there.
    Change(String, Value),
    /// A user is there again.
    Store(Value),
}

/// How many requests the earlier state lags behind, and what happens in secret comes late.
const LAG: u32 = 25;

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self { status, body: None }
    }

    fn show(status: u16, resource: &Value) -> Self {
        Self { status, body: Some(resource.clone()) }
    }
}

impl Directory {
    pub(super) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, ..Self::default() }
    }

    pub(super) fn handle(&mut self, asked: &Asked) -> Reply {
        self.requests += 1;
        self.catch_up_to(self.requests);
        let kept_up = self.flaw != Some(Flaw::ListOutdated) || self.requests < 10 * LAG;
        if kept_up && self.requests.is_multiple_of(LAG) {
            self.old = (self.users.clone(), self.groups.clone());
        }
        if self.strikes(Flaw::Unauthorized) {
            return Reply::status(401);
        }
        let (kind, id) = asked.path.split_once('/').unwrap_or((&asked.path, ""));
        let is_user = kind == "Users";
        match (asked.method.as_str(), id) {
            ("POST", _) => self.create(is_user, &asked.body),
            ("GET", "") => self.list(is_user, &asked.query),
            ("GET", id) => self.read(is_user, id),
            ("DELETE", id) => self.delete(is_user, id),
            (_, id) if is_user => self.update_user(id, asked),
            (_, id) => self.update_group(id, &asked.body["Operations"][0]),
        }
    }

    /// How many users are active because of a reactivation that came late.
    pub(super) fn revived(&self) -> u32 {
        self.revived
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    /// Handles a request so many requests later.
    pub(super) fn handle_later(&mut self, asked: Asked, requests: u32) {
        self.later(requests, Late::Handle(asked));
    }

    /// Does everything that is still to be done.
    pub(super) fn catch_up(&mut self) {
        self.catch_up_to(u32::MAX);
    }

    fn later(&mut self, requests: u32, late: Late) {
        self.late.insert((self.requests + requests, self.late.len()), late);
    }

    fn catch_up_to(&mut self, request: u32) {
        while let Some(due) = self.late.first_entry().filter(|due| due.key().0 <= request) {
            match due.remove() {
                Late::Handle(asked) => drop(self.handle(&asked)),
                Late::Store(user) => self.store(true, &user),
                Late::Change(id, changes) => {
                    if let Some(user) = self.users.get_mut(&id) {
                        apply(user, &changes);
                        raise(user);
                    }
                }
            }
        }
    }

    /// Whether this flaw is planted and its turn has come.
    fn strikes(&mut self, flaw: Flaw) -> bool {
        if self.flaw != Some(flaw) {
            return false;
        }
        self.chances += 1;
        self.chances.is_multiple_of(flaw.every())
    }

    fn resources(&mut self, is_user: bool) -> &mut Resources {
        if is_user { &mut self.users } else { &mut self.groups }
    }

    fn create(&mut self, is_user: bool, body: &Value) -> Reply {
        let name = if is_user { "userName" } else { "displayName" };
        let unchecked = is_user && self.flaw == Some(Flaw::NameTwice);
        if !unchecked && self.resources(is_user).values().any(|other| other[name] == body[name]) {
            return Reply::status(409);
        }
        let shown = self.numbered(is_user, body);
        if is_user && self.strikes(Flaw::CreateLost) {
            return Reply::show(201, &shown);
        }
        self.store(is_user, &shown);
        if is_user && self.strikes(Flaw::RefusedAndMade) {
            return Reply::status(409);
        }
        if is_user && self.strikes(Flaw::CreateTwice) {
            let again = self.numbered(is_user, body);
            self.store(is_user, &again);
        }
        Reply::show(201, &shown)
    }

    fn numbered(&mut self, is_user: bool, body: &Value) -> Value {
        self.ids += 1;
        let mut shown = body.clone();
        shown["id"] = json!(format!("{}-{}", if is_user { "u" } else { "g" }, self.ids));
        shown["meta"] = json!({ "version": "W/\"1\"" });
        shown
    }

    fn store(&mut self, is_user: bool, resource: &Value) {
        let id = resource["id"].as_str().unwrap().to_owned();
        self.resources(is_user).insert(id, resource.clone());
    }

    fn list(&mut self, is_user: bool, query: &str) -> Reply {
        let outdated = is_user && self.flaw == Some(Flaw::ListOutdated) && !query.contains("filter");
        let resources = if outdated { &self.old.0 } else { &*self.resources(is_user) };
        let name = query.split("%22").nth(1);
        let matching = resources.values().filter(|user| name.is_none_or(|name| user["userName"] == name));
        let mut matching: Vec<Value> = matching.cloned().collect();
        if is_user && !matching.is_empty() && self.strikes(Flaw::ListMisses) {
            matching.pop();
        }
        let number = |name: &str| {
            let given = query.split('&').find_map(|part| part.strip_prefix(name)?.parse::<usize>().ok());
            given.unwrap_or(1)
        };
        let page: Vec<&Value> =
            matching.iter().skip(number("startIndex=") - 1).take(number("count=").max(100)).collect();
        Reply::show(200, &json!({ "totalResults": matching.len(), "Resources": page }))
    }

    fn read(&mut self, is_user: bool, id: &str) -> Reply {
        if is_user && self.users.contains_key(id) && self.strikes(Flaw::NotFound) {
            return Reply::status(404);
        }
        if is_user && self.strikes(Flaw::ReadCrossed) {
            return self.users.values().next().map_or_else(|| Reply::status(404), |other| Reply::show(200, other));
        }
        let stale = self.strikes(Flaw::ReadStale);
        let old = if is_user { &self.old.0 } else { &self.old.1 };
        let stale = stale.then(|| old.get(id).cloned()).flatten();
        match stale.or_else(|| self.resources(is_user).get(id).cloned()) {
            Some(resource) => Reply::show(200, &resource),
            None => Reply::status(404),
        }
    }

    fn delete(&mut self, is_user: bool, id: &str) -> Reply {
        let Some(resource) = self.resources(is_user).get(id).cloned() else { return Reply::status(404) };
        if is_user && self.strikes(Flaw::DeletionLost) {
            return Reply::status(204);
        }
        self.resources(is_user).remove(id);
        if is_user && self.flaw != Some(Flaw::MemberDangles) {
            self.groups.values_mut().for_each(|group| remove_member(group, id));
        }
        if is_user && self.strikes(Flaw::UserAgain) {
            self.later(LAG, Late::Store(resource));
        }
        Reply::status(204)
    }

    fn update_user(&mut self, id: &str, asked: &Asked) -> Reply {
        let Some(before) = self.users.get(id).cloned() else { return Reply::status(404) };
        let changes = changes(asked);
        if changes["active"] == true && self.strikes(Flaw::AbandonedComesLate) {
            self.abandoned.insert(id.to_owned());
            return Reply::status(0);
        }
        if changes["active"] == false && self.abandoned.remove(id) {
            self.revived += 1;
            self.later(LAG, Late::Change(id.to_owned(), json!({ "active": true })));
        }
        let mut after = before.clone();
        apply(&mut after, &changes);
        if after != before && !self.strikes(Flaw::VersionKept) {
            raise(&mut after);
        }
        let shown = Reply::show(200, &after);
        match changes.get("active").and_then(Value::as_bool) {
            Some(true) if self.strikes(Flaw::ReactivationLost) => return shown,
            None if self.strikes(Flaw::UpdateLost) => return shown,
            None if self.strikes(Flaw::UpdateLate) => {
                self.later(LAG, Late::Change(id.to_owned(), changes));
                return shown;
            }
            Some(false) if self.strikes(Flaw::ActiveAgain) => {
                self.later(LAG, Late::Change(id.to_owned(), json!({ "active": true })));
            }
            None if self.strikes(Flaw::UpdateTwice) => self.later(LAG, Late::Change(id.to_owned(), changes)),
            None if before["active"] == true && self.strikes(Flaw::ActiveOverwritten) => {
                self.later(LAG, Late::Change(id.to_owned(), json!({ "active": true })));
            }
            None if self.strikes(Flaw::UpdateCrossed) => {
                if let Some(other) = self.users.values_mut().find(|other| other["id"] != id) {
                    apply(other, &changes);
                }
            }
            Some(_) | None => {}
        }
        self.store(true, &after);
        shown
    }

    fn update_group(&mut self, id: &str, operation: &Value) -> Reply {
        let Some(mut group) = self.groups.get(id).cloned() else { return Reply::status(404) };
        let removed = operation["path"].as_str().and_then(|path| path.strip_prefix("members[value eq \""));
        let member =
            removed.map(|rest| rest.trim_end_matches("\"]")).or_else(|| operation["value"][0]["value"].as_str());
        let lost = match member {
            Some(user) if operation["op"].as_str().is_some_and(|op| op.eq_ignore_ascii_case("add")) => {
                if self.strikes(Flaw::MembersOverwritten)
                    && let Some(old) = self.old.1.get(id)
                {
                    group["members"] = old["members"].clone();
                }
                let known = self.users.contains_key(user);
                let missing = !group["members"].as_array().unwrap().iter().any(|member| member["value"] == user);
                if known && missing {
                    group["members"].as_array_mut().unwrap().push(json!({ "value": user }));
                }
                self.strikes(Flaw::MemberLost)
            }
            Some(user) => {
                let before = group.clone();
                remove_member(&mut group, user);
                // Who was no member cannot stay one.
                group != before && self.strikes(Flaw::MemberStays)
            }
            None => {
                let value = &operation["value"];
                let name = value.get("displayName").unwrap_or(value);
                group["displayName"] = name.clone();
                self.strikes(Flaw::RenameForgotten)
            }
        };
        if !lost {
            let before = self.groups.insert(id.to_owned(), group);
            self.old.1.extend(before.map(|before| (id.to_owned(), before)));
        }
        Reply::status(204)
    }
}

/// What a PUT or PATCH writes, as one object.
fn changes(asked: &Asked) -> Value {
    let operation = &asked.body["Operations"][0];
    let mut changes = match operation["path"].as_str() {
        _ if operation.is_null() => asked.body.clone(),
        Some("name.familyName") => json!({ "name": { "familyName": operation["value"] } }),
        Some(path) => json!({ path: operation["value"] }),
        None => operation["value"].clone(),
    };
    match changes["active"].as_str() {
        Some(text) => changes["active"] = json!(text == "True"),
        None if changes["active"].is_null() => drop(changes.as_object_mut().unwrap().remove("active")),
        None => {}
    }
    changes
}

fn apply(resource: &mut Value, changes: &Value) {
    for (attribute, value) in changes.as_object().unwrap() {
        match value.as_object() {
            Some(_) => apply(&mut resource[attribute], value),
            None => resource[attribute] = value.clone(),
        }
    }
}

fn raise(resource: &mut Value) {
    let version: u64 = resource["meta"]["version"].as_str().unwrap().trim_matches(['W', '/', '"']).parse().unwrap();
    resource["meta"]["version"] = json!(format!("W/\"{}\"", version + 1));
}

fn remove_member(group: &mut Value, id: &str) {
    group["members"].as_array_mut().unwrap().retain(|member| member["value"] != id);
}
