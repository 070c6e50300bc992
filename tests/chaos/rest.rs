//! The system once load and faults are over: when it came to rest, and what it holds then.

use std::fmt::Write;
use std::time::Duration;

use futures::TryStreamExt;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::Value;
use tokio::time::Instant;

use crate::harness::System;
use crate::history::{History, Snapshot};
use crate::workload;

/// How long what is in the log may take after the last fault.
const SETTLED_WITHIN: Duration = Duration::from_mins(1);

/// What is known at rest.
pub(crate) struct Rest {
    /// When the log was empty, after the last request.
    pub(crate) settled_after: Duration,
    /// What was still in the log then, one message a line.
    pub(crate) left: String,
    pub(crate) snapshot: Snapshot,
    /// As `rosterd audit balance -o json` prints it.
    pub(crate) balance: Value,
    pub(crate) dead_letters: u64,
}

impl Rest {
    /// Waits until the log is empty, then looks at everything.
    pub(crate) async fn of(system: &System, history: &History) -> Self {
        let began = Instant::now();
        while system.log().await.messages > 0 && began.elapsed() < SETTLED_WITHIN {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let settled_after = began.elapsed();
        let left = left_in_log(system).await;
        let snapshot = workload::snapshot(&system.base_urls()[0], system.token(), history).await;
        let balance = system.rosterd(&["audit", "balance", "-o", "json"]).await.json();
        let dead_letters = system.rosterd_json(&["dead-letters", "list"]).await["total"].as_u64().unwrap();
        Self { settled_after, left, snapshot, balance, dead_letters }
    }
}

/// The messages in the log, what the ledger says of each, and how far the consumers are.
async fn left_in_log(system: &System) -> String {
    let mut text = String::new();
    let mut stream = system.stream().await;
    let state = stream.info().await.unwrap().state.clone();
    if state.messages == 0 {
        return text;
    }
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    for consumer in consumers {
        let (pending, unsettled, waiting) = (consumer.num_pending, consumer.num_ack_pending, consumer.num_waiting);
        let (floor, delivered) = (consumer.ack_floor.stream_sequence, consumer.delivered.stream_sequence);
        writeln!(
            text,
            "{}: {pending} pending, {unsettled} unsettled, {waiting} pulls, ack floor {floor}, delivered {delivered}",
            consumer.name
        )
        .unwrap();
    }
    let sql = system.sql().await;
    for sequence in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        let operation = message.headers.get("Nats-Msg-Id").map_or("", |id| id.as_str()).to_owned();
        let known = format!("SELECT state FROM operations WHERE operation = '{operation}'");
        let known = sql.query_one_raw(Statement::from_string(sql.get_database_backend(), known)).await;
        writeln!(text, "{sequence} {} {:?} ledger: {known:?}", message.subject, message.headers).unwrap();
    }
    text
}
