//! Who waits for which outcome, and the subscriptions on which outcomes and notices of late copies arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_nats::Subscriber;
use futures::StreamExt;
use protocol::id::OperationId;
use protocol::message::attempt::LateCopy;
use protocol::message::outcome::{Outcome, OutcomeMessage};
use tokio::sync::mpsc;

/// Notices of one operation that wait to be read; beyond them the ledger is asked.
const MAX_NOTICES: usize = 4;

type Waiting = HashMap<OperationId, mpsc::Sender<Notice>>;

/// What is heard of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Notice {
    /// It has ended.
    Outcome(Outcome),
    /// One of its attempts was stored too late.
    Late {
        /// Which one, from 1.
        attempt: u32,
    },
}

/// The operations whose outcomes are waited for. As many as there are submitted ones, which admission bounds.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingOutcomes {
    waiting: Arc<Mutex<Waiting>>,
}

/// What is heard of one operation; leaves the list when dropped.
#[derive(Debug)]
pub(super) struct Notices {
    operation: OperationId,
    receiver: mpsc::Receiver<Notice>,
    /// The last late attempt that was heard of while the outcome was waited for.
    late: Option<u32>,
    pending: PendingOutcomes,
}

impl PendingOutcomes {
    /// Starts to wait; before the publish, or the outcome could be missed.
    pub(super) fn wait_for(&self, operation: OperationId) -> Notices {
        let (sender, receiver) = mpsc::channel(MAX_NOTICES);
        self.map().insert(operation, sender);
        Notices { operation, receiver, late: None, pending: self.clone() }
    }

    /// Hands every outcome that arrives to who waits for it, for as long as the client lives.
    pub(super) async fn hear_outcomes(self, mut subscription: Subscriber) {
        while let Some(message) = subscription.next().await {
            match serde_json::from_slice::<OutcomeMessage>(&message.payload) {
                Ok(OutcomeMessage { operation, outcome }) => self.tell(operation, Notice::Outcome(outcome)),
                Err(error) => {
                    tracing::warn!(kind = ?error.classify(), "an outcome is not readable; the ledger is asked");
                }
            }
        }
    }

    /// Hands every notice of a late copy to who waits for its operation, for as long as the client lives.
    pub(super) async fn hear_late_copies(self, mut subscription: Subscriber) {
        while let Some(message) = subscription.next().await {
            match serde_json::from_slice::<LateCopy>(&message.payload) {
                Ok(LateCopy { operation, attempt, .. }) => self.tell(operation, Notice::Late { attempt }),
                Err(error) => {
                    tracing::warn!(kind = ?error.classify(), "a notice of a late copy is not readable; a worker is asked");
                }
            }
        }
    }

    /// The waiter may be gone, or the same was heard before: both are normal.
    fn tell(&self, operation: OperationId, notice: Notice) {
        if self.map().get(&operation).is_none_or(|sender| sender.try_send(notice).is_err()) {
            tracing::debug!(%operation, "no request waits for this operation any more");
        }
    }

    fn map(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notices {
    /// The next notice; never, if it is lost on the way.
    pub(super) async fn next(&mut self) -> Notice {
        match self.receiver.recv().await {
            Some(notice) => notice,
            None => std::future::pending().await,
        }
    }

    /// The outcome, whatever is heard before it.
    pub(super) async fn outcome(&mut self) -> Outcome {
        loop {
            match self.next().await {
                Notice::Outcome(outcome) => return outcome,
                Notice::Late { attempt } => self.late = Some(attempt),
            }
        }
    }

    /// Whether the attempt was heard to be late while the outcome was waited for.
    pub(super) fn has_heard_late(&self, is_it: impl Fn(u32) -> bool) -> bool {
        self.late.is_some_and(is_it)
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.pending.map().remove(&self.operation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(number: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn a_notice_reaches_its_operation_and_no_other() {
        let pending = PendingOutcomes::default();
        let (mut one, mut two) = (pending.wait_for(operation(1)), pending.wait_for(operation(2)));
        pending.tell(operation(3), Notice::Outcome(Outcome::Deleted));
        pending.tell(operation(1), Notice::Late { attempt: 1 });
        pending.tell(operation(1), Notice::Outcome(Outcome::Deleted));
        assert_eq!(one.outcome().await, Outcome::Deleted);
        assert!(futures::FutureExt::now_or_never(two.next()).is_none());
        drop((one, two));
        assert!(pending.map().is_empty());
    }
}
