//! What must be there at the end, what is there, and how the two differ. Pure.

mod difference;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use serde_json::Value;

pub use difference::{AttributeDifference, Difference};

use super::plan::{Change, Person, Team};

/// People or groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A person.
    User,
    /// A group.
    Group,
}

impl Kind {
    /// The path under the Base URL.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "/Users",
            Self::Group => "/Groups",
        }
    }

    /// The attribute that names a resource.
    pub const fn naming_attribute(self) -> &'static str {
        match self {
            Self::User => "userName",
            Self::Group => "displayName",
        }
    }

    /// What is compared: an attribute's name and where its value is in the JSON.
    const fn attributes(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::User => &[
                ("userName", "/userName"),
                ("externalId", "/externalId"),
                ("name.givenName", "/name/givenName"),
                ("name.familyName", "/name/familyName"),
                ("displayName", "/displayName"),
                ("emails", "/emails/0/value"),
                ("second email", "/emails/1/value"),
                ("title", "/title"),
                ("timezone", "/timezone"),
                ("active", "/active"),
            ],
            Self::Group => &[("displayName", "/displayName"), ("externalId", "/externalId")],
        }
    }
}

/// The attributes of one person or group that this run writes, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: Kind,
    /// By attribute; what has no value is absent.
    pub attributes: BTreeMap<&'static str, String>,
}

impl Record {
    /// What is compared of a resource that a server sent.
    pub fn read(kind: Kind, resource: &Value) -> Self {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let found = |(name, pointer): &(&'static str, &str)| Some((*name, text(resource.pointer(pointer)?)));
        Self { kind, attributes: kind.attributes().iter().filter_map(found).collect() }
    }

    /// A person as they must be.
    pub fn of_person(person: &Person) -> Self {
        let attributes = BTreeMap::from([
            ("userName", person.user_name.clone()),
            ("externalId", person.external_id.clone()),
            ("name.givenName", person.given_name.clone()),
            ("name.familyName", person.family_name.clone()),
            ("displayName", person.display_name()),
            ("emails", person.email.clone()),
            ("title", person.title.clone()),
            ("timezone", person.timezone.clone()),
            ("active", person.active.to_string()),
        ]);
        Self { kind: Kind::User, attributes }
    }

    /// A group as it must be.
    pub fn of_team(team: &Team) -> Self {
        let attributes =
            BTreeMap::from([("displayName", team.display_name.clone()), ("externalId", team.external_id.clone())]);
        Self { kind: Kind::Group, attributes }
    }

    /// The unique name.
    pub fn name(&self) -> &str {
        self.attributes.get(self.kind.naming_attribute()).map_or("", String::as_str)
    }

    /// Every attribute in which `found` is not as this one.
    pub fn differences(&self, found: &Self) -> Vec<AttributeDifference> {
        let all: BTreeSet<&str> = self.attributes.keys().chain(found.attributes.keys()).copied().collect();
        let value = |record: &Self, name: &str| record.attributes.get(name).cloned();
        all.into_iter()
            .map(|name| AttributeDifference {
                attribute: name.to_owned(),
                expected: value(self, name),
                found: value(found, name),
            })
            .filter(|difference| difference.expected != difference.found)
            .collect()
    }
}

/// What must be there, by the answers that the provider got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// By id.
    pub records: BTreeMap<String, Record>,
    /// By group id.
    pub members: BTreeMap<String, BTreeSet<String>>,
    /// Ids that must be 404.
    pub deleted: BTreeSet<String>,
    /// External ids of which an operation failed for good: the failure is reported, and what they should be is unknown.
    pub unsure: BTreeSet<String>,
}

impl Expected {
    /// A person was created and the provider knows the id.
    pub fn created(&mut self, id: String, record: Record) {
        if record.kind == Kind::Group {
            self.members.entry(id.clone()).or_default();
        }
        self.records.insert(id, record);
    }

    /// A person's change was acknowledged.
    pub fn changed(&mut self, id: &str, change: &Change) {
        match change {
            Change::Update(after) => {
                let active = self.records.get(id).and_then(|record| record.attributes.get("active").cloned());
                let mut record = Record::of_person(after);
                record.attributes.extend(active.map(|active| ("active", active)));
                self.records.insert(id.to_owned(), record);
            }
            Change::SetActive(active) => {
                if let Some(record) = self.records.get_mut(id) {
                    record.attributes.insert("active", active.to_string());
                }
            }
            Change::Delete => {
                self.records.remove(id);
                self.deleted.insert(id.to_owned());
                // A group's members are live people: who is gone is a member of nothing.
                for members in self.members.values_mut() {
                    members.remove(id);
                }
            }
        }
    }

