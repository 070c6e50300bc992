//! Records the creates whose answers went out, as ingresses report them, and forgets those that cannot come again.

use std::time::Duration;

use async_nats::{Client, Message, SubscribeError, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use protocol::id::Namespace;
use protocol::message::answered::AnsweredReport;
use runtime::clock::Clock;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::store::{Store, StoreError};

/// The queue group in which workers share reports.
const QUEUE: &str = "worker";
/// How often old records are looked for.
const FORGET_INTERVAL: Duration = Duration::from_mins(1);

/// What recording needs.
pub(crate) struct AnsweredCreates {
    pub(crate) client: Client,
    pub(crate) store: Store,
}

impl AnsweredCreates {
    /// Takes a share of the reports from now on.
    pub(crate) async fn subscribe(&self, namespace: &Namespace) -> Result<Subscriber, SubscribeError> {
        self.client.queue_subscribe(namespace.answered_reports(), QUEUE.to_owned()).await
    }

    /// Records until `stop`. A report without a reply comes again.
    pub(crate) async fn run(self, mut reports: Subscriber, stop: CancellationToken) {
        let mut forgetting = interval(FORGET_INTERVAL);
        forgetting.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = stop.cancelled() => return,
                _ = forgetting.tick() => self.forget().await,
                report = reports.next() => match report {
                    Some(report) => self.record(report).await,
                    None => return,
                },
            };
            if let Err(error) = done {
                debug!(reason = error.reason(), "answered creates are not recorded now");
            }
        }
    }

    async fn record(&self, report: Message) -> Result<(), StoreError> {
        let Some(reply) = report.reply else { return Ok(()) };
        let Ok(AnsweredReport { operations }) = serde_json::from_slice(&report.payload) else {
            warn!("a report of answered creates cannot be decoded; is an ingress newer than this worker?");
            return Ok(());
        };
        let some = operations.get(..AnsweredReport::MAX_OPERATIONS.min(operations.len())).unwrap_or_default();
        self.store.record_answered(some, Clock::System.now()).await?;
        if let Err(error) = self.client.publish(reply, Bytes::new()).await {
            debug!(%error, "a report of answered creates got no reply; it comes again");
        }
        Ok(())
    }

    async fn forget(&self) -> Result<(), StoreError> {
        while self.store.forget_answered(Clock::System.now()).await? > 0 {}
        Ok(())
    }
}
