//! What waits in each lane until a batch takes it.

use std::collections::VecDeque;

use protocol::message::lane::Lane;

use crate::dispatch::schedule::Waiting;
use crate::log::delivery::Delivery;

/// The most suspects in one batch.
const MAX_SUSPECTS: usize = 8;
/// What waits in each lane.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) urgent: VecDeque<Delivery>,
    pub(super) interactive: VecDeque<Delivery>,
    pub(super) bulk: VecDeque<Delivery>,
}

impl Queues {
    /// What waits in a lane.
    pub(super) fn of(&mut self, lane: Lane) -> &mut VecDeque<Delivery> {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Interactive => &mut self.interactive,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// All of it, urgent first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Delivery> {
        [&self.urgent, &self.interactive, &self.bulk].into_iter().flatten()
    }

    /// How much waits in each lane.
    pub(super) fn waiting(&self) -> Waiting {
        Waiting { urgent: self.urgent.len(), interactive: self.interactive.len(), bulk: self.bulk.len() }
    }

    /// Takes all of it.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Delivery> + use<> {
        let Self { urgent, interactive, bulk } = std::mem::take(self);
        [urgent, interactive, bulk].into_iter().flatten()
    }

    /// At most so many, and few suspects among them: each is alone in its process, and the others wait for it.
    pub(super) fn take_batch(&mut self, lane: Lane, most: usize) -> Vec<Delivery> {
        let queue = self.of(lane);
        let mut suspects = 0;
        let few_suspects = |delivery: &&Delivery| {
            suspects += usize::from(delivery.suspect);
            suspects <= MAX_SUSPECTS
        };
        let count = queue.iter().take(most).take_while(few_suspects).count();
        queue.drain(..count).collect()
    }
}
