//! Gives commands that take access away, and have to wait for what is before them, their first effect.

use std::collections::HashSet;
use std::sync::Arc;

use runtime::telemetry::error_chain;
use tracing::{info, warn};

use super::batch_runner::{BatchResult, BatchRunner};
use super::first_effect::{Due, Order, behind_suspects, resource, urgent};
use crate::apply::{Parked, first_effect};
use crate::log::delivery::Delivery;
use crate::store::Class;

/// How many commands may wait for a row in vain. The rest is tried when its chain is.
const MAX_LOCK_WAITS: usize = 4;

impl BatchResult {
    /// What waits for something that time alone does not heal: not what only waits until a row is free.
    pub(crate) fn cannot_be_applied(&self) -> Vec<&Delivery> {
        let (mut failed, mut soon) = (HashSet::new(), HashSet::new());
        for (delivery, parked) in &self.parked {
            let ends = if matches!(parked, Parked::Failed(_)) { &mut failed } else { &mut soon };
            ends.extend(resource(delivery));
        }
        let parked = self.parked.iter().map(|(delivery, _)| delivery);
        let waiting = self.held.iter().map(|(delivery, _)| delivery).chain(parked);
        let is_stuck = |delivery: &&Delivery| {
            resource(delivery).is_some_and(|resource| failed.contains(&resource) || !soon.contains(&resource))
        };
        waiting.filter(is_stuck).collect()
    }
}

impl BatchRunner {
    /// Gives urgent commands that cannot be applied their first effect, in a task of its own: what has ended is reported
    /// meanwhile.
    pub(crate) fn first_effects_soon(self: &Arc<Self>, order: &Order, end: &BatchResult) {
        let due = self.due_first_effects(order, end.cannot_be_applied().into_iter());
        if due.is_empty() {
            return;
        }
        let work = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = work.first_effects_turn.lock().await;
            work.give_first_effects(&due).await;
        });
    }

    /// The urgent commands among those that wait, unless they had their first effect. They are begun now.
    fn due_first_effects<'a>(&self, order: &Order, waiting: impl Iterator<Item = &'a Delivery>) -> Vec<Due> {
        let settled = |sequence| self.settled.contains(sequence);
        let due = waiting.filter_map(|delivery| {
            let accepted = urgent(delivery).filter(|accepted| order.admits(accepted, settled))?;
            let begun = self.first_effects.insert(accepted.sequence);
            begun.then(|| Due { accepted: accepted.clone(), suspect: delivery.suspect })
        });
        due.collect()
    }

    async fn give_first_effects(&self, due: &[Due]) {
        let (mut lock_waits, mut untried) = (0, due.iter());
        for Due { accepted, suspect } in untried.by_ref() {
            let policy = (!suspect).then_some(&self.policy);
            let operation = accepted.envelope.operation;
            match first_effect(&self.store, policy, accepted, self.clock).await {
                Ok(true) => {
                    info!(%operation, "operation {operation} has to wait for what is before it; access is taken away now");
                }
                Ok(false) => {}
                Err(error) => {
                    warn!(%operation, error = %error_chain(&error), "access was not taken away before its turn, trying again");
                    self.first_effects.forget(accepted.sequence);
                    lock_waits += 1;
                    if error.class() != Class::Locked || lock_waits >= MAX_LOCK_WAITS {
                        break;
                    }
                }
            }
        }
        for Due { accepted, .. } in untried {
            self.first_effects.forget(accepted.sequence);
        }
    }

    /// The same for those whose resource has a suspect before them, or that are suspects themselves: before it is applied.
    pub(crate) async fn first_effects_before_suspects(&self, ready: &[Delivery]) {
        let behind = behind_suspects(ready);
        if !behind.is_empty() {
            let due = self.due_first_effects(&Order::of(ready), behind.into_iter());
            self.give_first_effects(&due).await;
        }
    }
}
