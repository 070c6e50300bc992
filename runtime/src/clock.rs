//! The only reader of the time of day in rosterd.

use std::time::UNIX_EPOCH;

use protocol::time::Timestamp;

/// Where the time of day comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Always this time: for tests.
    Fixed(Timestamp),
}

impl Clock {
    /// The time now.
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => now(),
            Self::Fixed(time) => time,
        }
    }
}

/// The time now, by the machine's clock.
#[expect(clippy::disallowed_methods, reason = "the one place where the time of day is read")]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
