//! Liveness, readiness, and the health of everything that requests need.

mod report;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::client::Request;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use protocol::id::Namespace;
use protocol::time::Timestamp;
use serde::Deserialize;

pub(crate) use self::report::health;

use self::report::LastReport;
use crate::clock;
use crate::edge::Edge;

/// How often the clocks are compared, and how long one comparison may take.
const COMPARE_EVERY: Duration = Duration::from_secs(15);
const COMPARE_WITHIN: Duration = Duration::from_secs(1);

/// What is known of this process and of what it needs. Each part is set by the task that sees it.
#[derive(Debug, Default)]
pub struct Health {
    /// The credentials were read once.
    pub credentials_loaded: AtomicBool,
    /// The process was told to stop.
    pub draining: AtomicBool,
    /// The connection to the broker stands.
    pub broker: AtomicBool,
    /// Changes of credentials are followed.
    pub credentials_watched: AtomicBool,
    /// This clock and the broker's differ by more than [`Health::MAX_CLOCK_SKEW_MILLIS`].
    pub clock_skewed: AtomicBool,
    last_report: LastReport,
}

impl Health {
    /// Above this difference the deadlines in envelopes mean different times here and at a worker.
    pub const MAX_CLOCK_SKEW_MILLIS: u64 = 2_000;

    /// Why this process is not to get requests, in words. Its own state only: what hits all ingresses alike, such as a
    /// broker that is away, would empty a load balancer's pool, and nobody would hold the requests until it is back.
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("this process is stopping");
        }
        (!self.credentials_loaded.load(Ordering::Relaxed)).then_some("the credentials are not loaded yet")
    }
}

/// The process runs.
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// The process can take requests.
pub(crate) async fn ready(State(edge): State<Edge>) -> Response {
    match edge.health.not_ready() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

/// Compares this clock with the broker's, for ever. Without an answer nothing changes.
pub(crate) async fn watch_clock(client: Client, namespace: Namespace, health: Arc<Health>) {
    let mut pause = tokio::time::interval(COMPARE_EVERY);
    loop {
        pause.tick().await;
        let Some(difference) = difference(&client, &namespace).await else { continue };
        let skewed = difference.unsigned_abs() > Health::MAX_CLOCK_SKEW_MILLIS;
        if health.clock_skewed.swap(skewed, Ordering::Relaxed) != skewed {
            tracing::warn!(milliseconds = difference, skewed, "this clock is {difference} ms ahead of the broker's");
        }
    }
}

/// By how many milliseconds this clock is ahead of the broker's, taken in the middle of a round trip.
async fn difference(client: &Client, namespace: &Namespace) -> Option<i64> {
    /// The server's time of writing the answer to `STREAM.INFO`.
    #[derive(Deserialize)]
    struct Info {
        ts: DateTime<Utc>,
    }
    let before = clock::now();
    let subject = format!("$JS.API.STREAM.INFO.{}", namespace.command_stream());
    let request = Request::new().timeout(Some(COMPARE_WITHIN));
    let reply = client.send_request(subject, request).await.ok()?;
    let info: Info = serde_json::from_slice(&reply.payload).ok()?;
    let round_trip = clock::now().since(before);
    let here = before.after(round_trip / 2);
    Some(here.as_millis() - Timestamp::from_millis(info.ts.timestamp_millis()).as_millis())
}
