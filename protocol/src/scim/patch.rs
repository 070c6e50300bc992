//! PATCH (RFC 7644 §3.5.2).

use serde::{Deserialize, Serialize};

/// The operations of a PATCH.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchRequest {}

impl PatchRequest {
    /// The boolean that an attribute is set to.
    pub fn sets_boolean(&self, _name: &str) -> Option<bool> {
        None
    }
}
