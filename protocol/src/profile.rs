//! How a workspace's requests are served: whether at all now, by which dialect, and by which schemas of its own.

use serde::{Deserialize, Serialize};

use crate::scim::dialect::Dialect;
use crate::scim::schema::Extensions;

/// A workspace's settings of SCIM. They travel with its credentials, so that an ingress that lets a request in also knows how
/// to read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The dialect that an operator chose; the requests' own without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Whether an operator has paused SCIM: every request is answered 503.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paused: bool,
    /// Its own schemas.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    pub extensions: Extensions,
}

impl Profile {
    /// Whether it says nothing of its own.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
