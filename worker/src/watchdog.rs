//! Ends a process that hangs: its connection would look alive to the broker for minutes, and it would keep being chosen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing::error;

/// How often the runtime shows that it makes progress.
const BEAT: Duration = Duration::from_millis(250);
/// How often that is looked at, by a thread of its own.
const TICK: Duration = Duration::from_secs(1);
/// How long the last line of the log may take: what hangs may be the log.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Watches the runtime from now on, unless `limit` is zero.
pub(crate) fn start(limit: Duration) -> std::io::Result<()> {
    if limit.is_zero() {
        return Ok(());
    }
    let beats = Arc::new(AtomicU64::new(0));
    let pulse = Pulse::new(limit);
    let seen = Arc::clone(&beats);
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch(&seen, pulse))?;
    tokio::spawn(async move {
        let mut beat = tokio::time::interval(BEAT);
        loop {
            beat.tick().await;
            beats.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

fn watch(beats: &AtomicU64, mut pulse: Pulse) {
    while pulse.beats(beats.load(Ordering::Relaxed)) {
        std::thread::sleep(TICK);
    }
    std::thread::spawn(|| error!("this worker hangs: no task has made progress for long, ending the process"));
    std::thread::sleep(LAST_LINE);
    std::process::abort();
}

/// Whether there was progress lately. Counted in ticks of the watching thread, not in time: a process that was stopped
/// and continued has had no ticks meanwhile, and its runtime gets as many as ever to show progress.
#[derive(Debug)]
struct Pulse {
    last: u64,
    ticks_without: u64,
    limit: u64,
}

impl Pulse {
    fn new(limit: Duration) -> Self {
        Self { last: 0, ticks_without: 0, limit: limit.as_secs() / TICK.as_secs() }
    }

    /// At each tick: false once there was no progress for too many of them.
    fn beats(&mut self, beats: u64) -> bool {
        self.ticks_without = if beats == self.last { self.ticks_without + 1 } else { 0 };
        self.last = beats;
        self.ticks_without <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_makes_no_progress_is_given_up_after_the_limit() {
        let mut pulse = Pulse::new(Duration::from_secs(3));
        assert!(pulse.beats(1));
        assert_eq!((0..4).map(|_| pulse.beats(1)).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn progress_between_two_ticks_starts_the_count_again() {
        let mut pulse = Pulse::new(Duration::from_secs(1));
        assert!((1..100).all(|tick| pulse.beats(tick / 2)));
    }
}
