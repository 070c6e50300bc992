//! Resources: versions, and a stored resource with its metadata (RFC 7643 §3).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::ResourceId;
use crate::scim::attributes::Attributes;
use crate::scim::members::{Member, Members};
use crate::scim::resource_type::ResourceType;
use crate::time::Timestamp;

/// How often a resource has changed, from 1. Printed and parsed as a weak entity tag: `W/"3"` (RFC 7644 §3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(i64);

impl Version {
    /// Of a resource that was just created.
    pub const FIRST: Self = Self(1);

    /// As read from SQL.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// As kept in SQL.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// After one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W/\"{}\"", self.0)
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Weak and strong tags are compared alike, as RFC 7644's own examples do.
    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let quoted = text.strip_prefix("W/").unwrap_or(text);
        let number = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(InvalidVersion)?;
        number.parse().map(Self).map_err(|_| InvalidVersion)
    }
}

/// The text is no entity tag of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an entity tag of this server")]
pub struct InvalidVersion;

/// What the server alone sets (RFC 7643 §3.1). `location` is not stored: it comes from the configured public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// When the resource was created.
    pub created: Timestamp,
    /// When it last changed.
    pub last_modified: Timestamp,
    /// Its version.
    pub version: Version,
}

/// A stored resource. As serialised here it travels between worker and ingress; a client sees [`Resource::render`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// The kind.
    pub resource_type: ResourceType,
    /// The server's id.
    pub id: ResourceId,
    /// Every attribute that has a value, `id`, `meta`, `schemas`, `members` and `groups` aside.
    pub attributes: Attributes,
    /// A group's members.
    #[serde(default, skip_serializing_if = "Members::is_none")]
    pub members: Members,
    /// The live groups that a user belongs to directly, in the order of their ids, if they were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Member>,
    /// The metadata.
    pub meta: Meta,
    /// Which attributes the product has taken over.
    #[serde(default, skip_serializing_if = "Ownership::is_empty")]
    pub ownership: Ownership,
}

impl Resource {
    /// What a row holds: nothing is read that is joined to it.
    pub const fn new(
        resource_type: ResourceType,
        id: ResourceId,
        attributes: Attributes,
        meta: Meta,
        ownership: Ownership,
    ) -> Self {
        Self { resource_type, id, attributes, members: Members::None, groups: Vec::new(), meta, ownership }
    }
}

/// Which attributes of one resource have passed to the product: their canonical names, sorted, with the extension's URN
/// in front where there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ownership(BTreeSet<String>);

impl Ownership {
    /// Whether everything is still the provider's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the product owns the attribute of that canonical name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> + '_ {
        self.0.iter().map(String::as_str)
    }

    /// With these names, too.
    #[must_use]
    pub(crate) fn with(&self, names: BTreeSet<String>) -> Self {
        Self(self.0.iter().cloned().chain(names).collect())
    }
}
