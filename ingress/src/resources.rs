//! The operations on resources of any kind (RFC 7644 §3.3 to §3.6).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::message::command::Command;
use protocol::message::query::{Answer, Query};
use protocol::scim::body::ResourceBody;
use protocol::scim::cursor::CursorCodec;
use protocol::scim::error::ScimError;
use protocol::scim::list::Paging;
use protocol::scim::patch::PatchRequest;
use protocol::scim::render::{ListResponse, Place};
use runtime::ids;

use crate::auth::Caller;
use crate::error::{ApiError, refusal};
use crate::extract::{Kind, NoBody, PreconditionHeaders, ProjectionParams, ScimBody, Search, SearchBody, Target};
use crate::request::WriteRequest;
use crate::response::{Responder, not_modified};
use crate::state::AppState;

/// `POST /{kind}`.
pub(crate) async fn create(
    State(state): State<AppState>,
    asking: WriteRequest,
    Kind(resource_type): Kind,
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
    let joined = projection.joined();
    let query = Query::Get { resource_type: target.resource_type, id: target.id, precondition, joined };
    match state.gateway.ask(&caller.workspace, query).await? {
        Answer::Resource { resource: Some(resource) } => {
            let recipient = Responder { state: &state, workspace: &caller.workspace, projection: &projection };
            Ok(recipient.resource(StatusCode::OK, &resource))
        }
        Answer::Resource { resource: None } => Err(ScimError::not_found().into()),
        Answer::NotModified { version } => Ok(not_modified(version)),
        other => Err(refusal(other)),
    }
}

/// `GET /{kind}`, and at the Base URL for all kinds.
pub(crate) async fn list(state: State<AppState>, caller: Caller, search: Search) -> Result<Response, ApiError> {
    found(state, caller, search).await
}

/// `POST /{kind}/.search`, and at the Base URL for all kinds.
pub(crate) async fn search(
    state: State<AppState>,
    caller: Caller,
    SearchBody(search): SearchBody,
) -> Result<Response, ApiError> {
    found(state, caller, search).await
}

async fn found(State(state): State<AppState>, caller: Caller, search: Search) -> Result<Response, ApiError> {
    let Search { lists, sort, paging, projection } = search;
    let base_url = state.settings.base_url(&caller.workspace);
    let cursors = CursorCodec::of(&lists, sort.as_ref());
    let start = match &paging {
        Paging::Index(page) => Some(page.start_index()),
        Paging::Cursor { .. } => None,
    };
    let query = Query::List { lists, base_url: base_url.clone(), sort, paging, joined: projection.joined() };
    match state.gateway.ask(&caller.workspace, query).await? {
        Answer::List { total, resources, next } => {
            let next = next.map(|position| cursors.write(&position));
            let place = start.map_or(Place::Walk { next: next.as_deref() }, Place::Index);
            let list =
                ListResponse { total, place, resources: &resources, base_url: &base_url, projection: &projection };
            let recipient = Responder { state: &state, workspace: &caller.workspace, projection: &projection };
            Ok(recipient.list(&list))
        }
        other => Err(refusal(other)),
    }
}
