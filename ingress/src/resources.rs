//! The operations on resources of any kind (RFC 7644 §3.3 to §3.6).

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use protocol::message::command::Command;
use protocol::message::query::{Answer, Query};
use protocol::scim::attributes::Attributes;
use protocol::scim::error::ScimError;
use protocol::scim::patch::PatchRequest;
use protocol::scim::render::ListResponse;

use crate::auth::Caller;
use crate::edge::Edge;
use crate::error::ApiError;
use crate::extract::{Bodiless, IfMatch, Kind, ListRequest, ScimBody, Target};
use crate::gateway::GatewayError;
use crate::identity;
use crate::request::Asking;
use crate::response::{resource_response, scim_json};

/// `POST /{kind}`.
pub(crate) async fn create(
    State(edge): State<Edge>,
    asking: Asking,
    Kind(resource_type): Kind,
    body: ScimBody<Attributes>,
) -> Result<Response, ApiError> {
    let target = Target { resource_type, id: identity::resource() };
    let command = Command::Create { attributes: body.value };
    asking.submit(&edge, target, command, body.fingerprint).await
}

/// `PUT /{kind}/{id}`.
pub(crate) async fn replace(
    State(edge): State<Edge>,
    asking: Asking,
    target: Target,
    IfMatch(precondition): IfMatch,
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
    IfMatch(precondition): IfMatch,
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
    IfMatch(precondition): IfMatch,
    Bodiless(fingerprint): Bodiless,
) -> Result<Response, ApiError> {
    asking.submit(&edge, target, Command::Delete { precondition }, fingerprint).await
}

/// `GET /{kind}/{id}`.
pub(crate) async fn get(State(edge): State<Edge>, caller: Caller, target: Target) -> Result<Response, ApiError> {
    let query = Query::Get { resource_type: target.resource_type, id: target.id };
    match edge.gateway.ask(&caller.workspace, query).await? {
        Answer::Resource { resource: Some(resource) } => {
            Ok(resource_response(StatusCode::OK, &resource, &edge.terms.base_url(&caller.workspace)))
        }
        Answer::Resource { resource: None } => Err(ScimError::not_found().into()),
        other => Err(refusal(other)),
    }
}

/// `GET /{kind}`.
pub(crate) async fn list(
    State(edge): State<Edge>,
    caller: Caller,
    Kind(resource_type): Kind,
    ListRequest { filter, page }: ListRequest,
) -> Result<Response, ApiError> {
    match edge.gateway.ask(&caller.workspace, Query::List { resource_type, filter, page }).await? {
        Answer::List { total, resources } => {
            let base_url = edge.terms.base_url(&caller.workspace);
            let list = ListResponse { total, page, resources: &resources, base_url: &base_url };
            Ok(scim_json(StatusCode::OK, &list))
        }
        other => Err(refusal(other)),
    }
}

fn refusal(answer: Answer) -> ApiError {
    match answer {
        Answer::Refused { error } => error.into(),
        Answer::Unavailable => GatewayError::Unanswered { in_log: None }.into(),
        Answer::Resource { .. } | Answer::List { .. } | Answer::Outcome { .. } | Answer::Credential { .. } => {
            GatewayError::UnexpectedAnswer.into()
        }
    }
}
