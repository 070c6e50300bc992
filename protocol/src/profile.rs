//! What a workspace's requests are read by: its provider's dialect and its own schemas.

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
