//! Whose word on a user's access counts: the newest one, by the log's order, unless a command was held on its way.
//!
//! A command can wait in an ingress that is cut off from the broker, while its client has given up and a newer change was
//! acknowledged through another ingress. When it is accepted at last, it is the newest in the log, but not the newest that
//! was said. So a command that was *held* decides on access by when it arrived.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A command that was accepted later than this after its arrival was held.
pub const HELD_AFTER: Duration = Duration::from_secs(2);

/// The largest error of an arrival that is believed: an ingress may have stood still, and the broker's clock may have
/// stepped.
pub const MAX_ARRIVAL_ERROR: Duration = Duration::from_mins(10);

/// A command that seems to be published so much after it was accepted was told the broker's time before its clock went back.
pub const MAX_CLOCK_LEAD: Duration = Duration::from_secs(1);

/// What a command says about a user's access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The user is active afterwards.
    Given,
    /// The user is not active, or gone, afterwards.
    Taken,
}

/// When a request was complete, by the broker's clock, and by how much that may be wrong in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// When.
    pub at: Timestamp,
    /// The error of the measurement, at most [`MAX_ARRIVAL_ERROR`].
    pub error: Duration,
    /// When the command was published, by the broker's clock as the ingress knew it.
    pub sent: Timestamp,
    /// How old the request could be then, by a clock that does not step.
    pub age: Duration,
}

/// The command whose word on a user's access counts so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its sequence in the log: the column `active_seq`.
    pub sequence: u64,
    /// When it arrived, as [`Arrival::bound`] says: the column `active_arrived`. None if it is not known.
    pub arrived: Option<Timestamp>,
}

/// Whether a command's word on access counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the newest.
    Counts,
    /// A command that the log accepted later has been heard: `active` stays, the command is applied otherwise.
    Older,
    /// It was held, and something newer was accepted meanwhile: `active` stays, and a command that says nothing else is
    /// superseded.
    Yields,
}

impl Arrival {
    /// An arrival whose error is believed up to [`MAX_ARRIVAL_ERROR`], of a command that was published at once.
    pub fn new(at: Timestamp, error: Duration) -> Self {
        let error = error.min(MAX_ARRIVAL_ERROR);
        Self { at, error, sent: at, age: error }
    }

    /// The same of a command that was published at `sent`, when its request could be of that `age`.
    #[must_use]
    pub const fn published(self, sent: Timestamp, age: Duration) -> Self {
        Self { sent, age, ..self }
    }

    /// As far as it can be true of a command that was accepted then. One that was published after that is measured by a
    /// clock that has gone back since: how long the command was on its way is not known.
    #[must_use]
    pub fn believed(self, accepted: Timestamp) -> Self {
        if self.sent.before(self.error) <= accepted.after(MAX_CLOCK_LEAD) {
            return self;
        }
        let half = MAX_ARRIVAL_ERROR / 2;
        let (at, sent) = (accepted.before(half), accepted.before(MAX_ARRIVAL_ERROR));
        Self { at, error: half, sent, age: Duration::ZERO }
    }

    /// Whether a command that was accepted then may have been held on its way: in its ingress, or after it was published.
    pub fn was_held(self, accepted: Timestamp) -> bool {
        self.age.saturating_add(accepted.since(self.sent)) > HELD_AFTER
    }

    /// What is remembered of the arrival of a command whose word counts: the latest possible time for one that takes
    /// access away, the earliest for one that gives it. So within the error, what takes access away wins.
    pub fn bound(self, said: Access) -> Timestamp {
        match said {
            Access::Taken => self.at.after(self.error),
            Access::Given => self.at.before(self.error),
        }
    }
}

