//! How long to wait between attempts. Part of each delay is chance, so that processes do not come back in step.

use std::time::Duration;

use backoff::{BackoffBuilder, ExponentialBuilder};

/// Delays that double from `first` up to `longest`, for ever; chance makes each up to twice as long.
pub fn delays(first: Duration, longest: Duration) -> impl Iterator<Item = Duration> + Send + use<> {
    let delays = ExponentialBuilder::default().with_min_delay(first).with_max_delay(longest);
    delays.without_max_times().with_jitter().build()
}

/// `first` doubled so many times, at most `longest`; chance takes up to half of it off.
pub fn doubled(first: Duration, longest: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest).mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_doubles_up_to_the_longest_and_chance_takes_up_to_half_of_it() {
        let (first, longest) = (Duration::from_millis(20), Duration::from_secs(1));
        for (times, whole) in [(0, 20), (1, 40), (5, 640), (6, 1000), (u32::MAX, 1000)] {
            let whole = Duration::from_millis(whole);
            let delay = doubled(first, longest, times);
            assert!(whole / 2 <= delay && delay < whole, "{times}: {delay:?}");
        }
    }
}
