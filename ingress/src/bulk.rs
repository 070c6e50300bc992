//! `POST /Bulk` (RFC 7644 §3.7): many operations in one request, done in waves.

mod execution;

use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use http::StatusCode;
use protocol::scim::bulk::BulkResponse;
use protocol::scim::error::ScimError;
use tokio::sync::watch;
use tokio::time::timeout_at;

use self::execution::BulkExecution;
use crate::error::ApiError;
use crate::extract::{media_type, read_bulk};
use crate::gate::Work;
use crate::gateway::GatewayError;
use crate::request::RequestContext;
use crate::response::scim_json;
use crate::state::AppState;

/// `POST /Bulk`: 200 with a status for each operation that was begun.
pub(crate) async fn bulk(State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let origin = RequestContext::from_request_parts(&mut parts, &state).await?;
    media_type(&parts.headers)?;
    // Only as many are in memory as are served.
    let until = state.settings.timing(origin.began, origin.began).publish_by;
    let waiting = state.gate.queue(Work::Bulk, &origin.caller.workspace).ok_or(GatewayError::TooManyRequests)?;
    let permit = timeout_at(until, waiting.enter()).await.map_err(|_| GatewayError::Timeout { queued: None })?;
    drop(waiting);
    let asked = read_bulk(body, state.settings.bulk).await?;
    let complete = state.pulse.complete_since().await;
    // Dropped with this future, when the client hangs up: that ends the run.
    let (_client, gone) = watch::channel(());
    let (answered, run) = (origin.clone(), state.clone());
    // A task of its own: what was created in a circle is taken back also when the client hangs up.
    let running = tokio::spawn(async move {
        let finished = BulkExecution::new(run, origin, asked, complete, gone).finish().await;
        drop(permit);
        finished
    });
    let finished = running.await.map_err(|_| ScimError::new(500, "the request could not be carried out to its end"))?;
    answered.answers(&state, finished.created);
    Ok(scim_json(StatusCode::OK, &BulkResponse(&finished.results)))
}
