//! Commands that wait in this worker for a predecessor that is not settled yet. Pure: time comes in.

#[cfg(test)]
mod tests;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::lane::Lane;
use protocol::message::pending::{Waits, WhyWaits};
use protocol::scim::resource_type::ResourceType;
use runtime::backoff::doubled;
use tokio::time::Instant;

use crate::apply::Parked;
use crate::log::delivery::Delivery;

/// How long a command waits for its predecessor's own delivery before the predecessor is brought along.
const BRING_AFTER: Duration = Duration::from_millis(20);
/// How long after a chain could not be completed it is tried again.
pub(crate) const RETRY: Duration = Duration::from_millis(250);
/// How soon a command whose row was locked is tried again, and how late at most.
const LOCKED_RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// How soon any other parked command is tried again, and how late at most.
const FAILED_RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// How many chains that failed by themselves are tried one by one. If there are more, they may have failed alike.
const MAX_ALONE: usize = 8;
/// The most commands held; what comes beyond is handed back to the broker.
const MAX_HELD: usize = 4096;

/// The resource whose commands form one chain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Chain {
    workspace: WorkspaceId,
    resource_type: ResourceType,
    resource: ResourceId,
}

/// A chain that is not tried before a time, whatever else is delivered of it.
#[derive(Debug, Clone, Copy)]
struct Parking {
    until: Instant,
    /// It failed by itself: it is tried alone.
    alone: bool,
    /// It waits until another transaction frees a row.
    locked: bool,
}

/// Held commands by chain, and by the sequence that each waits for.
#[derive(Debug, Default)]
pub(crate) struct Held {
    chains: HashMap<Chain, BTreeMap<u64, (Instant, Delivery)>>,
    parked: HashMap<Chain, Parking>,
    waiting_for: HashMap<u64, Vec<(Chain, u64)>>,
    count: usize,
}

impl Held {
    /// Holds a delivery until its predecessor is settled or `due` has come. Gives it back if it is no command or too much
    /// is held.
    #[must_use]
    pub(crate) fn hold(&mut self, mut delivery: Delivery, due: Instant) -> Option<Delivery> {
        let Some(chain) = Chain::of(&delivery).filter(|_| self.count < MAX_HELD) else { return Some(delivery) };
        delivery.make_room();
        let sequence = delivery.sequence;
        self.waiting_for.entry(delivery.predecessor).or_default().push((chain.clone(), sequence));
        match self.chains.entry(chain).or_default().entry(sequence) {
            Entry::Vacant(place) => {
                place.insert((due, delivery));
                self.count += 1;
            }
            // A copy that was fetched settles nothing: the delivery keeps its place.
            Entry::Occupied(place) if delivery.ack.is_none() && place.get().1.ack.is_some() => {}
            Entry::Occupied(mut place) => {
                delivery.parkings = delivery.parkings.max(place.get().1.parkings);
                drop(place.insert((due, delivery)));
            }
        }
        None
    }

    /// Holds a delivery that cannot be applied now; its chain is tried again after a while, each time a longer one.
    #[must_use]
    pub(crate) fn park(&mut self, mut delivery: Delivery, parked: &Parked, now: Instant) -> Option<Delivery> {
        let Some(chain) = Chain::of(&delivery) else { return Some(delivery) };
        let until = now + retry_delay(parked, delivery.parkings);
        delivery.parkings = delivery.parkings.saturating_add(1);
        let (alone, locked) = (matches!(parked, Parked::Failed(_)), *parked == Parked::Locked);
        let refused = self.hold(delivery, until);
        if refused.is_none() {
            // The first command of the chain comes first and decides; what waits behind it changes nothing.
            let parking = self.parked.entry(chain).or_insert(Parking { until, alone, locked });
            parking.alone |= alone;
            parking.locked |= locked;
        }
        refused
    }

    /// How many commands are held.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// How many chains are parked: those that failed by themselves, those that wait for a lock, all others.
    pub(crate) fn parked(&self) -> [usize; 3] {
        let mut parked = [0; 3];
        let [failed, locked, waiting] = &mut parked;
        for parking in self.parked.values() {
            match parking {
                Parking { alone: true, .. } => *failed += 1,
                Parking { locked: true, .. } => *locked += 1,
                Parking { .. } => *waiting += 1,
            }
        }
        parked
    }

