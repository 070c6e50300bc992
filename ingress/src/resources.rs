//! The operations on resources of any kind (RFC 7644 §3.3 to §3.6).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::message::command::Command;
use protocol::message::query::{Answer, Query};
use protocol::scim::attributes::Attributes;
use protocol::scim::cursor::Cursors;
use protocol::scim::error::ScimError;
use protocol::scim::list::Paging;
use protocol::scim::patch::PatchRequest;
use protocol::scim::render::{ListResponse, Place};
use runtime::ids;

use crate::auth::Caller;
use crate::edge::Edge;
use crate::error::{ApiError, refusal};
use crate::extract::{Bodiless, Conditional, Kind, Posted, ScimBody, Search, Target, View};
use crate::request::Asking;
use crate::response::{Recipient, not_modified};

/// `POST /{kind}`.
pub(crate) async fn create(
    State(edge): State<Edge>,
    asking: Asking,
    Kind(resource_type): Kind,
    body: ScimBody<Attributes>,
) -> Result<Response, ApiError> {
    let target = Target { resource_type, id: ids::resource() };
    let command = Command::Create { attributes: body.value };
    asking.submit(&edge, target, command, body.fingerprint).await
}

/// `PUT /{kind}/{id}`.
pub(crate) async fn replace(
    State(edge): State<Edge>,
    asking: Asking,
    target: Target,
    Conditional(precondition): Conditional,
    body: ScimBody<Attributes>,
) -> Result<Response, ApiError> {
    let command = Command::Replace { attributes: body.value, precondition };
    asking.submit(&edge, target, command, body.fingerprint).await
}

/// `PATCH /{kind}/{id}`.
pub(crate) async fn patch(
    State(edge): State<Edge>,
    asking: Asking,
    target: Target,
    Conditional(precondition): Conditional,
    body: ScimBody<PatchRequest>,
) -> Result<Response, ApiError> {
    let command = Command::Patch { request: body.value, precondition };
    asking.submit(&edge, target, command, body.fingerprint).await
}

/// `DELETE /{kind}/{id}`.
pub(crate) async fn delete(
    State(edge): State<Edge>,
    asking: Asking,
    target: Target,
    Conditional(precondition): Conditional,
    Bodiless(fingerprint): Bodiless,
) -> Result<Response, ApiError> {
    asking.submit(&edge, target, Command::Delete { precondition }, fingerprint).await
}

/// `GET /{kind}/{id}`.
pub(crate) async fn get(
    State(edge): State<Edge>,
    caller: Caller,
    target: Target,
    Conditional(precondition): Conditional,
    View(projection): View,
) -> Result<Response, ApiError> {
    let joined = projection.joined();
    let query = Query::Get { resource_type: target.resource_type, id: target.id, precondition, joined };
    match edge.gateway.ask(&caller.workspace, query).await? {
        Answer::Resource { resource: Some(resource) } => {
            let recipient = Recipient { edge: &edge, workspace: &caller.workspace, projection: &projection };
            Ok(recipient.resource(StatusCode::OK, &resource))
        }
        Answer::Resource { resource: None } => Err(ScimError::not_found().into()),
        Answer::NotModified { version } => Ok(not_modified(version)),
        other => Err(refusal(other)),
    }
}

/// `GET /{kind}`, and at the Base URL for all kinds.
pub(crate) async fn list(edge: State<Edge>, caller: Caller, search: Search) -> Result<Response, ApiError> {
    found(edge, caller, search).await
}

/// `POST /{kind}/.search`, and at the Base URL for all kinds.
pub(crate) async fn search(edge: State<Edge>, caller: Caller, Posted(search): Posted) -> Result<Response, ApiError> {
    found(edge, caller, search).await
}

async fn found(State(edge): State<Edge>, caller: Caller, search: Search) -> Result<Response, ApiError> {
    let Search { lists, sort, paging, projection } = search;
    let base_url = edge.terms.base_url(&caller.workspace);
    let cursors = Cursors::of(&lists, sort.as_ref());
    let start = match &paging {
        Paging::Index(page) => Some(page.start_index()),
        Paging::Cursor { .. } => None,
    };
    let query = Query::List { lists, base_url: base_url.clone(), sort, paging, joined: projection.joined() };
    match edge.gateway.ask(&caller.workspace, query).await? {
        Answer::List { total, resources, next } => {
            let next = next.map(|position| cursors.write(&position));
            let place = start.map_or(Place::Walk { next: next.as_deref() }, Place::Index);
            let list =
                ListResponse { total, place, resources: &resources, base_url: &base_url, projection: &projection };
            let recipient = Recipient { edge: &edge, workspace: &caller.workspace, projection: &projection };
            Ok(recipient.list(&list))
        }
        other => Err(refusal(other)),
    }
}
