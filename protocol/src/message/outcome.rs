//! What became of a command: the answer that the waiting ingress turns into HTTP.

use serde::{Deserialize, Serialize};

use crate::id::{IngressId, OperationId};
use crate::scim::error::ScimError;
use crate::scim::members::Members;
use crate::scim::resource::{Resource, Version};

/// An outcome, addressed to the ingress that waits for that operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeMessage {
    /// The operation that is answered.
    pub operation: OperationId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a command came to, after its transaction was committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// 201 with the new resource.
    Created {
        /// The resource as stored.
        resource: Box<Resource>,
    },
    /// 200 with the resource after the change, also when nothing had to change.
    Updated {
        /// The resource as stored.
        resource: Box<Resource>,
    },
    /// 204 with the new version only: a PATCH of a group, whose other members were not read (RFC 7644 §3.5.2).
    UpdatedWithoutBody {
        /// The group's version after the change.
        version: Version,
    },
    /// 204: the resource is gone.
    Deleted,
    /// The change was refused; nothing changed. An answer like any other.
    Rejected {
        /// Why, as the client sees it.
        error: ScimError,
    },
    /// 409: the command was held on its way, and something newer was accepted meanwhile; nothing changed.
    Superseded,
    /// A create that says what an earlier create of the same token said, whose resource is unchanged since. The
    /// ingress finds out whether that one was answered: if so, this is a 409, else the original 201.
    Duplicate {
        /// The earlier create.
        operation: OperationId,
        /// The ingress that accepted it.
        ingress: IngressId,
        /// What it created, as it is now.
        resource: Box<Resource>,
    },
}

impl Outcome {
    /// Leaves a group's members to be asked for by pages, so that the outcome fits into a message.
    pub fn page_members(&mut self) {
        let (Self::Created { resource } | Self::Updated { resource } | Self::Duplicate { resource, .. }) = self else {
            return;
        };
        if let Members::Read(_) = resource.members {
            resource.members = Members::Paged;
        }
    }

    /// The answer for an operation that was set aside as a dead letter: the log's `sequence` names it for operators.
    pub fn dead_letter(sequence: u64) -> Self {
        let detail =
            format!("the request was stored but could not be applied; operators see it as dead letter {sequence}");
        Self::Rejected { error: ScimError::new(500, detail) }
    }
}
