//! The operations on resources of any kind (RFC 7644 §3.3 to §3.6).

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use protocol::message::command::Command;
use protocol::message::query::{ListResources, ResourcePage};
use protocol::scim::body::ResourceBody;
use protocol::scim::cursor::CursorCodec;
use protocol::scim::list::Paging;
use protocol::scim::patch::PatchRequest;
use protocol::scim::render::{ListResponse, Place};
use protocol::scim::resource_type::ResourceType;
use runtime::ids;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{NoBody, PreconditionHeaders, ProjectionParams, ScimBody, Search, SearchBody, Target};
use crate::request::{WriteRequest, read};
use crate::response::Responder;
use crate::state::AppState;

/// `POST /{kind}`.
pub(crate) async fn create(
    State(state): State<AppState>,
    asking: WriteRequest,
    Extension(resource_type): Extension<ResourceType>,
    body: ScimBody<ResourceBody>,
) -> Result<Response, ApiError> {
    let target = Target { resource_type, id: ids::resource() };
    let ResourceBody { attributes, members } = body.value;
    let command = Command::Create { attributes, members };
    asking.submit(&state, target, command, body.fingerprint).await
}

/// `PUT /{kind}/{id}`.
pub(crate) async fn replace(
    State(state): State<AppState>,
    asking: WriteRequest,
    target: Target,
    PreconditionHeaders(precondition): PreconditionHeaders,
    body: ScimBody<ResourceBody>,
) -> Result<Response, ApiError> {
    let ResourceBody { attributes, members } = body.value;
    let command = Command::Replace { attributes, members, precondition };
    asking.submit(&state, target, command, body.fingerprint).await
}

/// `PATCH /{kind}/{id}`.
pub(crate) async fn patch(
    State(state): State<AppState>,
    asking: WriteRequest,
    target: Target,
    PreconditionHeaders(precondition): PreconditionHeaders,
    body: ScimBody<PatchRequest>,
) -> Result<Response, ApiError> {
    let command = Command::Patch { request: body.value, precondition };
    asking.submit(&state, target, command, body.fingerprint).await
}

/// `DELETE /{kind}/{id}`.
pub(crate) async fn delete(
    State(state): State<AppState>,
    asking: WriteRequest,
    target: Target,
    PreconditionHeaders(precondition): PreconditionHeaders,
    NoBody(fingerprint): NoBody,
) -> Result<Response, ApiError> {
    asking.submit(&state, target, Command::Delete { precondition }, fingerprint).await
}

/// `GET /{kind}/{id}`.
pub(crate) async fn get(
    State(state): State<AppState>,
    caller: Caller,
    target: Target,
    PreconditionHeaders(precondition): PreconditionHeaders,
    ProjectionParams(projection): ProjectionParams,
) -> Result<Response, ApiError> {
    read(&state, &caller.workspace, target, precondition, &projection).await
}

/// `GET /{kind}`, and at the Base URL for all kinds.
pub(crate) async fn list(State(state): State<AppState>, caller: Caller, search: Search) -> Result<Response, ApiError> {
    let Search { lists, sort, paging, projection } = search;
    let base_url = state.settings.base_url(&caller.workspace);
    let cursors = CursorCodec::of(&lists, sort.as_ref());
    let start = match &paging {
        Paging::Index(page) => Some(page.start_index()),
        Paging::Cursor { .. } => None,
    };
    let query = ListResources { lists, base_url: base_url.clone(), sort, paging, joined: projection.joined() };
    let ResourcePage { total, resources, next } = state.gateway.ask(&caller.workspace, query).await?;
    let next = next.map(|position| cursors.write(&position));
    let place = start.map_or(Place::Walk { next: next.as_deref() }, Place::Index);
    let list = ListResponse { total, place, resources: &resources, base_url: &base_url, projection: &projection };
    Ok(Responder { state: &state, workspace: &caller.workspace, projection: &projection }.list(&list))
}

/// `POST /{kind}/.search`, and at the Base URL for all kinds.
pub(crate) async fn search(
    state: State<AppState>,
    caller: Caller,
    SearchBody(search): SearchBody,
) -> Result<Response, ApiError> {
    list(state, caller, search).await
}