/// Decides whether a command's word on access counts: `said`, by the command of this `sequence`, `accepted` by the log
/// after it had `arrived`.
pub fn verdict(said: Access, sequence: u64, accepted: Timestamp, arrived: Arrival, standing: Standing) -> Verdict {
    if sequence < standing.sequence {
        return Verdict::Older;
    }
    // A command's own first effect stands under its own sequence.
    if sequence == standing.sequence || !arrived.was_held(accepted) {
        return Verdict::Counts;
    }
    let Some(standing) = standing.arrived else { return Verdict::Counts };
    // What stands arrived before it was accepted, and that was before this: the broker's clock went back in between, so
    // the times say nothing, and what takes access away wins.
    let comparable = accepted >= standing;
    let counts = match said {
        Access::Taken => !comparable || arrived.bound(said) >= standing,
        Access::Given => comparable && arrived.bound(said) > standing,
    };
    if counts { Verdict::Counts } else { Verdict::Yields }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR: Duration = Duration::from_millis(10);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn arrived(millis: i64) -> Arrival {
        Arrival::new(at(millis), ERROR)
    }

    fn standing(said: Access, millis: i64) -> Standing {
        Standing { sequence: 5, arrived: Some(arrived(millis).bound(said)) }
    }

    #[test]
    fn what_was_not_held_follows_the_log() {
        for said in [Access::Given, Access::Taken] {
            let newer = standing(Access::Taken, 12_000);
            assert_eq!(verdict(said, 6, at(12_000), arrived(10_500), newer), Verdict::Counts);
            assert_eq!(verdict(said, 4, at(20_000), arrived(20_000), newer), Verdict::Older);
        }
    }

    #[test]
    fn what_was_held_counts_only_if_it_arrived_later() {
        for said in [Access::Given, Access::Taken] {
            for stands in [Access::Given, Access::Taken] {
                let held = |arrival| verdict(said, 6, at(20_000), arrived(arrival), standing(stands, 12_000));
                assert_eq!(held(11_000), Verdict::Yields, "{said:?} after {stands:?}");
                assert_eq!(held(13_000), Verdict::Counts, "{said:?} after {stands:?}");
            }
        }
    }

    #[test]
    fn within_the_error_what_takes_access_away_wins() {
        let held = |said, stands| verdict(said, 6, at(20_000), arrived(12_005), standing(stands, 12_000));
        assert_eq!(held(Access::Given, Access::Taken), Verdict::Yields);
        let held = |said, stands| verdict(said, 6, at(20_000), arrived(11_995), standing(stands, 12_000));
        assert_eq!(held(Access::Taken, Access::Given), Verdict::Counts);
    }

    #[test]
    fn a_clock_that_went_back_never_drops_what_takes_access_away() {
        // Accepted after what stands, at an earlier time.
        let held = |said| verdict(said, 6, at(20_000), arrived(15_000), standing(Access::Given, 60_000));
        assert_eq!(held(Access::Taken), Verdict::Counts);
        assert_eq!(held(Access::Given), Verdict::Yields);
    }

    #[test]
    fn a_command_does_not_yield_to_its_own_first_effect() {
        let own = Standing { sequence: 6, arrived: Some(at(12_000)) };
        assert_eq!(verdict(Access::Taken, 6, at(20_000), arrived(11_000), own), Verdict::Counts);
    }

    #[test]
    fn what_was_published_at_once_was_not_held_however_the_clock_has_stepped() {
        let in_doubt = Arrival::new(at(-30_000), Duration::from_secs(30)).published(at(0), Duration::from_millis(5));
        assert!(!in_doubt.was_held(at(1_000)));
        assert!(in_doubt.was_held(at(2_500)));
        assert!(in_doubt.published(at(0), Duration::from_secs(3)).was_held(at(0)));
    }

    #[test]
    fn what_was_published_after_it_was_accepted_is_in_doubt() {
        let (accepted, ahead) = (at(1_200_000), arrived(1_260_000));
        for (said, stands, expected) in
            [(Access::Given, Access::Taken, Verdict::Yields), (Access::Taken, Access::Given, Verdict::Counts)]
        {
            let decided = |arrived| verdict(said, 6, accepted, arrived, standing(stands, 1_195_000));
            assert_eq!(decided(ahead.believed(accepted)), expected);
            assert_eq!(decided(ahead), Verdict::Counts, "what it was without the doubt");
        }
        let long_ago = standing(Access::Taken, 500_000);
        assert_eq!(verdict(Access::Given, 6, accepted, ahead.believed(accepted), long_ago), Verdict::Counts);
        assert_eq!(arrived(1_200_500).believed(accepted), arrived(1_200_500), "clocks differ by a little");
    }

    #[test]
    fn an_error_is_believed_up_to_a_limit() {
        assert_eq!(Arrival::new(at(0), Duration::from_hours(1)).error, MAX_ARRIVAL_ERROR);
    }
}
