//! The only reader of the time of day in this crate.

use std::time::UNIX_EPOCH;

use protocol::time::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place where the command reads the time of day")]
pub(super) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
