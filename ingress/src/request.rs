//! From a request to an envelope, and through the gateway to the answer.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use protocol::failpoint::Failpoint;
use protocol::id::{OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, FORMAT_VERSION, Fingerprint};
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Found, GetResource};
use protocol::ownership::Source;
use protocol::scim::error::ScimError;
use protocol::scim::precondition::Precondition;
use protocol::scim::projection::Projection;
use runtime::{failpoint, ids};
use tokio::time::Instant;
use tracing::Span;
use tracing::field::display;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::extract::{Began, ProjectionParams, Target};
use crate::last_answer::LastAnswer;
use crate::response::{Responder, not_modified};
use crate::state::{AppState, Settings};

/// Who asks, since when, and in which trace.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) caller: Caller,
    /// When the request's head was read.
    pub(crate) began: Instant,
    trace: String,
    connection: LastAnswer,
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let began = parts.extensions.get().map_or_else(Instant::now, |Began(at)| *at);
        let connection = parts.extensions.get().cloned().unwrap_or_default();
        let trace = trace_of(&parts.headers);
        Span::current().record("trace", &trace);
        Ok(Self { caller, began, trace, connection })
    }
}

impl RequestContext {
    /// The command as it goes into the log, under a new operation id.
    pub(crate) fn envelope(
        &self,
        settings: &Settings,
        target: Target,
        body: Command,
        fingerprint: Fingerprint,
    ) -> Envelope<Command> {
        Envelope {
            version: FORMAT_VERSION,
            operation: ids::operation(),
            workspace: self.caller.workspace.clone(),
            resource_type: target.resource_type,
            resource: target.id,
            source: Source::IdentityProvider,
            token: Some(self.caller.token.clone()),
            fingerprint,
            ingress: settings.ingress.clone(),
            deadline: settings.publish_deadline(self.began),
            trace: Some(self.trace.clone()),
            extensions: self.caller.profile.extensions.clone(),
            body,
        }
    }

    /// The answer to these creates is being written.
    pub(crate) fn answers(&self, state: &AppState, creates: Vec<OperationId>) {
        for create in &creates {
            state.gateway.answered(*create);
        }
        self.connection.is(creates);
    }
}

/// A request that is answered with one resource: where it comes from, and what the answer is to show.
pub(crate) struct WriteRequest {
    origin: RequestContext,
    projection: Projection,
}

impl<S: Sync> FromRequestParts<S> for WriteRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let origin = RequestContext::from_request_parts(parts, state).await?;
        let ProjectionParams(projection) = ProjectionParams::from_request_parts(parts, state).await?;
        Ok(Self { origin, projection })
    }
}

impl WriteRequest {
    /// Has a command applied and answers with what became of it.
    pub(crate) async fn submit(
        self,
        state: &AppState,
        target: Target,
        command: Command,
        fingerprint: Fingerprint,
    ) -> Result<Response, ApiError> {
        let lane = Lane::of(target.resource_type, &command);
        let Self { origin, projection } = self;
        let complete = state.pulse.complete_since().await;
        failpoint::hit(Failpoint::IngressReceived).await;
        let envelope = origin.envelope(&state.settings, target, command, fingerprint);
        Span::current().record("operation", display(envelope.operation));
        let (operation, timing) =
            (envelope.operation, state.settings.timing(origin.began, complete).complete_since(complete));
        let outcome = state.apply(envelope, lane, timing).await?;
        failpoint::hit(Failpoint::IngressAnswerBefore).await;
        if matches!(outcome, Outcome::Created { .. }) {
            origin.answers(state, vec![operation]);
        }
        failpoint::hit_soon(Failpoint::IngressAnswerAfter);
        match outcome {
            // RFC 7644 §3.5.2: who asks for attributes gets the resource. The outcome does not hold this one: it is a group,
            // whose members were not read.
            Outcome::UpdatedWithoutBody { .. } if projection.is_asked_for() => {
                read(state, &origin.caller.workspace, target, Precondition::None, &projection).await
            }
            outcome => {
                let recipient = Responder { state, workspace: &origin.caller.workspace, projection: &projection };
                Ok(recipient.outcome(&outcome))
            }
        }
    }
}

/// Answers with a resource as it is now.
pub(crate) async fn read(
    state: &AppState,
    workspace: &WorkspaceId,
    target: Target,
    precondition: Precondition,
    projection: &Projection,
) -> Result<Response, ApiError> {
    let Target { resource_type, id } = target;
    let query = GetResource { resource_type, id, precondition, joined: projection.joined() };
    match state.gateway.ask(workspace, query).await? {
        Found::Resource(resource) => Ok(Responder { state, workspace, projection }.resource(StatusCode::OK, &resource)),
        Found::Nothing => Err(ScimError::not_found().into()),
        Found::NotModified { version } => Ok(not_modified(version)),
        Found::PreconditionFailed => Err(ScimError::precondition_failed().into()),
    }
}

/// The request's own `traceparent` if it is one (W3C Trace Context §3.2), else a new one.
fn trace_of(headers: &HeaderMap) -> String {
    let sent = headers.get("traceparent").and_then(|value| value.to_str().ok());
    sent.filter(|text| is_trace_parent(text)).map_or_else(ids::trace_parent, str::to_owned)
}

fn is_trace_parent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut field = |length: usize| {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        fields.next().filter(|text| text.len() == length && text.bytes().all(hex))
    };
    let (version, trace, span, flags) = (field(2), field(32), field(16), field(2));
    let not_zero = |id: Option<&str>| id.is_some_and(|id| id.bytes().any(|byte| byte != b'0'));
    version == Some("00") && not_zero(trace) && not_zero(span) && flags.is_some() && fields.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_trace_context_is_passed_on() {
        assert!(is_trace_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(is_trace_parent(&ids::trace_parent()));
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert!(!is_trace_parent(text), "{text}");
        }
    }
}
