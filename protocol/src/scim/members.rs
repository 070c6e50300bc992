//! A group's members, and a user's groups, as they are read: joined to live users and groups (RFC 7643 §4.1.2, §4.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::ResourceId;
use crate::scim::resource_type::ResourceType;

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

impl Member {
    /// As it stands in a group's `members`.
    pub fn value(&self) -> Value {
        self.typed(self.resource_type.name())
    }

    /// A group as it stands in a user's `groups`.
    pub fn as_group(&self) -> Value {
        self.typed("direct")
    }

    fn typed(&self, kind: &str) -> Value {
        let display = self.display.iter().map(|display| ("display", display.clone()));
        let pairs = [("value", self.id.to_string()), ("type", kind.to_owned())].into_iter().chain(display);
        Value::Object(pairs.map(|(name, text)| (name.to_owned(), Value::String(text))).collect())
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
