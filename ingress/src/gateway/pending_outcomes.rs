//! The operations whose outcomes are waited for, and the subscriptions on which outcomes and notices of late copies
//! arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_nats::Subscriber;
use futures::StreamExt;
use protocol::id::OperationId;
use protocol::message::attempt::LateCopy;
use protocol::message::outcome::{Outcome, OutcomeMessage};
use runtime::lock::locked;
use tokio::sync::Notify;

/// The operations whose outcomes are waited for. As many as there are commands under way, which the gate bounds.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingOutcomes {
    waiting: Arc<Mutex<HashMap<OperationId, Heard>>>,
}

/// What was heard of one operation.
#[derive(Debug, Default)]
struct Heard {
    outcome: Option<Outcome>,
    /// The last attempt, from 1, that was stored too late.
    late: Option<u32>,
    news: Arc<Notify>,
}

/// The outcome of one operation; leaves the list when dropped.
#[derive(Debug)]
pub(super) struct PendingOutcome {
    operation: OperationId,
    news: Arc<Notify>,
    pending: PendingOutcomes,
}

impl PendingOutcomes {
    /// Starts to wait; before the publish, or the outcome could be missed.
    pub(super) fn wait_for(&self, operation: OperationId) -> PendingOutcome {
        let heard = Heard::default();
        let news = Arc::clone(&heard.news);
        locked(&self.waiting).insert(operation, heard);
        PendingOutcome { operation, news, pending: self.clone() }
    }

    /// Takes in outcomes and notices of late copies, for as long as the client lives.
    pub(super) async fn listen(self, mut outcomes: Subscriber, mut late_copies: Subscriber) {
        loop {
            let read = tokio::select! {
                Some(message) = outcomes.next() => serde_json::from_slice(&message.payload).map(
                    |OutcomeMessage { operation, outcome }| self.note(operation, |heard| heard.outcome = Some(outcome)),
                ),
                Some(message) = late_copies.next() => serde_json::from_slice(&message.payload).map(
                    |LateCopy { operation, attempt, .. }| self.note(operation, |heard| heard.late = Some(attempt)),
                ),
                else => return,
            };
            if let Err(error) = read {
                tracing::warn!(kind = ?error.classify(), "an outcome or a notice is not readable; a worker is asked");
            }
        }
    }

    fn note(&self, operation: OperationId, note: impl FnOnce(&mut Heard)) {
        if let Some(heard) = locked(&self.waiting).get_mut(&operation) {
            note(heard);
            heard.news.notify_one();
        } else {
            tracing::debug!(%operation, "no request waits for this operation any more");
        }
    }
}

impl PendingOutcome {
    /// The outcome; none once the newest attempt was heard to be late. Never, if both are lost on the way.
    pub(super) async fn heard(&self, is_newest: impl Fn(u32) -> bool) -> Option<Outcome> {
        self.when(|heard| match heard.outcome.take() {
            None => heard.late.is_some_and(&is_newest).then_some(None),
            ended => Some(ended),
        })
        .await
    }

    /// Waits until there is an outcome to be heard.
    pub(super) async fn comes(&self) {
        self.when(|heard| heard.outcome.is_some().then_some(())).await;
    }

    async fn when<T>(&self, right: impl Fn(&mut Heard) -> Option<T>) -> T {
        loop {
            if let Some(found) = locked(&self.pending.waiting).get_mut(&self.operation).and_then(&right) {
                return found;
            }
            self.news.notified().await;
        }
    }
}

impl Drop for PendingOutcome {
    fn drop(&mut self) {
        locked(&self.pending.waiting).remove(&self.operation);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn operation(number: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn an_outcome_reaches_its_operation_and_no_other() {
        let pending = PendingOutcomes::default();
        let (one, two) = (pending.wait_for(operation(1)), pending.wait_for(operation(2)));
        for number in [3, 1] {
            pending.note(operation(number), |heard| heard.outcome = Some(Outcome::Deleted));
        }
        one.comes().await;
        assert_eq!(one.heard(|_| true).await, Some(Outcome::Deleted));
        assert!(two.heard(|_| true).now_or_never().is_none());
        drop((one, two));
        assert!(locked(&pending.waiting).is_empty());
    }

    #[tokio::test]
    async fn a_late_copy_is_heard_also_afterwards_and_only_of_the_newest_attempt() {
        let pending = PendingOutcomes::default();
        let one = pending.wait_for(operation(1));
        pending.note(operation(1), |heard| heard.late = Some(1));
        assert!(one.comes().now_or_never().is_none());
        assert!(one.heard(|attempt| attempt == 2).now_or_never().is_none());
        assert_eq!(one.heard(|attempt| attempt == 1).await, None);
        pending.note(operation(1), |heard| heard.outcome = Some(Outcome::Deleted));
        assert_eq!(one.heard(|attempt| attempt == 1).await, Some(Outcome::Deleted));
    }
}
