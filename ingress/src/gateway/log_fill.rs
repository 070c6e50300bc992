//! How full the log is: bulk is let in up to 70 %, interactive up to 90 %; the last tenth is for what takes access away.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::message::lane::Lane;
use tokio::sync::watch;

/// How full the log is, as last measured, and by what was let in since.
#[derive(Debug, Default)]
pub(super) struct LogFill {
    measured: watch::Sender<Measured>,
    appended: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Measured {
    bytes: u64,
    /// The most bytes that it takes; none for no limit.
    capacity: Option<u64>,
}

impl LogFill {
    /// Takes over what the broker says: `capacity` is none where the log has no limit.
    pub(super) fn learn(&self, bytes: u64, capacity: Option<u64>) {
        self.appended.store(0, Ordering::Relaxed);
        self.measured.send_replace(Measured { bytes, capacity });
    }

    /// Whether more than half is used: it is worth to measure often.
    pub(super) fn is_half_full(&self) -> bool {
        !self.has_room(50, 0)
    }

    /// Whether a lane may not append so many bytes now.
    pub(super) fn is_full_for(&self, lane: Lane, bytes: usize) -> bool {
        !self.has_room(lane.share_of_log(), bytes)
    }

    /// Waits until a lane may append so many bytes, and counts them as appended until the next measurement.
    pub(super) async fn room(&self, lane: Lane, bytes: usize) {
        let mut measured = self.measured.subscribe();
        while !self.has_room(lane.share_of_log(), bytes) {
            // Cannot end otherwise: this holds the sender.
            if measured.changed().await.is_err() {
                return;
            }
        }
        self.appended.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn has_room(&self, percentage: u64, bytes: usize) -> bool {
        let Measured { bytes: used, capacity } = *self.measured.borrow();
        let Some(capacity) = capacity else { return true };
        let more = self.appended.load(Ordering::Relaxed).saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        used.saturating_add(more) <= capacity / 100 * percentage + capacity % 100 * percentage / 100
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn each_lane_leaves_room_for_those_before_it() {
        let fill = LogFill::default();
        let waits = |lane| fill.room(lane, 10).now_or_never().is_none();
        assert!(!waits(Lane::Bulk), "nothing is known");
        fill.learn(650, Some(1_000));
        assert!(!waits(Lane::Bulk));
        fill.learn(695, Some(1_000));
        assert!(waits(Lane::Bulk) && !waits(Lane::Interactive));
        fill.learn(900, Some(1_000));
        assert!(waits(Lane::Interactive) && !waits(Lane::Urgent));
        fill.learn(900, None);
        assert!(!waits(Lane::Bulk));
    }
}
