//! Commands that wait for a predecessor.

use super::*;
use crate::log::testing::{command, delivered, sequences};

#[test]
fn a_command_is_released_when_its_predecessor_is_settled() {
    let (mut held, now) = (Held::default(), Instant::now());
    assert!(held.hold(command(1, 7, 5), now).is_none());
    assert!(held.hold(command(2, 8, 6), now).is_none());
    assert_eq!(sequences(&held.release(5)), [7]);
    assert!(held.release(5).is_empty());
    assert_eq!(held.count, 1);
}

#[test]
fn a_due_command_takes_its_whole_chain_along_and_no_other() {
    let (mut held, now) = (Held::default(), Instant::now());
    assert!(held.hold(command(1, 9, 7), now + BRING_AFTER).is_none());
    assert!(held.hold(command(1, 7, 5), now).is_none());
    assert!(held.hold(command(2, 8, 6), now + BRING_AFTER).is_none());
    let due = held.take_due(now, 256, |_| true, |_| false);
    assert_eq!(sequences(&due), [7, 9]);
    assert!(held.take_due(now, 256, |_| true, |_| false).is_empty());
    assert!(held.release(7).is_empty(), "what was taken is not released a second time");
    assert_eq!(held.next_due(|_| true), Some(now + BRING_AFTER));
}

#[test]
fn a_chain_whose_predecessor_is_in_work_here_waits_for_that_batch() {
    let (mut held, now) = (Held::default(), Instant::now());
    assert!(held.hold(command(1, 7, 5), now).is_none());
    assert!(held.take_due(now, 256, |_| true, |sequence| sequence == 5).is_empty());
    assert_eq!(sequences(&held.take_due(now, 256, |_| true, |_| false)), [7]);
}

#[test]
fn due_chains_go_together_until_there_are_enough_and_a_suspect_goes_alone() {
    let (mut held, now) = (Held::default(), Instant::now());
    for user in 1..=5 {
        let mut first = command(user, 10 * u64::try_from(user).unwrap(), 5);
        first.suspect = user == 5;
        assert!(held.hold(first, now).is_none());
        assert!(held.hold(command(user, 10 * u64::try_from(user).unwrap() + 1, 6), now).is_none());
    }
    let mut taken: Vec<Vec<Delivery>> = Vec::new();
    while held.next_due(|_| true).is_some() {
        taken.push(held.take_due(now, 4, |_| true, |_| false));
    }
    assert!(taken.iter().all(|deliveries| deliveries.len() <= 4), "{taken:?}");
    let suspect = taken.iter().find(|deliveries| deliveries.iter().any(|delivery| delivery.suspect)).unwrap();
    assert_eq!(sequences(suspect), [50, 51]);
    assert_eq!(taken.iter().map(Vec::len).sum::<usize>(), 10);
}

#[test]
fn a_parked_chain_waits_for_its_time_whatever_else_comes_of_it() {
    let (mut held, now) = (Held::default(), Instant::now());
    assert!(held.park(command(1, 7, 5), &Parked::Locked, now).is_none());
    assert!(held.is_parked(&command(1, 9, 7)) && !held.is_parked(&command(2, 9, 7)));
    assert!(held.hold(command(1, 9, 7), now).is_none());
    assert!(held.take_due(now, 256, |_| true, |_| false).is_empty());
    let due = held.next_due(|_| true).unwrap();
    assert!(due > now && due <= now + LOCKED_RETRY.0);
    let again = held.take_due(due, 256, |_| true, |_| false);
    assert_eq!(sequences(&again), [7, 9]);
    assert_eq!(again.iter().map(|delivery| delivery.parkings).collect::<Vec<_>>(), [1, 0]);
    assert!(!held.is_parked(&command(1, 9, 7)));
}