    /// Whether what this resource should be is unknown.
    fn is_unsure(&self, record: &Record) -> bool {
        record.attributes.get("externalId").is_some_and(|external_id| self.unsure.contains(external_id))
    }
}

/// What is there: everything of this run that the API showed, as often as it showed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Id and record of each resource on all pages.
    pub records: Vec<(String, Record)>,
    /// By group id: the members as listed.
    pub members: BTreeMap<String, Vec<String>>,
    /// Deleted ids that were not 404.
    pub still_there: Vec<String>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Group => "group",
        })
    }
}

/// Every difference between what must be there and what is.
pub fn compare(expected: &Expected, observed: &Observed) -> Vec<Difference> {
    let mut differences = doubled(observed);
    differences.extend(compare_records(expected, observed));
    for (group, members) in &expected.members {
        let sure = expected.records.get(group).is_some_and(|record| !expected.is_unsure(record));
        if let (true, Some(found)) = (sure, observed.members.get(group)) {
            differences.extend(compare_members(expected, group, members, found));
        }
    }
    differences.extend(observed.still_there.iter().map(|id| Difference::StillThere { id: id.clone() }));
    differences
}

/// Names and external ids that more than one resource has, and resources that are listed more than once.
fn doubled(observed: &Observed) -> Vec<Difference> {
    let mut holders: BTreeMap<(Kind, &str, String), Vec<String>> = BTreeMap::new();
    for (id, record) in &observed.records {
        let unique = [record.kind.naming_attribute(), "externalId"];
        for (attribute, value) in unique.into_iter().filter_map(|name| record.attributes.get_key_value(name)) {
            holders.entry((record.kind, attribute, value.to_lowercase())).or_default().push(id.clone());
        }
    }
    let more_than_one = holders.into_iter().filter(|(_, ids)| ids.len() > 1);
    more_than_one.map(|((kind, _, name), ids)| Difference::Doubled { kind, name, ids }).collect()
}

fn compare_records(expected: &Expected, observed: &Observed) -> Vec<Difference> {
    let found: BTreeMap<&String, &Record> = observed.records.iter().map(|(id, record)| (id, record)).collect();
    let mut differences = Vec::new();
    for (id, record) in expected.records.iter().filter(|(_, record)| !expected.is_unsure(record)) {
        match found.get(id) {
            None => differences.push(Difference::Missing {
                kind: record.kind,
                id: id.clone(),
                name: record.name().to_owned(),
            }),
            Some(found) => {
                differences.extend(record.differences(found).into_iter().map(|attribute| Difference::Changed {
                    kind: record.kind,
                    id: id.clone(),
                    attribute,
                }));
            }
        }
    }
    let known = |id: &String, record: &Record| expected.records.contains_key(id) || expected.is_unsure(record);
    let strangers = found.into_iter().filter(|(id, record)| !known(id, record));
    differences.extend(strangers.map(|(id, record)| Difference::Unexpected {
        kind: record.kind,
        id: id.clone(),
        name: record.name().to_owned(),
    }));
    differences
}

fn compare_members(expected: &Expected, group: &str, members: &BTreeSet<String>, found: &[String]) -> Vec<Difference> {
    let unsure = |id: &String| expected.records.get(id).is_some_and(|record| expected.is_unsure(record));
    let mut listed: BTreeMap<&String, usize> = BTreeMap::new();
    for member in found {
        *listed.entry(member).or_default() += 1;
    }
    let mut differences = Vec::new();
    for member in members.iter().filter(|member| !listed.contains_key(member) && !unsure(member)) {
        differences.push(Difference::MemberMissing { group: group.to_owned(), member: member.clone() });
    }
    for (member, times) in listed {
        let (group, id) = (group.to_owned(), member.clone());
        if !members.contains(member) && !unsure(member) {
            differences.push(Difference::MemberUnexpected { group, member: id });
        } else if times > 1 {
            differences.push(Difference::MemberDoubled { group, member: id });
        }
    }
    differences
}

#[cfg(test)]
mod tests;
