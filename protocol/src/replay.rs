//! Replaying dead letters: what a replay is, how it ends, and when something newer stands in its way. Pure.

use serde::{Deserialize, Serialize};

/// How many commands of replays may be in the log at a time.
pub const MAX_IN_LOG: u32 = 256;

/// A command that is in the log again because its first message became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Which replay of its operation it is, from 1. The ledger takes each number once, and only after the one before it.
    pub number: u32,
    /// The dead letter: the sequence at which the log accepted the command first, and the place at which it takes effect.
    pub letter: u64,
    /// It takes effect at its new place, whatever has changed since.
    pub forced: bool,
}

/// How one replayed dead letter ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayEnd {
    /// It had its effect.
    Applied,
    /// It was refused, as any command may be: 400, 404, 409 or 412.
    Rejected,
    /// An operation that was accepted later has changed the resource.
    Superseded,
    /// It could not be applied again.
    Dead,
    /// It was not published: it is no dead letter any more, or cannot be read.
    Skipped,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayState {
    /// A dry run chose its set; nothing has begun.
    Planned,
    /// A worker publishes its dead letters.
    Running,
    /// Nothing more is published until it is resumed.
    Paused,
    /// Nothing more is ever published.
    Stopped,
    /// Each of its dead letters has ended.
    Done,
}

/// What an operator asks of a replay that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayAct {
    /// Publish nothing more for now.
    Pause,
    /// Go on.
    Resume,
    /// Publish nothing more, for good.
    Stop,
}

impl ReplayEnd {
    /// All ends.
    pub const ALL: [Self; 5] = [Self::Applied, Self::Rejected, Self::Superseded, Self::Dead, Self::Skipped];

    /// The word in SQL and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }
}

impl ReplayState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Planned, Self::Running, Self::Paused, Self::Stopped, Self::Done];

    /// The word in SQL and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Done => "done",
        }
    }

    /// The state after an act; none if the act makes no sense now. Doing it twice is doing it once.
    pub const fn after(self, act: ReplayAct) -> Option<Self> {
        match (self, act) {
            (Self::Running | Self::Paused, ReplayAct::Pause) => Some(Self::Paused),
            (Self::Running | Self::Paused, ReplayAct::Resume) => Some(Self::Running),
            (Self::Planned | Self::Running | Self::Paused | Self::Stopped, ReplayAct::Stop) => Some(Self::Stopped),
            (Self::Planned | Self::Stopped | Self::Done, ReplayAct::Pause | ReplayAct::Resume)
            | (Self::Done, ReplayAct::Stop) => None,
        }
    }
}

impl ReplayAct {
    /// The verb, as the audit log has it.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Pause => "replay-pause",
            Self::Resume => "replay-resume",
            Self::Stop => "replay-stop",
        }
    }
}

/// The sequence of the later operation that supersedes a replayed command, if there is one: the one that `changed` the
/// resource last, or, for a command that says something of access, the one whose word on it `stands`.
pub fn superseded_by(replayed: Replayed, changed: u64, stands: Option<u64>) -> Option<u64> {
    let newest = changed.max(stands.unwrap_or(0));
    (!replayed.forced && newest > replayed.letter).then_some(newest)
}

/// How many commands of a replay may be published now, while so many of it are `in_log`: with a `rate` a second, as many as
/// were earned in `millis` since the last turn, a second's worth at most.
pub fn may_publish(in_log: u32, rate: Option<u32>, millis: u64) -> u32 {
    let room = MAX_IN_LOG.saturating_sub(in_log);
    let earned = |rate: u32| u64::from(rate).saturating_mul(millis.min(1_000)) / 1_000;
    rate.map_or(room, |rate| room.min(u32::try_from(earned(rate)).unwrap_or(room)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_the_resource_later_supersedes_unless_it_is_forced() {
        let replayed = |forced| Replayed { number: 1, letter: 10, forced };
        assert_eq!(superseded_by(replayed(false), 9, None), None);
        assert_eq!(superseded_by(replayed(false), 10, Some(10)), None);
        assert_eq!(superseded_by(replayed(false), 11, None), Some(11));
        assert_eq!(superseded_by(replayed(false), 9, Some(12)), Some(12));
        assert_eq!(superseded_by(replayed(true), 11, Some(12)), None);
    }

    #[test]
    fn a_rate_is_kept_and_the_log_holds_no_more_than_its_part() {
        assert_eq!(may_publish(0, None, 0), 256);
        assert_eq!(may_publish(250, None, 0), 6);
        assert_eq!(may_publish(300, None, 0), 0);
        assert_eq!(may_publish(0, Some(20), 100), 2);
        assert_eq!(may_publish(0, Some(20), 60_000), 20);
        assert_eq!(may_publish(255, Some(500), 1_000), 1);
    }

    #[test]
    fn what_was_stopped_or_has_ended_does_not_go_on() {
        use ReplayAct::{Pause, Resume, Stop};
        assert_eq!(ReplayState::Running.after(Pause), Some(ReplayState::Paused));
        assert_eq!(ReplayState::Paused.after(Resume), Some(ReplayState::Running));
        assert_eq!(ReplayState::Paused.after(Stop), Some(ReplayState::Stopped));
        for act in [Pause, Resume] {
            assert_eq!(ReplayState::Stopped.after(act), None);
            assert_eq!(ReplayState::Planned.after(act), None);
        }
        assert_eq!(ReplayState::Done.after(Stop), None);
    }
}
