//! The broker's time of day, measured: what deadlines and arrivals are told in. Waiting itself uses monotonic time.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use protocol::time::Timestamp;
use runtime::clock;
use runtime::lock::locked;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// How long an append on a new connection waits for the broker's time to be measured there.
const MEASURE_TIMEOUT: Duration = Duration::from_millis(500);
/// How old the newest measurement may be where a command changes access: the broker's clock may have stepped since.
const MAX_AGE: Duration = Duration::from_millis(20);
/// How wrong this machine's clock may be while the broker's was never measured.
const UNMEASURED_ERROR: Duration = Duration::from_secs(1);
/// How long a measurement is kept beside less exact ones: clocks drift apart.
const FRESH_FOR: Duration = Duration::from_mins(1);
/// What clocks may drift apart between two measurements without a step.
const DRIFT: Duration = Duration::from_millis(50);
/// How many steps are remembered: no request is older than the last few.
const MAX_STEPS: usize = 16;
/// The resolution of the broker's time.
const RESOLUTION: Duration = Duration::from_millis(1);

/// How the broker's clock stands to this process's monotonic one.
#[derive(Debug)]
pub(super) struct BrokerClock {
    origin: Instant,
    reading: watch::Sender<Option<Reading>>,
    steps: Mutex<VecDeque<Step>>,
    wanted: Notify,
}

/// The broker's clock was found to have stepped.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// When that was found.
    found: Instant,
    /// By how many milliseconds, forward or back.
    millis: i64,
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The connection on which it was made.
    generation: u64,
    /// The broker's time at `origin`.
    at_origin: Timestamp,
    error: Duration,
    taken: Instant,
    /// When the broker was last heard, and agreed.
    heard: Instant,
}

impl Default for BrokerClock {
    fn default() -> Self {
        let (reading, steps, wanted) = (watch::Sender::default(), Mutex::default(), Notify::new());
        Self { origin: Instant::now(), reading, steps, wanted }
    }
}

impl Reading {
    /// This one, if it is the better one and nothing speaks against it: an answer that came late, as through a link that
    /// was stalled, says little.
    fn kept_beside(self, new: Self) -> Option<Self> {
        let apart = self.at_origin.as_millis().abs_diff(new.at_origin.as_millis());
        let agrees = Duration::from_millis(apart) <= self.error + new.error;
        let is_fresh = new.taken.saturating_duration_since(self.taken) < FRESH_FOR;
        (agrees && is_fresh && self.error < new.error).then_some(Self {
            generation: new.generation,
            heard: new.heard,
            ..self
        })
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
        let now_said = at_origin.after(instant.saturating_duration_since(self.origin));
        // Before a step the broker said another time: what it was is as true as what it would be now.
        let stepped = self.stepped_since(instant);
        let half = Duration::from_millis(stepped.unsigned_abs() / 2);
        let between = if stepped > 0 { now_said.before(half) } else { now_said.after(half) };
        (between, error + half)
    }

    /// By how much the broker's clock has stepped since an instant, in milliseconds.
    fn stepped_since(&self, instant: Instant) -> i64 {
        locked(&self.steps).iter().filter(|step| instant < step.found).map(|step| step.millis).sum()
    }

    fn note_step(&self, before: Reading, after: Reading) {
        let millis = after.at_origin.as_millis().saturating_sub(before.at_origin.as_millis());
        if Duration::from_millis(millis.unsigned_abs()) <= before.error + after.error + DRIFT {
            return;
        }
        tracing::warn!(milliseconds = millis, "the broker's clock has stepped by {millis} ms");
        let mut steps = locked(&self.steps);
        steps.push_back(Step { found: Instant::now(), millis });
        if steps.len() > MAX_STEPS {
            steps.pop_front();
        }
    }

    /// Takes over what the broker said between two instants. Gives back by how many milliseconds this machine's clock is
    /// ahead of the broker's.
    pub(super) fn learn(&self, generation: u64, sent: Instant, received: Instant, said: Timestamp) -> i64 {
        let half = received.saturating_duration_since(sent) / 2;
        let at_origin = said.before((sent + half).saturating_duration_since(self.origin));
        let new = Reading { generation, at_origin, error: half + RESOLUTION, taken: received, heard: received };
        let reading = self.reading.borrow().and_then(|before| before.kept_beside(new)).unwrap_or(new);
        if let Some(before) = self.reading.send_replace(Some(reading)) {
            self.note_step(before, reading);
        }
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
        if timeout(MEASURE_TIMEOUT, reading.changed()).await.is_err() {
            tracing::debug!("the broker's time cannot be measured now, going on by the last measurement");
        }
    }

    /// Waits, though not for long, until the broker's time was measured a moment ago.
    pub(super) async fn measured_just_now(&self) {
        let is_recent = self.reading.borrow().is_some_and(|reading| reading.heard.elapsed() <= MAX_AGE);
        if !is_recent {
            self.measure_again().await;
        }
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

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_came_late_does_not_replace_a_better_measurement() {
        let clock = BrokerClock::default();
        let first = Instant::now();
        clock.learn(1, first, first, Timestamp::from_millis(1_000_000));
        tokio::time::advance(Duration::from_secs(1)).await;
        let sent = Instant::now();
        tokio::time::advance(Duration::from_millis(900)).await;
        clock.learn(2, sent, Instant::now(), Timestamp::from_millis(1_001_890));
        assert_eq!(clock.at(first), (Timestamp::from_millis(1_000_000), RESOLUTION));
    }

    #[tokio::test(start_paused = true)]
    async fn an_arrival_before_a_step_lies_between_what_was_said_then_and_what_would_be_said_now() {
        let clock = BrokerClock::default();
        let arrived = Instant::now();
        clock.learn(1, arrived, arrived, Timestamp::from_millis(1_000_000));
        tokio::time::advance(Duration::from_secs(10)).await;
        let later = Instant::now();
        clock.learn(1, later, later, Timestamp::from_millis(1_005_000));
        let (at, error) = clock.at(arrived);
        assert_eq!((at, error), (Timestamp::from_millis(997_500), Duration::from_millis(2_501)), "995 s or 1,000 s");
        assert_eq!(clock.at(later), (Timestamp::from_millis(1_005_000), RESOLUTION));
    }
}