#[test]
fn what_was_fetched_waits_for_a_slot_of_the_lane_that_brought_it_along() {
    let (mut held, now) = (Held::default(), Instant::now());
    let urgent = |lane| lane == Lane::Urgent;
    assert!(held.hold(command(1, 7, 5), now).is_none());
    assert!(held.hold(delivered(command(1, 9, 7), Lane::Bulk), now).is_none());
    assert!(held.hold(command(2, 8, 5), now).is_none());
    assert!(held.take_due(now, 256, |_| false, |_| false).is_empty(), "no slot is free");
    assert!(held.take_due(now, 256, urgent, |_| false).is_empty());
    assert_eq!(held.next_due(urgent), None);
    assert_eq!(sequences(&held.take_due(now, 256, |lane| lane == Lane::Interactive, |_| false)), [8]);
    assert_eq!(sequences(&held.take_due(now, 256, |lane| lane == Lane::Bulk, |_| false)), [7, 9]);
}

#[test]
fn what_is_urgent_has_its_parked_chain_tried_at_once_unless_a_row_is_locked() {
    let now = Instant::now();
    let failed = Parked::Failed("no".to_owned());
    for (parked, hurries) in [(Parked::Locked, false), (failed, true), (Parked::Waiting, true)] {
        let mut held = Held::default();
        assert!(held.park(command(1, 7, 0), &parked, now).is_none());
        held.hurry(&command(1, 9, 7), now);
        assert_eq!(!held.take_due(now, 256, |_| true, |_| false).is_empty(), hurries, "{parked:?}");
    }
    let mut held = Held::default();
    assert!(held.park(command(1, 7, 0), &Parked::Locked, now).is_none());
    assert!(held.park(command(1, 8, 7), &Parked::Waiting, now).is_none());
    held.hurry(&command(1, 9, 8), now);
    assert!(held.take_due(now, 256, |_| true, |_| false).is_empty(), "it waits behind a lock");
}

#[test]
fn what_failed_by_itself_is_tried_alone_and_what_was_locked_with_others() {
    let (mut held, now) = (Held::default(), Instant::now());
    let failed = Parked::Failed("no".to_owned());
    for (user, parked) in [(1, &Parked::Locked), (2, &failed), (3, &Parked::Locked)] {
        assert!(held.park(command(user, 10 + u64::try_from(user).unwrap(), 0), parked, now).is_none());
    }
    let later = now + FAILED_RETRY.1;
    assert_eq!(held.take_due(later, 256, |_| true, |_| false).len(), 2);
    assert_eq!(sequences(&held.take_due(later, 256, |_| true, |_| false)), [12]);
    for user in 1..=20 {
        assert!(held.park(command(user, 10 + u64::try_from(user).unwrap(), 0), &failed, now).is_none());
    }
    assert_eq!(held.take_due(later, 256, |_| true, |_| false).len(), 20, "so many may have failed alike");
}

#[test]
fn a_parked_command_is_tried_less_and_less_often() {
    for (parked, latest) in [(Parked::Locked, LOCKED_RETRY.1), (Parked::Waiting, FAILED_RETRY.1)] {
        assert!(retry_delay(&parked, 30) <= latest && retry_delay(&parked, 30) >= latest / 2);
        assert!(retry_delay(&parked, 0) < retry_delay(&parked, 2));
    }
}

#[test]
fn urgent_commands_bring_their_predecessor_along_at_once() {
    let now = Instant::now();
    assert_eq!(Held::due(Lane::Urgent, now), now);
    assert_eq!(Held::due(Lane::Interactive, now), now + BRING_AFTER);
}

#[test]
fn what_is_held_is_bounded() {
    let (mut held, now) = (Held::default(), Instant::now());
    for sequence in 0..MAX_HELD as u64 {
        assert!(held.hold(command(1, 10 + sequence, 9 + sequence), now).is_none());
    }
    assert!(held.hold(command(2, 5, 4), now).is_some());
    assert_eq!(held.take_all().len(), MAX_HELD);
    assert!(held.hold(command(2, 5, 4), now).is_none());
}
