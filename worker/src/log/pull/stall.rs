//! Notices a consumer that has messages and delivers none: known after a change of leader or a reconnect (nats.go #2063).
//! Pure: time comes in as a parameter.

use std::time::Duration;

use async_nats::jetstream::consumer;
use tokio::time::Instant;

use crate::log::declare::MAX_ACK_PENDING;

/// After so long without a delivery the consumer's state is looked at, and then again.
const QUIET: Duration = Duration::from_secs(5);

/// What one lane has seen of its consumer.
#[derive(Debug)]
pub(super) struct Stall {
    quiet_since: Instant,
    /// What the consumer had delivered when it was looked at last, if more was waiting then.
    waiting_after: Option<u64>,
}

/// A consumer's state, as far as it tells of a stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// The consumer sequence of the last delivery to any worker.
    delivered: u64,
    /// Whether messages wait that it could deliver.
    waits: bool,
}

impl Stall {
    pub(super) const fn new(now: Instant) -> Self {
        Self { quiet_since: now, waiting_after: None }
    }

    /// A message came.
    pub(super) const fn delivered(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Whether the consumer's state is to be looked at.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.quiet_since) >= QUIET
    }

    /// Notes the state: true if messages waited all the time since the last look, and none was delivered to any worker.
    pub(super) fn is_stalled(&mut self, seen: Seen, now: Instant) -> bool {
        let stalled = seen.waits && self.waiting_after == Some(seen.delivered);
        *self = Self { quiet_since: now, waiting_after: seen.waits.then_some(seen.delivered) };
        stalled
    }
}

impl Seen {
    pub(super) fn of(info: &consumer::Info) -> Self {
        let has_room = i64::try_from(info.num_ack_pending).unwrap_or(i64::MAX) < MAX_ACK_PENDING;
        let waits = info.num_pending > 0 && has_room && !info.paused;
        Self { delivered: info.delivered.consumer_sequence, waits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING: Seen = Seen { delivered: 7, waits: true };

    #[test]
    fn messages_that_wait_while_none_is_delivered_are_a_stall() {
        let now = Instant::now();
        let mut stall = Stall::new(now);
        assert!(!stall.is_due(now + QUIET / 2) && stall.is_due(now + QUIET));
        assert!(!stall.is_stalled(WAITING, now + QUIET), "they may have come just now");
        assert!(!stall.is_due(now + QUIET) && stall.is_due(now + QUIET * 2));
        assert!(stall.is_stalled(WAITING, now + QUIET * 2));
    }

    #[test]
    fn a_delivery_to_any_worker_is_no_stall_and_neither_is_an_empty_lane() {
        let now = Instant::now();
        for next in [Seen { delivered: 8, waits: true }, Seen { delivered: 7, waits: false }] {
            let mut stall = Stall::new(now);
            assert!(!stall.is_stalled(WAITING, now));
            assert!(!stall.is_stalled(next, now));
        }
        let mut stall = Stall::new(now);
        assert!(!stall.is_stalled(WAITING, now));
        stall.delivered(now);
        assert!(!stall.is_stalled(WAITING, now));
    }
}
