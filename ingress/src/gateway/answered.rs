//! Who waits for which outcome, and the subscription on which outcomes arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Subscriber;
use futures::StreamExt;
use protocol::id::OperationId;
use protocol::message::outcome::{Outcome, OutcomeMessage};
use tokio::sync::oneshot;

type Waiting = HashMap<OperationId, oneshot::Sender<Outcome>>;

/// Everybody who waits. As many as there are submitted operations, which admission bounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiters {
    waiting: Arc<Mutex<Waiting>>,
}

/// One who waits; leaves the list when dropped.
#[derive(Debug)]
pub(super) struct Waiter {
    operation: OperationId,
    outcome: oneshot::Receiver<Outcome>,
    waiters: Waiters,
}

impl Waiters {
    /// Starts to wait; before the publish, or the outcome could be missed.
    pub(super) fn wait_for(&self, operation: OperationId) -> Waiter {
        let (sender, outcome) = oneshot::channel();
        self.map().insert(operation, sender);
        Waiter { operation, outcome, waiters: self.clone() }
    }

    /// Hands every outcome that arrives to who waits for it, for as long as the client lives.
    pub(super) async fn listen(self, mut subscription: Subscriber) {
        while let Some(message) = subscription.next().await {
            match serde_json::from_slice::<OutcomeMessage>(&message.payload) {
                Ok(OutcomeMessage { operation, outcome }) => self.settle(operation, outcome),
                Err(error) => {
                    tracing::warn!(kind = ?error.classify(), "an outcome is not readable; the ledger is asked");
                }
            }
        }
    }

    /// Nobody may wait any more, or the same outcome came before: both are normal.
    fn settle(&self, operation: OperationId, outcome: Outcome) {
        let waiting = self.map().remove(&operation);
        if waiting.is_none_or(|sender| sender.send(outcome).is_err()) {
            tracing::debug!(%operation, "nobody waits for this outcome any more");
        }
    }

    fn map(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    /// The outcome, when it arrives; never, if it is lost on the way.
    pub(super) async fn heard(&mut self) -> Outcome {
        match (&mut self.outcome).await {
            Ok(outcome) => outcome,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.waiters.map().remove(&self.operation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(number: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn an_outcome_reaches_its_waiter_and_nobody_else() {
        let waiters = Waiters::default();
        let (mut one, mut two) = (waiters.wait_for(operation(1)), waiters.wait_for(operation(2)));
        waiters.settle(operation(3), Outcome::Deleted);
        waiters.settle(operation(1), Outcome::Deleted);
        waiters.settle(operation(1), Outcome::Deleted);
        assert_eq!(one.heard().await, Outcome::Deleted);
        assert!(futures::FutureExt::now_or_never(two.heard()).is_none());
        drop((one, two));
        assert!(waiters.map().is_empty());
    }
}
