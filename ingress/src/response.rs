//! What a client gets: outcomes and answers as status, headers and body (RFC 7644 §3.1, §3.14).

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use protocol::id::WorkspaceId;
use protocol::message::outcome::Outcome;
use protocol::scim::error::ScimError;
use protocol::scim::projection::Projection;
use protocol::scim::render::ListResponse;
use protocol::scim::resource::{Resource, Version};
use serde::Serialize;

use crate::member_stream::BodyParts;
use crate::state::AppState;

/// The media type of everything that SCIM answers (RFC 7644 §3.1).
pub(crate) const SCIM_JSON: HeaderValue = HeaderValue::from_static("application/scim+json");

/// Whom an answer is for, and what it shows.
#[derive(Clone, Copy)]
pub(crate) struct Responder<'a> {
    pub(crate) state: &'a AppState,
    pub(crate) workspace: &'a WorkspaceId,
    pub(crate) projection: &'a Projection,
}

impl Responder<'_> {
    /// The answer to a command.
    pub(crate) fn outcome(self, outcome: &Outcome) -> Response {
        match outcome {
            Outcome::Created { resource } => self.resource(StatusCode::CREATED, resource),
            Outcome::Updated { resource } => self.resource(StatusCode::OK, resource),
            Outcome::UpdatedWithoutBody { version } => tagged(no_content(), *version),
            Outcome::Deleted => no_content(),
            Outcome::Rejected { error } => error_response(error),
            Outcome::Superseded => error_response(&ScimError::superseded()),
            // Whether the earlier create was answered is known before: it was.
            Outcome::Duplicate { resource, .. } => error_response(&ScimError::duplicate(resource.resource_type)),
        }
    }

    /// One resource with its version and its place: RFC 7644 demands `Location` of a 201 (§3.3), and shows it with every
    /// other resource, too (§3.4.1, §3.5.1, §3.9).
    pub(crate) fn resource(self, status: StatusCode, resource: &Resource) -> Response {
        let base_url = self.state.settings.base_url(self.workspace);
        let mut response = if resource.is_open(self.projection) {
            let written = BodyParts::default().resource(resource, &base_url, self.projection);
            self.streamed(status, &base_url, written)
        } else {
            scim_json(status, &resource.render(&base_url, self.projection))
        };
        if let Ok(value) = HeaderValue::from_str(&resource.location(&base_url)) {
            response.headers_mut().insert(LOCATION, value);
        }
        tagged(response, resource.meta.version)
    }

    /// A list, for this recipient.
    pub(crate) fn list(self, list: &ListResponse<'_>) -> Response {
        if list.resources.iter().any(|resource| resource.is_open(self.projection)) {
            self.streamed(StatusCode::OK, list.base_url, BodyParts::of_list(list))
        } else {
            scim_json(StatusCode::OK, list)
        }
    }

    fn streamed(self, status: StatusCode, base_url: &str, written: serde_json::Result<BodyParts>) -> Response {
        let Ok(pieces) = written else { return not_written() };
        let (gateway, gate) = (Arc::clone(&self.state.gateway), Arc::clone(&self.state.gate));
        with_headers(status, pieces.into_body(gateway, gate, self.workspace.clone(), base_url.to_owned()))
    }
}

/// 304: the client has this version already (RFC 7644 §3.14).
pub(crate) fn not_modified(version: Version) -> Response {
    let mut response = no_content();
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    tagged(response, version)
}

/// Anything as SCIM's JSON.
pub(crate) fn scim_json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_headers(status, Body::from(bytes)),
        Err(_) => not_written(),
    }
}

/// An error's answer.
pub(crate) fn error_response(error: &ScimError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    scim_json(status, &error.body())
}

fn not_written() -> Response {
    error_response(&ScimError::new(500, "the answer could not be written as JSON"))
}

fn with_headers(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, SCIM_JSON);
    // People's data: no cache on the way keeps it.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn tagged(mut response: Response, version: Version) -> Response {
    if let Ok(value) = HeaderValue::from_str(&version.to_string()) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}
