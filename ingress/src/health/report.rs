//! `/healthz`: how everything is that requests need. For people and for monitoring, not for load balancers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Health;
use crate::edge::Edge;
use crate::gateway::QueryError;

/// A report is told again for so long: whoever asks often makes no more work for workers than this.
const FRESH: Duration = Duration::from_secs(1);

/// The last report, and when it was made. Who asks meanwhile waits for the one that is being made.
#[derive(Debug, Default)]
pub(super) struct LastReport(Mutex<Option<(Instant, Report)>>);

/// How everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Report {
    healthy: bool,
    broker: Part,
    credentials: Part,
    clock: Part,
    workers: Part,
    database: Part,
}

/// How one part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Part {
    healthy: bool,
    state: &'static str,
}

/// Whether requests can be answered now, part by part: 200 if all is well, else 503.
pub(crate) async fn health(State(edge): State<Edge>) -> Response {
    let mut last = edge.health.last_report.0.lock().await;
    let fresh = last.as_ref().filter(|(made, _)| made.elapsed() < FRESH).map(|(_, report)| *report);
    let report = match fresh {
        Some(report) => report,
        None => report(&edge).await,
    };
    if fresh.is_none() {
        *last = Some((Instant::now(), report));
    }
    let status = if report.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec(&report) {
        Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn report(edge: &Edge) -> Report {
    let health = &edge.health;
    let broker = connection(health);
    let (workers, database) =
        if broker.healthy { behind(edge.gateway.probe().await) } else { (Part::UNKNOWN, Part::UNKNOWN) };
    let (credentials, clock) = (credentials(health), clock(health));
    let healthy = [broker, credentials, clock, workers, database].iter().all(|part| part.healthy);
    Report { healthy, broker, credentials, clock, workers, database }
}

fn connection(health: &Health) -> Part {
    if health.broker.load(Ordering::Relaxed) { Part::well("connected") } else { Part::ill("not connected") }
}

fn credentials(health: &Health) -> Part {
    if health.credentials_watched.load(Ordering::Relaxed) {
        Part::well("changes are followed")
    } else {
        Part::ill("changes are not followed")
    }
}

fn clock(health: &Health) -> Part {
    if health.clock_skewed.load(Ordering::Relaxed) {
        Part::ill("differs from the broker's by more than 2 seconds")
    } else {
        Part::well("agrees with the broker's")
    }
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

impl Part {
    const UNKNOWN: Self = Self::ill("unknown");

    const fn well(state: &'static str) -> Self {
        Self { healthy: true, state }
    }

    const fn ill(state: &'static str) -> Self {
        Self { healthy: false, state }
    }
}
