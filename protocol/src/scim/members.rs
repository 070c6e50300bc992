//! A group's members: ids where they are written, and as they are read joined to live users and groups, as a user's
//! groups are (RFC 7643 §4.1.2, §4.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::ResourceId;
use crate::scim::error::ScimError;
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::MEMBER;
use crate::scim::value;

/// A live user or group that another resource refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its id.
    #[serde(rename = "value")]
    pub id: ResourceId,
    /// Its kind.
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    /// Its name for people; none where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
}

/// A group's members, as far as they were read with the group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Members {
    /// They were not read. Users have none.
    #[default]
    None,
    /// The live ones, in the order of their ids.
    Read(Vec<Member>),
    /// They are too many for one message, and are asked for by pages.
    Paged,
}

impl Members {
    /// Whether they were not read.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

/// A change of a group's member rows: first `clear`, then `remove`, then `add`. No id is in both sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberDelta {
    /// All rows go first; `remove` is empty then.
    pub clear: bool,
    /// Rows to delete.
    pub remove: BTreeSet<ResourceId>,
    /// Rows to insert, unless they are there.
    pub add: BTreeSet<ResourceId>,
}

impl MemberDelta {
    /// Adds members.
    pub(super) fn add(&mut self, ids: &BTreeSet<ResourceId>) {
        self.remove.retain(|id| !ids.contains(id));
        self.add.extend(ids);
    }

    /// Removes members.
    pub(super) fn remove(&mut self, ids: &BTreeSet<ResourceId>) {
        self.add.retain(|id| !ids.contains(id));
        if !self.clear {
            self.remove.extend(ids);
        }
    }
}

/// The attribute's name.
pub(crate) const MEMBERS: &str = "members";

/// The id in one element of `members` as a client sends it, of which nothing else counts; none for null. 400
/// `invalidValue` unless it has one: no element is left out in silence.
pub(crate) fn sent_id(element: Value) -> Result<Option<ResourceId>, ScimError> {
    let has_id = |parts: &Map<String, Value>| parts.keys().any(|name| name.eq_ignore_ascii_case("value"));
    if element.is_null() {
        return Ok(None);
    }
    if element.as_object().is_some_and(|parts| !has_id(parts)) {
        return Err(invalid_member());
    }
    let Some(checked) = value::complex(MEMBER, element, MEMBERS)? else { return Ok(None) };
    let id = checked.get("value").and_then(Value::as_str).and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(invalid_member)
}

pub(crate) fn invalid_member() -> ScimError {
    value::invalid_value("members.value", "must be the id of a user or group, a UUID")
}
