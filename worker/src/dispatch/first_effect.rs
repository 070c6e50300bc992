//! Deprovisioning first: what takes access away and has to wait for what is before it, takes it away at once.
//!
//! A run of one resource's commands cannot be applied while it holds a message that is too new, more links than are fetched
//! at once, or a suspect that may crash this worker. The urgent commands in it get their first effect
//! ([`crate::apply::first_effect()`]), once; they are applied and answered in their turn.

use std::collections::{HashMap, HashSet};

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::lane::Lane;
use protocol::time::Timestamp;

use crate::accepted::Accepted;
use crate::log::delivery::Delivery;

/// A command that is to have its first effect now.
#[derive(Debug)]
pub(crate) struct Due {
    pub(super) accepted: Accepted,
    /// Deciding on it may crash this worker.
    pub(super) suspect: bool,
}

/// When the messages of a batch were accepted, and what each follows.
#[derive(Debug)]
pub(crate) struct Order(HashMap<u64, (u64, Timestamp)>);

impl Order {
    /// Of these messages, whatever they are.
    pub(crate) fn of(deliveries: &[Delivery]) -> Self {
        let place = |delivery: &Delivery| (delivery.sequence, (delivery.predecessor, delivery.accepted_at));
        Self(deliveries.iter().map(place).collect())
    }

    /// Whether the command may come before what it follows. One that was held on its way may only if all of that is known to
    /// have been accepted before it arrived: else it is not the newest word.
    pub(super) fn admits(&self, accepted: &Accepted, settled: impl Fn(u64) -> bool) -> bool {
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

/// Suspects, and what follows one on its resource. `ready` is in the order of the log.
pub(super) fn behind_suspects(ready: &[Delivery]) -> Vec<&Delivery> {
    let (mut suspected, mut behind) = (HashSet::new(), Vec::new());
    for delivery in ready {
        let Some(resource) = resource(delivery) else { continue };
        if delivery.suspect {
            suspected.insert(resource);
        }
        if suspected.contains(&resource) {
            behind.push(delivery);
        }
    }
    behind
}

pub(super) fn urgent(delivery: &Delivery) -> Option<&Accepted> {
    delivery.command().filter(|accepted| accepted.lane == Lane::Urgent)
}

pub(super) fn resource(delivery: &Delivery) -> Option<(&WorkspaceId, ResourceId)> {
    delivery.command().map(|accepted| (&accepted.envelope.workspace, accepted.envelope.resource))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::access::Arrival;

    use super::*;
    use crate::log::testing;

    fn accepted_at(mut delivery: Delivery, millis: i64) -> Delivery {
        delivery.accepted_at = Timestamp::from_millis(millis);
        delivery
    }

    fn held(sequence: u64, predecessor: u64, arrived: i64) -> Accepted {
        let delivery = testing::command(1, sequence, predecessor);
        let accepted = delivery.command().unwrap().clone();
        let arrival = Arrival::new(Timestamp::from_millis(arrived), Duration::from_millis(10));
        Accepted { accepted_at: Timestamp::from_millis(60_000), arrival, ..accepted }
    }

    #[test]
    fn a_held_command_comes_first_only_if_all_before_it_was_accepted_before_it_arrived() {
        let deliveries = [accepted_at(testing::command(1, 5, 3), 1_000), accepted_at(testing::command(1, 7, 5), 2_000)];
        let order = Order::of(&deliveries);
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
        let mut ready: Vec<Delivery> =
            commands.into_iter().map(|(user, sequence)| testing::command(user, sequence, 0)).collect();
        assert!(behind_suspects(&ready).is_empty());
        for delivery in &mut ready {
            delivery.suspect = matches!(delivery.sequence, 4 | 7);
        }
        assert_eq!(
            behind_suspects(&ready).into_iter().map(|delivery| delivery.sequence).collect::<Vec<_>>(),
            [4, 6, 7]
        );
    }
}
