//! Asks the broker every so often for the state of the log: its time of day, and how full the log is.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::client::Request;
use chrono::{DateTime, Utc};
use protocol::id::Namespace;
use protocol::time::Timestamp;
use runtime::connection::Connection;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::broker_clock::BrokerClock;
use super::log_fill::LogFill;
use crate::health::Health;

/// How often the broker is asked, and how often once the log is half full.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_WHEN_FULL: Duration = Duration::from_millis(250);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long until it is asked again when there was no answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// What is observed.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) clock: BrokerClock,
    pub(super) fill: LogFill,
    answered: Mutex<Option<Instant>>,
}

/// What of `STREAM.INFO` matters here. `ts` is the leader's time of writing it (NATS ADR-31).
#[derive(Deserialize)]
struct Info {
    ts: DateTime<Utc>,
    config: ConfigPart,
    state: StatePart,
}

#[derive(Deserialize)]
struct ConfigPart {
    max_bytes: i64,
}

#[derive(Deserialize)]
struct StatePart {
    bytes: u64,
}

impl Observed {
    /// Whether the broker has answered a question that was asked after this instant.
    pub(super) fn has_answered_since(&self, instant: Instant) -> bool {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|asked| asked > instant)
    }

    /// Observes for as long as the process lives: at each new connection, whenever a measurement is wanted, and every so
    /// often.
    pub(super) async fn run(self: Arc<Self>, connection: Connection, namespace: Namespace, health: Arc<Health>) {
        loop {
            let generation = connection.connected().await;
            let pause = if self.ask(&connection, &namespace, generation, &health).await.is_none() {
                RETRY_INTERVAL
            } else if self.fill.is_half_full() {
                INTERVAL_WHEN_FULL
            } else {
                INTERVAL
            };
            tokio::select! {
                () = sleep(pause) => {}
                _ = connection.reconnected(generation) => {}
                () = self.clock.wanted() => {}
            }
        }
    }

    async fn ask(
        &self,
        connection: &Connection,
        namespace: &Namespace,
        generation: u64,
        health: &Health,
    ) -> Option<()> {
        let subject = format!("$JS.API.STREAM.INFO.{}", namespace.command_stream());
        let sent = Instant::now();
        let request = Request::new().timeout(Some(ANSWER_TIMEOUT));
        let reply = connection.client().send_request(subject, request).await.ok()?;
        let info: Info = serde_json::from_slice(&reply.payload).ok()?;
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
        let said = Timestamp::from_millis(info.ts.timestamp_millis());
        let ahead = self.clock.learn(generation, sent, Instant::now(), said);
        self.fill.learn(info.state.bytes, u64::try_from(info.config.max_bytes).ok());
        let skewed = ahead.unsigned_abs() > Health::MAX_CLOCK_SKEW_MILLIS;
        if health.clock_skewed.swap(skewed, Ordering::Relaxed) != skewed {
            tracing::warn!(
                milliseconds = ahead,
                skewed,
                "this clock is {ahead} ms ahead of the broker's; the broker's counts"
            );
        }
        Some(())
    }
}
