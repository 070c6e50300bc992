//! Asks the broker every so often for the state of the log: its time of day, and how full the log is. If it answers that
//! and no publish, it stores nothing.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::client::Request;
use chrono::{DateTime, Utc};
use protocol::id::Namespace;
use protocol::time::Timestamp;
use runtime::connection::Connection;
use runtime::lock::locked;
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::broker_clock::BrokerClock;
use super::log_fill::LogFill;
use super::outgoing::ATTEMPT_VALIDITY;
use crate::health::Health;
use crate::metrics::METRICS;

/// How often the broker is asked, and how often once the log is half full.
const INTERVAL: Duration = Duration::from_secs(5);
const INTERVAL_WHEN_FULL: Duration = Duration::from_millis(250);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long until it is asked again when there was no answer.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// For so long no publish was answered, and the broker answers everything else: it stores nothing.
const SILENT_AFTER: Duration = Duration::from_secs(6);

/// What is observed.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) clock: BrokerClock,
    pub(super) fill: LogFill,
    silence: Mutex<Silence>,
}

/// Whether publishes are answered while other questions are.
#[derive(Debug, Default)]
struct Silence {
    /// When the first publish was sent that was not answered, and none since.
    since: Option<Instant>,
    was_told: bool,
    /// When the last question was asked that was answered.
    asked: Option<Instant>,
}

impl Silence {
    fn is_long(&self) -> bool {
        self.since.is_some_and(|since| {
            since.elapsed() >= SILENT_AFTER && self.asked.is_some_and(|asked| asked > since + ATTEMPT_VALIDITY)
        })
    }
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
    /// Notes whether a publish was answered. A nats-server whose disk was full (measured with 2.15.1) stores nothing any
    /// more and does not answer publishes, also with room again, while it answers everything else.
    pub(super) fn published(&self, sent: Instant, is_answered: bool) {
        let mut silence = locked(&self.silence);
        if is_answered {
            (silence.since, silence.was_told) = (None, false);
            return;
        }
        silence.since.get_or_insert(sent);
        if silence.is_long() && !std::mem::replace(&mut silence.was_told, true) {
            tracing::error!(
                "the broker is connected and stores nothing: its disk is full or failing, as its own log says; make room and \
                 restart it"
            );
        }
    }

    /// Whether the broker has answered questions for long, and no publish.
    pub(super) fn broker_stores_nothing(&self) -> bool {
        locked(&self.silence).is_long()
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
        locked(&self.silence).asked = Some(sent);
        let said = Timestamp::from_millis(info.ts.timestamp_millis());
        let ahead = self.clock.learn(generation, sent, Instant::now(), said);
        self.fill.learn(info.state.bytes, u64::try_from(info.config.max_bytes).ok());
        METRICS.clock_ahead.set(ahead);
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
