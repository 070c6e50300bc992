//! Tells the broker each second that deliveries are still being worked on, from a task of its own, so that a slow
//! database causes no redelivery.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::AckKind;
use runtime::connection::Connection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(1);

/// The deliveries that this worker has and has not settled: their reply subjects, and since when.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeepAlive(Arc<Mutex<HashMap<String, Instant>>>);

/// Keeps one delivery alive until it is dropped.
#[derive(Debug)]
pub(crate) struct KeptAlive {
    registry: KeepAlive,
    reply: String,
}

impl KeepAlive {
    /// Keeps a delivery alive from now on.
    pub(crate) fn keep(&self, reply: &Subject) -> KeptAlive {
        let reply = reply.to_string();
        self.with(|kept| kept.insert(reply.clone(), Instant::now()));
        KeptAlive { registry: self.clone(), reply }
    }

    /// Sends progress acks until cancelled.
    pub(crate) async fn run(self, connection: Connection, stop: CancellationToken) {
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            for reply in self.due() {
                // Not connected: the broker will redeliver, and the ledger makes that harmless.
                if connection.is_up() {
                    drop(connection.client().publish(reply, AckKind::Progress.into()).await);
                }
            }
        }
    }

    fn due(&self) -> Vec<String> {
        let now = Instant::now();
        self.with(|kept| {
            let due = |since: &Instant| now.duration_since(*since) >= INTERVAL;
            kept.iter().filter(|(_, since)| due(since)).map(|(reply, _)| reply.clone()).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Instant>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for KeptAlive {
    fn drop(&mut self) {
        self.registry.with(|kept| kept.remove(&self.reply));
    }
}
