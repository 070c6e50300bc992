//! Conditional requests (RFC 7644 §3.14).

use serde::{Deserialize, Serialize};

use crate::scim::resource::Version;

/// `If-Match` or `If-None-Match` (RFC 7644 §3.14, RFC 9110 §13.1). Decided by the worker, for a write under the row's
/// lock, never by the ingress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Precondition {
    /// No header: whatever the version is.
    None,
    /// `If-Match: *`: the resource must exist.
    Exists,
    /// The resource must have one of these versions.
    IfMatch(Vec<Version>),
    /// `If-None-Match: *`: the resource must not exist, so nothing that exists may be read or changed.
    Absent,
    /// The resource must have none of these versions.
    IfNoneMatch(Vec<Version>),
}

impl Precondition {
    /// Whether a resource of this version meets it.
    pub fn admits(&self, version: Version) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::IfMatch(versions) => versions.contains(&version),
            Self::Absent => false,
            Self::IfNoneMatch(versions) => !versions.contains(&version),
        }
    }

    /// Whether a read that it forbids means that the client has the current version: 304 instead of 412.
    pub const fn is_for_caches(&self) -> bool {
        matches!(self, Self::Absent | Self::IfNoneMatch(_))
    }
}
