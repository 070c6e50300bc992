//! Liveness, readiness and health over HTTP.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use crate::gateway::QueryError;
use crate::health::{Health, Part, Report};
use crate::state::AppState;

/// The process runs.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The process can take requests.
pub(crate) async fn ready(State(state): State<AppState>) -> Response {
    match state.health.not_ready() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// Whether requests can be answered now, part by part: 200 if all is well, else 503.
pub(crate) async fn health(State(state): State<AppState>) -> Response {
    let report = state.health.last_report.or(report(&state)).await;
    let status = if report.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec(&report) {
        Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn report(state: &AppState) -> Report {
    let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
    let Health { broker, credentials_watched, clock_skewed, .. } = state.health.as_ref();
    let broker = if is(broker) { Part::well("connected") } else { Part::ill("not connected") };
    let credentials = if is(credentials_watched) {
        Part::well("changes are followed")
    } else {
        Part::ill("changes are not followed")
    };
    let clock = if is(clock_skewed) {
        Part::ill("differs from the broker's by more than 2 seconds")
    } else {
        Part::well("agrees with the broker's")
    };
    let (workers, database) =
        if broker.healthy { behind(state.gateway.probe().await) } else { (Part::UNKNOWN, Part::UNKNOWN) };
    let healthy = [broker, credentials, clock, workers, database].iter().all(|part| part.healthy);
    Report { healthy, broker, credentials, clock, workers, database }
}

/// What a probe says of the workers and of the database.
fn behind(probed: Result<(), QueryError>) -> (Part, Part) {
    let answering = Part::well("a worker answers");
    match probed {
        Ok(()) => (answering, Part::well("a worker reads from it")),
        Err(QueryError::Unavailable) => (answering, Part::ill("the worker cannot reach it")),
        Err(QueryError::Slow) => (answering, Part::ill("it did not answer the worker in time")),
        Err(QueryError::NoWorker) => (Part::ill("no worker listens"), Part::UNKNOWN),
        Err(QueryError::Silent) => (Part::ill("no worker takes a query"), Part::UNKNOWN),
        Err(QueryError::Unreadable) => (Part::ill("a worker's answer is not readable"), Part::UNKNOWN),
        Err(QueryError::NotSent) => (Part::UNKNOWN, Part::UNKNOWN),
    }
}
