//! Who may write an attribute: the provider, or, once a person has changed it in the product, the product.

use serde::{Deserialize, Serialize};

/// Where a change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The identity provider, over SCIM.
    IdentityProvider,
    /// The product, on behalf of the person.
    Application,
}

/// Which attributes of one resource have passed to the product.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ownership(Vec<String>);

impl Ownership {
    /// Whether everything is still the provider's.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Which attributes pass to the product, per workspace. The built-in policy: `timezone`, at its first local change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnershipPolicy {
    passes_at_first_local_change: Vec<String>,
}

impl Default for OwnershipPolicy {
    fn default() -> Self {
        Self { passes_at_first_local_change: vec!["timezone".to_owned()] }
    }
}
