//! Deprovisioning first: what takes access away and has to wait for what is before it, takes it away at once.
//!
//! A run of one resource's commands cannot be applied while it holds a message that is too new, more links than are fetched
//! at once, or a suspect that may crash this worker. The urgent commands in it get their first effect
//! ([`crate::apply::first_effect()`]), once; they are applied and answered in their turn.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::lane::Lane;
use protocol::time::Timestamp;
use tracing::{info, warn};

use crate::accepted::Accepted;
use crate::apply::{Parked, first_effect};
use crate::broker::delivery::{Item, Reading};
use crate::broker::work::{Work, WorkEnd, chain};
use crate::store::Class;

/// The most sequences that are remembered.
const MAX_REMEMBERED: usize = 16_384;
/// How many commands may wait for a row in vain. The rest is tried when its chain is.
const MAX_LOCK_WAITS: usize = 4;

/// The commands that have their first effect, now or since earlier, or cannot have one. What is forgotten is only tried
/// again.
#[derive(Debug, Default)]
pub(crate) struct FirstEffects {
    begun: Mutex<BTreeSet<u64>>,
    /// Held by whoever gives first effects beside the batches, so that they take one connection at most.
    turn: tokio::sync::Mutex<()>,
}

impl FirstEffects {
    /// Whether the command is to have its first effect now: nobody has begun it.
    fn begin(&self, sequence: u64) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = begun.insert(sequence);
        if begun.len() > MAX_REMEMBERED {
            begun.pop_first();
        }
        is_new
    }

    fn forget(&self, sequence: u64) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&sequence);
    }
}

/// A command that is to have its first effect now.
#[derive(Debug)]
pub(crate) struct Due {
    accepted: Accepted,
    /// Deciding on it may crash this worker.
    suspect: bool,
}

/// When the messages of a batch were accepted, and what each follows.
#[derive(Debug)]
pub(crate) struct Order(HashMap<u64, (u64, Timestamp)>);

impl Order {
    /// Of these messages, whatever they are.
    pub(crate) fn of(items: &[Item]) -> Self {
        let place = |item: &Item| (item.sequence(), (item.logged.predecessor, item.logged.accepted_at));
        Self(items.iter().map(place).collect())
    }

    /// Whether the command may come before what it follows. One that was held on its way may only if all of that is known to
    /// have been accepted before it arrived: else it is not the newest word.
    fn admits(&self, accepted: &Accepted, settled: impl Fn(u64) -> bool) -> bool {
        if !accepted.arrival.was_held(accepted.accepted_at) {
            return true;
        }
        let arrived = accepted.arrival.at.before(accepted.arrival.error);
        let mut predecessor = accepted.predecessor;
        while predecessor != 0 && !settled(predecessor) {
            match self.0.get(&predecessor) {
                // Each follows one with a lower number, so this ends.
                Some((before, at)) if *at < arrived && *before < predecessor => predecessor = *before,
                Some(_) | None => return false,
            }
        }
        true
    }
}

impl WorkEnd {
    /// What waits for something that time alone does not heal: not what only waits until a row is free.
    pub(crate) fn cannot_be_applied(&self) -> Vec<&Item> {
        let (mut failed, mut soon) = (HashSet::new(), HashSet::new());
        for (item, parked) in &self.parked {
            let ends = if matches!(parked, Parked::Failed(_)) { &mut failed } else { &mut soon };
            ends.extend(resource(item));
        }
        let parked = self.parked.iter().map(|(item, _)| item);
        let waiting = self.held.iter().map(|(item, _)| item).chain(parked);
        let is_stuck = |item: &&Item| {
            resource(item).is_some_and(|resource| failed.contains(&resource) || !soon.contains(&resource))
        };
        waiting.filter(is_stuck).collect()
    }
}

impl Work {
    /// Gives urgent commands that cannot be applied their first effect, in a task of its own: what has ended is reported
    /// meanwhile.
    pub(crate) fn first_effects_soon(self: &Arc<Self>, order: &Order, end: &WorkEnd) {
        let due = self.due_first_effects(order, end.cannot_be_applied().into_iter());
        if due.is_empty() {
            return;
        }
        let work = Arc::clone(self);
        tokio::spawn(async move {
            let _turn = work.first_effects.turn.lock().await;
            work.give_first_effects(&due).await;
        });
    }

