//! The log as the broker describes it: how much waits in each lane, and since when.

use std::sync::Arc;
use std::time::Duration;

use async_nats::client::Request;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use protocol::id::Namespace;
use protocol::message::lane::Lane;
use protocol::message::status::{LanePause, LaneStatus, LogStatus};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::connection::Connection;
use crate::snapshot::Snapshot;

/// How long the broker may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the broker for the state of the log, at most once a second.
#[derive(Debug, Clone)]
pub struct LogWatch {
    broker: Arc<Broker>,
    last: Snapshot<Option<LogStatus>>,
}

#[derive(Debug)]
struct Broker {
    connection: Connection,
    namespace: Namespace,
}

#[derive(Deserialize)]
struct StreamInfo {
    config: StreamConfig,
    state: StreamState,
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct StreamConfig {
    max_bytes: i64,
    num_replicas: u64,
}

#[derive(Deserialize)]
struct StreamState {
    messages: u64,
    bytes: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct Cluster {
    leader: Option<String>,
    #[serde(default)]
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    current: bool,
    #[serde(default)]
    offline: bool,
}

/// `ts` is the broker's time of writing it (NATS ADR-31).
#[derive(Deserialize)]
struct ConsumerInfo {
    ts: DateTime<Utc>,
    num_pending: u64,
    num_ack_pending: u64,
    ack_floor: Floor,
}

#[derive(Deserialize)]
struct Floor {
    stream_seq: u64,
}

#[derive(Deserialize)]
struct Stored {
    message: StoredMessage,
}

#[derive(Deserialize)]
struct StoredMessage {
    time: DateTime<Utc>,
}

impl LogWatch {
    /// Of this namespace's log.
    pub fn new(connection: Connection, namespace: Namespace) -> Self {
        Self { broker: Arc::new(Broker { connection, namespace }), last: Snapshot::default() }
    }

    /// The log now or a second ago; none if the broker does not tell within `patience`.
    pub async fn look(&self, patience: Duration) -> Option<LogStatus> {
        let broker = Arc::clone(&self.broker);
        self.last.get(patience, async move { broker.look().await }).await.flatten()
    }
}

impl Broker {
    async fn look(&self) -> Option<LogStatus> {
        if !self.connection.is_up() {
            return None;
        }
        let stream = self.namespace.command_stream();
        let info: StreamInfo = self.ask(format!("$JS.API.STREAM.INFO.{stream}"), String::new()).await?;
        let lanes = join_all(Lane::ALL.map(|lane| self.lane(&stream, lane))).await;
        let others = info.cluster.as_ref().map_or(0, |cluster| {
            let led = usize::from(cluster.leader.is_some());
            led + cluster.replicas.iter().filter(|replica| replica.current && !replica.offline).count()
        });
        Some(LogStatus {
            broker: self.connection.client().server_info().version.clone(),
            messages: info.state.messages,
            bytes: info.state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).ok(),
            last_sequence: info.state.last_seq,
            replicas_wanted: info.config.num_replicas,
            // One server by itself has no cluster.
            replicas_actual: u64::try_from(others).unwrap_or(0).max(u64::from(info.cluster.is_none())),
            lanes: lanes.into_iter().collect::<Option<_>>()?,
        })
    }

    async fn lane(&self, stream: &str, lane: Lane) -> Option<LaneStatus> {
        let info: ConsumerInfo = self.ask(format!("$JS.API.CONSUMER.INFO.{stream}.{lane}"), String::new()).await?;
        let (pending, ack_pending) = (info.num_pending, info.num_ack_pending);
        let oldest = if pending + ack_pending == 0 { None } else { self.oldest(stream, lane).await };
        // A message that was stored after that question is 0 ms old.
        let age = oldest.map(|oldest| u64::try_from((info.ts - oldest).num_milliseconds()).unwrap_or(0));
        let paused = self.pause(lane).await;
        Some(LaneStatus { lane, pending, ack_pending, ack_floor: info.ack_floor.stream_seq, oldest_ms: age, paused })
    }

    async fn oldest(&self, stream: &str, lane: Lane) -> Option<DateTime<Utc>> {
        let first = json!({ "seq": 1, "next_by_subj": self.namespace.lane_commands(lane) });
        let stored: Stored = self.ask(format!("$JS.API.STREAM.MSG.GET.{stream}"), first.to_string()).await?;
        Some(stored.message.time)
    }

    /// Why a lane is paused. What was deleted has no value.
    async fn pause(&self, lane: Lane) -> Option<LanePause> {
        let bucket = self.namespace.config_bucket();
        let subject = format!("$JS.API.DIRECT.GET.KV_{bucket}.$KV.{bucket}.{}", LanePause::key(lane));
        self.ask(subject, String::new()).await
    }

    async fn ask<T: DeserializeOwned>(&self, subject: String, question: String) -> Option<T> {
        let request = Request::new().payload(question.into()).timeout(Some(ANSWER_TIMEOUT));
        let reply = self.connection.client().send_request(subject, request).await.ok()?;
        serde_json::from_slice(&reply.payload).ok()
    }
}
