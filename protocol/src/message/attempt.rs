//! One attempt to append a command, and what an ingress hears of an attempt that the log stored too late.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::OperationId;
use crate::time::Timestamp;

/// The name of one attempt, `<operation>:<number>`: what the broker recognises a repeated publish by. An attempt that was
/// stored too late is refused for good, so the next one needs a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The operation.
    pub operation: OperationId,
    /// Which attempt, from 1.
    pub number: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.operation, self.number)
    }
}

impl FromStr for AttemptId {
    type Err = InvalidAttempt;

    fn from_str(text: &str) -> Result<Self, InvalidAttempt> {
        let (operation, number) = text.split_once(':').ok_or(InvalidAttempt)?;
        let operation = operation.parse().map_err(|_| InvalidAttempt)?;
        Ok(Self { operation: OperationId(operation), number: number.parse().map_err(|_| InvalidAttempt)? })
    }
}

/// The name of one attempt to publish a replayed command, `<operation>:replay:<replay>:<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayAttemptId {
    /// The operation.
    pub operation: OperationId,
    /// Which replay of it, from 1.
    pub replay: u32,
    /// Which attempt, from 1.
    pub number: u32,
}

impl fmt::Display for ReplayAttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:replay:{}:{}", self.operation, self.replay, self.number)
    }
}

/// The text names no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attempt is <operation id>:<number>")]
pub struct InvalidAttempt;

/// Tells an ingress that the log stored an attempt after it had ended: its sequence is settled, its operation is not.
/// Sent to [`Namespace::late_copies`](crate::id::Namespace::late_copies).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateCopy {
    /// The operation.
    pub operation: OperationId,
    /// Which attempt, from 1. Only the newest one calls for another.
    pub attempt: u32,
    /// The sequence in the stream under which it was stored.
    pub sequence: u64,
    /// When the broker stored it, by the broker's clock: corrects a wrong measurement of it.
    pub stored_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_read_back_as_written() {
        let attempt = AttemptId { operation: OperationId(uuid::Uuid::from_u128(7)), number: 3 };
        assert_eq!(attempt.to_string().parse(), Ok(attempt));
        for text in ["", "00000000-0000-0000-0000-000000000007", "x:1", "00000000-0000-0000-0000-000000000007:x"] {
            assert_eq!(text.parse::<AttemptId>(), Err(InvalidAttempt), "{text}");
        }
    }
}
