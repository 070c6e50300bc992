//! Requests parsed once, at the edge: what a handler receives cannot be malformed.

mod body;
mod bulk;
mod precondition;
mod search;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::projection::Projection;
use protocol::scim::resource_type::ResourceType;
use tokio::time::Instant;

pub(crate) use body::{FromJson, NoBody, ScimBody, media_type, of_request};
pub(crate) use bulk::read_bulk;
pub(crate) use precondition::PreconditionHeaders;
pub(crate) use search::{Search, SearchBody};

use crate::auth::Caller;
use crate::error::ApiError;

/// When the request's head was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Began(pub(crate) Instant);

/// The kind of resource that the route serves.
fn kind(parts: &Parts) -> Result<ResourceType, ApiError> {
    parts.extensions.get().copied().ok_or_else(|| ScimError::not_found().into())
}

/// The kinds of resource that the route serves: all of them at the Base URL itself (RFC 7644 §3.4.2.1).
fn kinds(parts: &Parts) -> Vec<ResourceType> {
    parts.extensions.get().map_or_else(|| ResourceType::ALL.to_vec(), |kind| vec![*kind])
}

/// The resource that the URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// Its kind.
    pub(crate) resource_type: ResourceType,
    /// Its id.
    pub(crate) id: protocol::id::ResourceId,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let resource_type = kind(parts)?;
        // What cannot be an id of ours is answered like an id that is not there.
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((_, id)) = path.map_err(|_| ScimError::not_found())?;
        let id = id.parse().map_err(|_| ScimError::not_found())?;
        Ok(Self { resource_type, id })
    }
}

/// What the client wants to see of the resources in the answer (RFC 7644 §3.9).
pub(crate) struct ProjectionParams(pub(crate) Projection);

impl<S: Sync> FromRequestParts<S> for ProjectionParams {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let parameters = Parameters::of(parts)?;
        let (attributes, excluded) = (parameters.names("attributes"), parameters.names("excludedAttributes"));
        Ok(Self(Projection::parse(&caller.profile.extensions, &kinds(parts), &attributes, &excluded)?))
    }
}

/// The query string, as name and value pairs. Unknown names are ignored (RFC 7644 §3.4.2).
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(parts: &Parts) -> Result<Self, ScimError> {
        let query = axum::extract::Query::try_from_uri(&parts.uri);
        query.map(|axum::extract::Query(pairs)| Self(pairs)).map_err(|_| {
            let detail = "the query string is not readable as name=value pairs";
            ScimError::bad_request(ScimType::InvalidSyntax, detail)
        })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The names in a comma-separated list, which may also be given in pieces.
    fn names(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| value.split(',')).collect()
    }
}
