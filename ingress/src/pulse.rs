//! Whether this process was standing still: a request that it reads afterwards may have come at any time meanwhile, and its
//! client may have gone since.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use runtime::lock::locked;
use tokio::time::{Instant, sleep};

/// How often the pulse beats.
const BEAT_INTERVAL: Duration = Duration::from_millis(100);
/// A beat that comes so late says that the process stood still.
const STANDSTILL: Duration = Duration::from_millis(500);
/// A beat that comes by then says that what had come in the meantime is being worked on.
const ON_TIME: Duration = Duration::from_millis(200);
/// How long a request that came during a standstill waits: hyper sees the end of its connection in this time, if its client
/// has gone.
const CLIENT_CHECK: Duration = Duration::from_millis(100);

/// The process's pulse.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Mutex<Beats>>);

#[derive(Debug)]
struct Beats {
    last: Instant,
    /// When the last standstill began, until a beat is on time again.
    standstill: Option<Instant>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Beats { last: Instant::now(), standstill: None })))
    }
}

impl Pulse {
    /// Beats for as long as the process lives.
    pub(crate) async fn run(self) {
        loop {
            sleep(BEAT_INTERVAL).await;
            self.beat(Instant::now());
        }
    }

    /// Since when a request that is read now may have been complete. Waits a moment if that is long ago: a client that has
    /// gone ends this.
    pub(crate) async fn complete_since(&self) -> Instant {
        let now = Instant::now();
        let since = self.earliest(now);
        if since < now {
            tracing::debug!(
                milliseconds = (now - since).as_millis(),
                "a request may have come while this process stood still"
            );
            sleep(CLIENT_CHECK).await;
        }
        since
    }

    fn beat(&self, now: Instant) {
        let mut beats = locked(&self.0);
        let since = now.saturating_duration_since(beats.last);
        if since > STANDSTILL {
            beats.standstill = beats.standstill.or(Some(beats.last));
        } else if since <= ON_TIME {
            beats.standstill = None;
        }
        beats.last = now;
    }

    fn earliest(&self, now: Instant) -> Instant {
        let beats = locked(&self.0);
        if now.saturating_duration_since(beats.last) > STANDSTILL {
            return beats.standstill.unwrap_or(beats.last);
        }
        beats.standstill.unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_read_after_a_standstill_may_have_come_since_its_beginning() {
        let pulse = Pulse::default();
        let began = Instant::now();
        assert_eq!(pulse.earliest(began), began);
        let thawed = began + Duration::from_secs(5);
        assert_eq!(pulse.earliest(thawed), began, "before the next beat");
        pulse.beat(thawed);
        assert_eq!(pulse.earliest(thawed + Duration::from_millis(10)), began, "after it");
        pulse.beat(thawed + Duration::from_millis(400));
        assert_eq!(pulse.earliest(thawed + Duration::from_millis(410)), began, "it still catches up");
        let later = thawed + Duration::from_millis(500);
        pulse.beat(later);
        assert_eq!(pulse.earliest(later), later);
    }
}