    /// Why each command is held.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Waits> {
        self.chains.iter().flat_map(|(chain, deliveries)| {
            let parking = self.parked.get(chain);
            deliveries.values().map(move |(_, delivery)| {
                // What follows in a parked chain waits for its predecessor.
                let why = match parking.filter(|_| delivery.parkings > 0) {
                    Some(Parking { locked: true, .. }) => WhyWaits::Locked,
                    Some(_) => WhyWaits::Failed,
                    None => WhyWaits::Predecessor(delivery.predecessor),
                };
                Waits { sequence: delivery.sequence, why }
            })
        })
    }

    /// Whether a command of its resource is parked.
    pub(crate) fn is_parked(&self, delivery: &Delivery) -> bool {
        !self.parked.is_empty() && Chain::of(delivery).is_some_and(|chain| self.parked.contains_key(&chain))
    }

    /// Has the chain of a delivery tried now, unless it waits for a lock.
    pub(crate) fn hurry(&mut self, delivery: &Delivery, now: Instant) {
        let parking = Chain::of(delivery).and_then(|chain| self.parked.get_mut(&chain));
        if let Some(parking) = parking.filter(|parking| !parking.locked) {
            parking.until = now;
        }
    }

    /// When a command that was found to wait at `now` is to bring its predecessor along.
    pub(crate) fn due(lane: Lane, now: Instant) -> Instant {
        if lane == Lane::Urgent { now } else { now + BRING_AFTER }
    }

    /// The commands that waited for a sequence which is settled now.
    pub(crate) fn release(&mut self, settled: u64) -> Vec<Delivery> {
        let waiting = self.waiting_for.remove(&settled).unwrap_or_default();
        waiting.into_iter().filter_map(|(chain, sequence)| self.take(&chain, sequence)).collect()
    }

    /// All held commands of chains of which one is due, each chain whole and in order, until there are `enough` commands.
    /// A chain whose first command waits for one that is `in_work` here stays, and so does one that is of no `admitted`
    /// lane. A chain with a suspect, or one that failed by itself, goes alone.
    pub(crate) fn take_due(
        &mut self,
        now: Instant,
        enough: usize,
        admitted: impl Fn(Lane) -> bool,
        in_work: impl Fn(u64) -> bool,
    ) -> Vec<Delivery> {
        let is_due = |chain: &Chain, deliveries: &BTreeMap<u64, (Instant, Delivery)>| {
            let first = deliveries.values().next().map(|(_, delivery)| delivery.predecessor);
            self.due_at(chain, deliveries).is_some_and(|due| due <= now)
                && !first.is_some_and(&in_work)
                && is_admitted(deliveries, &admitted)
        };
        let mut waiting: Vec<_> = self.chains.iter().filter(|(chain, deliveries)| is_due(chain, deliveries)).collect();
        waiting.sort_by_cached_key(|(chain, deliveries)| self.due_at(chain, deliveries));
        let few_failed = self.parked.values().filter(|parking| parking.alone).count() <= MAX_ALONE;
        let (mut due, mut commands) = (Vec::new(), 0);
        for (chain, deliveries) in waiting {
            let suspect = deliveries.values().any(|(_, delivery)| delivery.suspect);
            let alone = suspect || (few_failed && self.parked.get(chain).is_some_and(|parking| parking.alone));
            if commands > 0 && (alone || commands + deliveries.len() > enough) {
                continue;
            }
            due.push(chain.clone());
            commands += deliveries.len();
            if alone || commands >= enough {
                break;
            }
        }
        due.iter().flat_map(|chain| self.take_chain(chain)).collect()
    }

    /// A parked chain waits for its time, any other for the earliest of its commands.
    fn due_at(&self, chain: &Chain, deliveries: &BTreeMap<u64, (Instant, Delivery)>) -> Option<Instant> {
        match self.parked.get(chain) {
            Some(parking) => Some(parking.until),
            None => deliveries.values().map(|(due, _)| *due).min(),
        }
    }

    fn take_chain(&mut self, chain: &Chain) -> Vec<Delivery> {
        self.parked.remove(chain);
        let deliveries = self.chains.remove(chain).unwrap_or_default();
        self.count -= deliveries.len();
        for (sequence, (_, delivery)) in &deliveries {
            self.forget(delivery.predecessor, *sequence);
        }
        deliveries.into_values().map(|(_, delivery)| delivery).collect()
    }

    /// When the next held command of a chain of an `admitted` lane is due; none while no such chain is held.
    pub(crate) fn next_due(&self, admitted: impl Fn(Lane) -> bool) -> Option<Instant> {
        let chains = self.chains.iter().filter(|(_, deliveries)| is_admitted(deliveries, &admitted));
        chains.filter_map(|(chain, deliveries)| self.due_at(chain, deliveries)).min()
    }

    /// Everything that is held, for handing back.
    pub(crate) fn take_all(&mut self) -> Vec<Delivery> {
        self.waiting_for.clear();
        self.parked.clear();
        self.count = 0;
        std::mem::take(&mut self.chains)
            .into_values()
            .flat_map(BTreeMap::into_values)
            .map(|(_, delivery)| delivery)
            .collect()
    }

    fn take(&mut self, chain: &Chain, sequence: u64) -> Option<Delivery> {
        let deliveries = self.chains.get_mut(chain)?;
        let (_, delivery) = deliveries.remove(&sequence)?;
        if deliveries.is_empty() {
            self.chains.remove(chain);
            self.parked.remove(chain);
        }
        self.count -= 1;
        Some(delivery)
    }

    fn forget(&mut self, predecessor: u64, sequence: u64) {
        if let Some(waiting) = self.waiting_for.get_mut(&predecessor) {
            waiting.retain(|(_, held)| *held != sequence);
            if waiting.is_empty() {
                self.waiting_for.remove(&predecessor);
            }
        }
    }
}

impl Chain {
    /// The chain of a command; none for what is no command.
    fn of(delivery: &Delivery) -> Option<Self> {
        let envelope = &delivery.command()?.envelope;
        Some(Self {
            workspace: envelope.workspace.clone(),
            resource_type: envelope.resource_type,
            resource: envelope.resource,
        })
    }
}

/// Whether a chain is of an admitted lane. What was fetched follows those that were delivered here: it was brought along by
/// them. Only where there are none left, it counts by its own lane.
fn is_admitted(deliveries: &BTreeMap<u64, (Instant, Delivery)>, admitted: &impl Fn(Lane) -> bool) -> bool {
    let delivered = || deliveries.values().filter_map(|(_, delivery)| delivery.lane());
    let fetched = || deliveries.values().filter_map(|(_, delivery)| Some(delivery.command()?.lane));
    if delivered().next().is_some() { delivered().any(admitted) } else { fetched().any(admitted) }
}

/// How long a command is parked that was parked so often before.
fn retry_delay(parked: &Parked, parkings: u32) -> Duration {
    let (soonest, latest) = match parked {
        Parked::Locked => LOCKED_RETRY,
        Parked::Failed(_) | Parked::Waiting => FAILED_RETRY,
    };
    // Half of the delay is by chance, so that those that failed together do not come together.
    doubled(soonest, latest, parkings)
}
