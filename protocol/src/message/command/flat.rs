//! A command as it is read: all members of all kinds side by side. A tagged enum would first be read into a tree of its own,
//! because its tag may come last, and each command is read on the hot path.

use serde::Deserialize;

use super::Precondition;
use crate::scim::attributes::Attributes;
use crate::scim::patch::PatchRequest;

/// What stands in the log.
#[derive(Deserialize)]
pub(super) struct Command {
    kind: Kind,
    attributes: Option<Attributes>,
    request: Option<PatchRequest>,
    precondition: Option<Precondition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Create,
    Replace,
    Patch,
    Delete,
}

/// A member that the kind needs is missing.
#[derive(Debug, thiserror::Error)]
#[error("a command without its {0}")]
pub(super) struct Missing(&'static str);

impl TryFrom<Command> for super::Command {
    type Error = Missing;

    fn try_from(flat: Command) -> Result<Self, Missing> {
        let Command { kind, attributes, request, precondition } = flat;
        let attributes = attributes.ok_or(Missing("attributes"));
        let precondition = precondition.ok_or(Missing("precondition"));
        Ok(match kind {
            Kind::Create => Self::Create { attributes: attributes? },
            Kind::Replace => Self::Replace { attributes: attributes?, precondition: precondition? },
            Kind::Patch => Self::Patch { request: request.ok_or(Missing("request"))?, precondition: precondition? },
            Kind::Delete => Self::Delete { precondition: precondition? },
        })
    }
}
