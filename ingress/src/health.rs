//! Liveness and readiness.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::edge::Edge;

/// Whether this process can serve. Each part is set by the task that sees it.
#[derive(Debug, Default)]
pub struct Health {
    /// The connection to the broker stands.
    pub broker: AtomicBool,
    /// The credentials are watched.
    pub credentials: AtomicBool,
    /// This clock and the broker's differ by more than [`Health::MAX_CLOCK_SKEW_MILLIS`].
    pub clock_skewed: AtomicBool,
}

impl Health {
    /// Above this difference it is said that this clock is wrong; the broker's counts all the same.
    pub const MAX_CLOCK_SKEW_MILLIS: u64 = 2_000;

    /// What is missing, in words; nothing if requests can be served.
    pub fn missing(&self) -> Option<&'static str> {
        if !self.broker.load(Ordering::Relaxed) {
            return Some("the broker is not connected");
        }
        if !self.credentials.load(Ordering::Relaxed) {
            return Some("the credentials are not watched yet");
        }
        self.clock_skewed.load(Ordering::Relaxed).then_some("this clock and the broker's differ by more than 2 seconds")
    }
}

/// The process runs.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The process can serve requests.
pub(crate) async fn ready(State(edge): State<Edge>) -> Response {
    match edge.health.missing() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