    /// The urgent commands among those that wait, unless they had their first effect. They are begun now.
    fn due_first_effects<'a>(&self, order: &Order, waiting: impl Iterator<Item = &'a Item>) -> Vec<Due> {
        let settled = |sequence| self.settled.contains(sequence);
        let due = waiting.filter_map(|item| {
            let accepted = urgent(item).filter(|accepted| order.admits(accepted, settled))?;
            let begun = self.first_effects.begin(accepted.sequence);
            begun.then(|| Due { accepted: accepted.clone(), suspect: item.suspect })
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
                    warn!(%operation, error = %chain(&error), "access was not taken away before its turn, trying again");
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
    pub(crate) async fn first_effects_before_suspects(&self, ready: &[Item]) {
        let behind = behind_suspects(ready);
        if !behind.is_empty() {
            let due = self.due_first_effects(&Order::of(ready), behind.into_iter());
            self.give_first_effects(&due).await;
        }
    }
}

/// Suspects, and what follows one on its resource. `ready` is in the order of the log.
fn behind_suspects(ready: &[Item]) -> Vec<&Item> {
    let (mut suspected, mut behind) = (HashSet::new(), Vec::new());
    for item in ready {
        let Some(resource) = resource(item) else { continue };
        if item.suspect {
            suspected.insert(resource);
        }
        if suspected.contains(&resource) {
            behind.push(item);
        }
    }
    behind
}

fn urgent(item: &Item) -> Option<&Accepted> {
    command(item).filter(|accepted| accepted.lane == Lane::Urgent)
}

fn resource(item: &Item) -> Option<(&WorkspaceId, ResourceId)> {
    command(item).map(|accepted| (&accepted.envelope.workspace, accepted.envelope.resource))
}

fn command(item: &Item) -> Option<&Accepted> {
    match &item.logged.reading {
        Reading::Command(accepted) => Some(accepted),
        Reading::Late(_) | Reading::TooNew(_) | Reading::Unreadable { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::access::Arrival;

    use super::*;
    use crate::broker::samples;

    fn accepted_at(mut item: Item, millis: i64) -> Item {
        item.logged.accepted_at = Timestamp::from_millis(millis);
        item
    }

    fn held(sequence: u64, predecessor: u64, arrived: i64) -> Accepted {
        let item = samples::command(1, sequence, predecessor);
        let Reading::Command(accepted) = item.logged.reading else { panic!() };
        let arrival = Arrival::new(Timestamp::from_millis(arrived), Duration::from_millis(10));
        Accepted { accepted_at: Timestamp::from_millis(60_000), arrival, ..*accepted }
    }

    #[test]
    fn a_held_command_comes_first_only_if_all_before_it_was_accepted_before_it_arrived() {
        let items = [accepted_at(samples::command(1, 5, 3), 1_000), accepted_at(samples::command(1, 7, 5), 2_000)];
        let order = Order::of(&items);
        let admits = |arrived, settled| order.admits(&held(9, 7, arrived), |sequence| sequence == settled);
        assert!(admits(5_000, 3));
        assert!(!admits(2_005, 3), "within the error");
        assert!(!admits(1_500, 3), "something newer is pending");
        assert!(!admits(5_000, 0), "what 5 follows is not known");
        assert!(order.admits(&held(9, 8, 59_000), |_| false), "what was not held follows the log");
    }

    #[test]
    fn a_suspect_and_what_follows_it_on_its_resource_may_come_first() {
        let commands = [(1, 3), (1, 4), (2, 5), (1, 6), (3, 7)];
        let mut ready: Vec<Item> =
            commands.into_iter().map(|(user, sequence)| samples::command(user, sequence, 0)).collect();
        assert!(behind_suspects(&ready).is_empty());
        for item in &mut ready {
            item.suspect = matches!(item.sequence(), 4 | 7);
        }
        assert_eq!(behind_suspects(&ready).into_iter().map(Item::sequence).collect::<Vec<_>>(), [4, 6, 7]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let effects = FirstEffects::default();
        for sequence in 1..=20_000 {
            assert!(effects.begin(sequence));
        }
        assert!(!effects.begin(20_000) && effects.begin(1));
        assert_eq!(effects.begun.lock().unwrap().len(), MAX_REMEMBERED);
    }

    #[test]
    fn a_first_effect_is_begun_once_until_it_fails() {
        let effects = FirstEffects::default();
        assert_eq!((effects.begin(7), effects.begin(7), effects.begin(8)), (true, false, true));
        effects.forget(7);
        assert_eq!((effects.begin(7), effects.begin(8)), (true, false));
    }
}
