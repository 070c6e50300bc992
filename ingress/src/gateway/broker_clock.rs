//! The broker's time of day, measured: what deadlines and arrivals are told in. Waiting itself uses monotonic time.

use std::time::Duration;

use protocol::time::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::clock;

/// How long an append on a new connection waits for the broker's time to be measured there.
const MEASURE_TIMEOUT: Duration = Duration::from_millis(500);
/// How wrong this machine's clock may be while the broker's was never measured.
const UNMEASURED_ERROR: Duration = Duration::from_secs(1);
/// The resolution of the broker's time.
const RESOLUTION: Duration = Duration::from_millis(1);

/// How the broker's clock stands to this process's monotonic one.
#[derive(Debug)]
pub(super) struct BrokerClock {
    origin: Instant,
    reading: watch::Sender<Option<Reading>>,
    wanted: Notify,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The connection on which it was made.
    generation: u64,
    /// The broker's time at `origin`.
    at_origin: Timestamp,
    error: Duration,
}

impl Default for BrokerClock {
    fn default() -> Self {
        Self { origin: Instant::now(), reading: watch::Sender::default(), wanted: Notify::new() }
    }
}

impl BrokerClock {
    /// The broker's time at an instant, and by how much it may be wrong. Before the first measurement it is this
    /// machine's time.
    pub(super) fn at(&self, instant: Instant) -> (Timestamp, Duration) {
        let Some(Reading { at_origin, error, .. }) = *self.reading.borrow() else {
            let now = clock::now().after(instant.saturating_duration_since(Instant::now()));
            return (now.before(Instant::now().saturating_duration_since(instant)), UNMEASURED_ERROR);
        };
        (at_origin.after(instant.saturating_duration_since(self.origin)), error)
    }

    /// Takes over what the broker said between two instants. Gives back by how many milliseconds this machine's clock is
    /// ahead of the broker's.
    pub(super) fn learn(&self, generation: u64, sent: Instant, received: Instant, said: Timestamp) -> i64 {
        let half = received.saturating_duration_since(sent) / 2;
        let at_origin = said.before((sent + half).saturating_duration_since(self.origin));
        self.reading.send_replace(Some(Reading { generation, at_origin, error: half + RESOLUTION }));
        let here = clock::now().before(Instant::now().saturating_duration_since(received));
        here.as_millis() - said.after(half).as_millis()
    }

    /// Waits, though not for long, until the broker's time was measured on this connection.
    pub(super) async fn measured_on(&self, generation: u64) {
        let mut reading = self.reading.subscribe();
        let measured = |reading: &Option<Reading>| reading.is_some_and(|reading| reading.generation >= generation);
        if timeout(MEASURE_TIMEOUT, reading.wait_for(measured)).await.is_err() {
            tracing::debug!("the broker's time is not measured yet, going on by the last measurement");
        }
    }

    /// Has the broker's time measured again, and waits for it: it was found wrong.
    pub(super) async fn measure_again(&self) {
        let mut reading = self.reading.subscribe();
        reading.mark_unchanged();
        self.wanted.notify_one();
        drop(timeout(MEASURE_TIMEOUT, reading.changed()).await);
    }

    /// Waits until a measurement is wanted.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_measurement_tells_the_brokers_time_at_any_instant() {
        let clock = BrokerClock::default();
        assert_eq!(clock.at(Instant::now()).1, UNMEASURED_ERROR, "nothing is known yet");
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(40)).await;
        clock.learn(1, sent, Instant::now(), Timestamp::from_millis(1_000_020));
        assert_eq!(clock.at(sent).0, Timestamp::from_millis(1_000_000));
        tokio::time::advance(Duration::from_secs(3)).await;
        let (now, error) = clock.at(Instant::now());
        assert_eq!((now, error), (Timestamp::from_millis(1_003_040), Duration::from_millis(21)));
    }
}
