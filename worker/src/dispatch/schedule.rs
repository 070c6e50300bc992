//! Which lane is served next. Pure.

use protocol::message::lane::Lane;

/// How many batches of other lanes may pass while something waits in the bulk lane.
const BULK_SHARE: u32 = 7;

/// Urgent before interactive before bulk; bulk never takes the last free slot, and gets one batch in eight.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    passed_over_bulk: u32,
}

/// How many deliveries wait in each lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) urgent: usize,
    pub(crate) interactive: usize,
    pub(crate) bulk: usize,
}

/// How many batches may begin now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FreeSlots {
    /// Of the urgent lane.
    pub(crate) urgent: usize,
    /// Of the other lanes.
    pub(crate) ordinary: usize,
}

impl FreeSlots {
    /// Whether a chain that one of this lane brings along may start, while `bringing` of all `slots` do the same. One slot
    /// is never theirs, so that what just came in finds it; only what is urgent may take that one, too.
    pub(crate) fn admit_chain(self, lane: Lane, bringing: usize, slots: usize, urgent_waits: bool) -> bool {
        let one_is_left = self.ordinary > 0 && bringing + 1 < slots && !urgent_waits;
        match lane {
            Lane::Urgent => self.urgent > 0,
            Lane::Interactive => one_is_left,
            Lane::Bulk => one_is_left && self.ordinary > 1,
        }
    }
}

impl Schedule {
    /// The lane of the next batch; none when nothing may start now.
    pub(crate) fn next(&mut self, waiting: Waiting, free: FreeSlots) -> Option<Lane> {
        let lane = self.choose(waiting, free)?;
        if lane == Lane::Bulk || waiting.bulk == 0 {
            self.passed_over_bulk = 0;
        } else {
            self.passed_over_bulk = self.passed_over_bulk.saturating_add(1);
        }
        Some(lane)
    }

    fn choose(&self, waiting: Waiting, free: FreeSlots) -> Option<Lane> {
        let bulk_may_start = waiting.bulk > 0 && free.ordinary > 1;
        // Bulk needs two free slots. When its turn has come, the last one is kept for urgent until a second is free.
        let bulk_is_due = waiting.bulk > 0 && self.passed_over_bulk >= BULK_SHARE;
        if waiting.urgent > 0 && free.urgent > 0 {
            Some(Lane::Urgent)
        } else if free.ordinary == 0 {
            None
        } else if bulk_is_due {
            bulk_may_start.then_some(Lane::Bulk)
        } else if waiting.interactive > 0 {
            Some(Lane::Interactive)
        } else {
            bulk_may_start.then_some(Lane::Bulk)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(ordinary: usize) -> FreeSlots {
        FreeSlots { urgent: ordinary, ordinary }
    }

    fn waiting(urgent: usize, interactive: usize, bulk: usize) -> Waiting {
        Waiting { urgent, interactive, bulk }
    }

    #[test]
    fn urgent_goes_first_and_bulk_last() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(waiting(1, 1, 1), free(2)), Some(Lane::Urgent));
        assert_eq!(schedule.next(waiting(0, 1, 1), free(2)), Some(Lane::Interactive));
        assert_eq!(schedule.next(waiting(0, 0, 1), free(2)), Some(Lane::Bulk));
        assert_eq!(schedule.next(waiting(1, 1, 1), free(0)), None);
    }

    #[test]
    fn the_last_slot_is_for_what_is_urgent() {
        let reserved = FreeSlots { urgent: 1, ordinary: 0 };
        assert_eq!(Schedule::default().next(waiting(1, 9, 9), reserved), Some(Lane::Urgent));
        assert_eq!(Schedule::default().next(waiting(0, 9, 9), reserved), None);
    }

    #[test]
    fn a_chain_starts_only_in_a_slot_that_its_lane_may_take() {
        let lanes = |free: FreeSlots, bringing, urgent_waits| {
            [Lane::Urgent, Lane::Interactive, Lane::Bulk].map(|lane| free.admit_chain(lane, bringing, 4, urgent_waits))
        };
        assert_eq!(lanes(free(4), 0, false), [true, true, true]);
        assert_eq!(lanes(free(1), 2, false), [true, true, false]);
        assert_eq!(lanes(free(2), 3, false), [true, false, false], "one slot is left to what comes in");
        assert_eq!(lanes(free(4), 0, true), [true, false, false]);
        assert_eq!(lanes(FreeSlots { urgent: 1, ordinary: 0 }, 0, false), [true, false, false]);
        assert_eq!(lanes(free(0), 0, false), [false, false, false]);
    }

    #[test]
    fn bulk_never_takes_the_last_slot() {
        assert_eq!(Schedule::default().next(waiting(0, 0, 9), free(1)), None);
    }

    #[test]
    fn bulk_gets_one_batch_in_eight_however_much_else_waits() {
        let mut schedule = Schedule::default();
        let lanes: Vec<_> = (0..16).filter_map(|_| schedule.next(waiting(0, 100, 100), free(2))).collect();
        assert_eq!(lanes.iter().filter(|lane| **lane == Lane::Bulk).count(), 2);
    }

    #[test]
    fn bulk_whose_turn_has_come_is_not_starved_by_a_busy_interactive_lane() {
        let mut schedule = Schedule::default();
        for _ in 0..7 {
            assert_eq!(schedule.next(waiting(0, 100, 100), free(1)), Some(Lane::Interactive));
        }
        assert_eq!(schedule.next(waiting(0, 100, 100), free(1)), None);
        assert_eq!(schedule.next(waiting(1, 100, 100), free(1)), Some(Lane::Urgent));
        assert_eq!(schedule.next(waiting(0, 100, 100), free(2)), Some(Lane::Bulk));
    }
}
