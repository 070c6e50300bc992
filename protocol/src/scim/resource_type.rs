//! The kinds of resource.

use serde::{Deserialize, Serialize};

/// The kinds of resource that are provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceType {
    /// A person (RFC 7643 §4.1).
    User,
    /// A group of users and groups (RFC 7643 §4.2).
    Group,
}

impl ResourceType {
    /// All kinds, in the order in which they are listed together.
    pub const ALL: [Self; 2] = [Self::User, Self::Group];

    /// The name, as in `meta.resourceType`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// The path segment, as in URLs and subjects.
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
        }
    }

    /// Reads a path segment.
    pub fn from_endpoint(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.endpoint() == text)
    }

    /// The attribute whose value is unique within the workspace.
    pub const fn unique_attribute(self) -> &'static str {
        match self {
            Self::User => "userName",
            Self::Group => "displayName",
        }
    }
}
