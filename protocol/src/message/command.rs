//! What a provider or the product asks to be changed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::access::Access;
use crate::id::ResourceId;
use crate::scim::attributes::Attributes;
use crate::scim::patch::PatchRequest;
use crate::scim::precondition::Precondition;

/// One change to one resource (RFC 7644 §3.3, §3.5, §3.6). The resource's id and kind are in the envelope.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    /// POST: the resource does not exist yet.
    Create {
        /// The body, checked against its schema.
        attributes: Attributes,
        /// A group's members.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        members: BTreeSet<ResourceId>,
    },
    /// PUT: the body replaces the resource.
    Replace {
        /// The body, checked against its schema.
        attributes: Attributes,
        /// A group's members.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        members: BTreeSet<ResourceId>,
        /// When it may be applied.
        precondition: Precondition,
    },
    /// PATCH: all operations or none.
    Patch {
        /// The operations, their paths parsed.
        request: PatchRequest,
        /// When it may be applied.
        precondition: Precondition,
    },
    /// DELETE.
    Delete {
        /// When it may be applied.
        precondition: Precondition,
    },
}

impl Command {
    /// The command's word in the ledger, in logs and in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Replace { .. } => "replace",
            Self::Patch { .. } => "patch",
            Self::Delete { .. } => "delete",
        }
    }

    /// When it may be applied.
    pub const fn precondition(&self) -> &Precondition {
        match self {
            Self::Create { .. } => &Precondition::None,
            Self::Replace { precondition, .. } | Self::Patch { precondition, .. } | Self::Delete { precondition } => {
                precondition
            }
        }
    }

    /// What it says about a user's access; nothing if it leaves `active` as it is.
    pub fn access(&self) -> Option<Access> {
        let active = match self {
            Self::Create { attributes, .. } => Some(attributes.user().active() != Some(false)),
            Self::Replace { attributes, .. } => attributes.user().active(),
            Self::Patch { request, .. } => request.sets_boolean("active"),
            Self::Delete { .. } => Some(false),
        };
        active.map(|active| if active { Access::Given } else { Access::Taken })
    }

    /// Whether a user who had access before has none after it: `active` set to false, or the user deleted.
    pub fn takes_access_away(&self) -> bool {
        !matches!(self, Self::Create { .. }) && self.access() == Some(Access::Taken)
    }
}
