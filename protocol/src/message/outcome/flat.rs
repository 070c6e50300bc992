//! An outcome as it is read: all members of all results side by side. A tagged enum would first be read into a tree of its
//! own, because its tag may come last, and each answer is read on the hot path.

use serde::Deserialize;

use crate::id::{IngressId, OperationId};
use crate::scim::error::ScimError;
use crate::scim::resource::{Resource, Version};

/// What a worker sends.
#[derive(Deserialize)]
pub(super) struct Outcome {
    result: Kind,
    resource: Option<Box<Resource>>,
    version: Option<Version>,
    error: Option<ScimError>,
    operation: Option<OperationId>,
    ingress: Option<IngressId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Created,
    Updated,
    UpdatedWithoutBody,
    Deleted,
    Rejected,
    Superseded,
    Duplicate,
}

/// A member that the result needs is missing.
#[derive(Debug, thiserror::Error)]
#[error("an outcome without its {0}")]
pub(super) struct Missing(&'static str);

impl TryFrom<Outcome> for super::Outcome {
    type Error = Missing;

    fn try_from(flat: Outcome) -> Result<Self, Missing> {
        let Outcome { result, resource, version, error, operation, ingress } = flat;
        let resource = resource.ok_or(Missing("resource"));
        Ok(match result {
            Kind::Created => Self::Created { resource: resource? },
            Kind::Updated => Self::Updated { resource: resource? },
            Kind::UpdatedWithoutBody => Self::UpdatedWithoutBody { version: version.ok_or(Missing("version"))? },
            Kind::Deleted => Self::Deleted,
            Kind::Rejected => Self::Rejected { error: error.ok_or(Missing("error"))? },
            Kind::Superseded => Self::Superseded,
            Kind::Duplicate => Self::Duplicate {
                operation: operation.ok_or(Missing("operation"))?,
                ingress: ingress.ok_or(Missing("ingress"))?,
                resource: resource?,
            },
        })
    }
}
