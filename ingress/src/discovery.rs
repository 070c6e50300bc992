//! What this server says of itself (RFC 7644 §4): sorting, paging and projection are ignored there, a filter is refused.

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use protocol::scim::discovery;
use protocol::scim::error::ScimError;
use serde_json::Value;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::response::scim_json;
use crate::state::AppState;

/// A request of discovery: one without a filter, so that no client takes everything for what matches.
pub(crate) struct Unfiltered(Caller);

impl<S: Sync> FromRequestParts<S> for Unfiltered {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let names = parts.uri.query().unwrap_or_default().split('&').map(|pair| pair.split('=').next());
        if names.into_iter().any(|name| name == Some("filter")) {
            return Err(ScimError::new(403, "this cannot be filtered; leave the filter out").into());
        }
        Caller::from_request_parts(parts, state).await.map(Self)
    }
}

/// `GET /ServiceProviderConfig`.
pub(crate) async fn service_provider_config(State(state): State<AppState>, Unfiltered(caller): Unfiltered) -> Response {
    scim_json(
        StatusCode::OK,
        &discovery::service_provider_config(&state.settings.base_url(&caller.workspace), state.settings.bulk),
    )
}

/// `GET /Schemas`.
pub(crate) async fn schemas(State(state): State<AppState>, Unfiltered(caller): Unfiltered) -> Response {
    scim_json(StatusCode::OK, &discovery::list(&all_schemas(&state, &caller)))
}

/// `GET /Schemas/{urn}`.
pub(crate) async fn schema(
    State(state): State<AppState>,
    Unfiltered(caller): Unfiltered,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    one_of(&all_schemas(&state, &caller), &id)
}

/// `GET /ResourceTypes`.
pub(crate) async fn resource_types(State(state): State<AppState>, Unfiltered(caller): Unfiltered) -> Response {
    scim_json(StatusCode::OK, &discovery::list(&all_resource_types(&state, &caller)))
}

/// `GET /ResourceTypes/{name}`.
pub(crate) async fn resource_type(
    State(state): State<AppState>,
    Unfiltered(caller): Unfiltered,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    one_of(&all_resource_types(&state, &caller), &id)
}

/// Any method of `/Me`: a token belongs to a provider, not to a person (RFC 7644 §3.11).
pub(crate) async fn me() -> Result<Response, ApiError> {
    Err(ScimError::new(501, "a token of this server belongs to no person, so there is no /Me").into())
}

fn all_schemas(state: &AppState, caller: &Caller) -> Vec<Value> {
    discovery::schemas(&caller.profile.extensions, &state.settings.base_url(&caller.workspace))
}

fn all_resource_types(state: &AppState, caller: &Caller) -> Vec<Value> {
    discovery::resource_types(&caller.profile.extensions, &state.settings.base_url(&caller.workspace))
}

/// URNs are compared in any letter case (RFC 7643 §2.1), and so are names.
fn one_of(resources: &[Value], id: &str) -> Result<Response, ApiError> {
    let is_it = |one: &&Value| one.get("id").and_then(Value::as_str).is_some_and(|its| its.eq_ignore_ascii_case(id));
    let found = resources.iter().find(is_it).ok_or_else(ScimError::not_found)?;
    Ok(scim_json(StatusCode::OK, found))
}
