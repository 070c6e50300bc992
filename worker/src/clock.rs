//! The only reader of the time of day in this crate.

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
    #[expect(clippy::disallowed_methods, reason = "the one place where the worker reads the time of day")]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => {
                let since_epoch = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Fixed(time) => time,
        }
    }
}
