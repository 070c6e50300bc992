//! When something was asked and answered, by whom, and what became of it.

use std::fmt;

use super::{ACCEPTED_WITHIN, NEVER};
use crate::history::{Attempt, Micros, Outcome};

/// When something was asked and answered, and by whom; without a process it is the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) process: Option<u32>,
    pub(super) start: Micros,
    pub(super) end: Micros,
}

/// An attempt to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Write {
    /// Its end is when the client stopped waiting.
    pub(super) moment: Moment,
    pub(super) standing: Standing,
}

/// What became of a write, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Acknowledged,
    Refused,
    Unknown,
    Pending,
}

impl Write {
    pub(super) fn of(attempt: &Attempt) -> Self {
        let standing = match attempt.outcome {
            Outcome::Ok { .. } => Standing::Acknowledged,
            Outcome::Fail { .. } => Standing::Refused,
            Outcome::Unknown { .. } => Standing::Unknown,
            Outcome::Pending => Standing::Pending,
        };
        Self { moment: Moment::of(attempt), standing }
    }

    pub(super) fn is_acknowledged(&self) -> bool {
        self.standing == Standing::Acknowledged
    }

    pub(super) fn is_refused(&self) -> bool {
        self.standing == Standing::Refused
    }

    /// From then on every write that begins comes after this one.
    pub(super) fn accepted_by(&self) -> Micros {
        self.settled_by(ACCEPTED_WITHIN)
    }

    /// The same where what its client lost takes effect so long afterwards at the latest.
    pub(super) fn settled_by(&self, within: Micros) -> Micros {
        match self.standing {
            Standing::Acknowledged | Standing::Refused => self.moment.end,
            Standing::Unknown => self.moment.end.saturating_add(within),
            Standing::Pending => NEVER,
        }
    }
}

impl Moment {
    pub(super) fn of(attempt: &Attempt) -> Self {
        Self { process: Some(attempt.process), start: attempt.start, end: attempt.end.unwrap_or(NEVER) }
    }
}

/// `process 3, 1.204000 to 1.210000 s`.
impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(process) = self.process else { return formatter.write_str("the state at rest") };
        let second = 1_000_000;
        write!(formatter, "process {process}, {}.{:06}", self.start / second, self.start % second)?;
        match self.end {
            NEVER => formatter.write_str(" s to the end"),
            end => write!(formatter, " to {}.{:06} s", end / second, end % second),
        }
    }
}

/// The moment, and what became of it.
impl fmt::Display for Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let standing = match self.standing {
            Standing::Acknowledged => "acknowledged",
            Standing::Refused => "refused",
            Standing::Unknown => "unanswered",
            Standing::Pending => "pending",
        };
        write!(formatter, "{}, {standing}", self.moment)
    }
}
