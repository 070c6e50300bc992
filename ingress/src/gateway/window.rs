//! How many publishes may be on their way at a time: what the broker acknowledges in about a second, so that none waits in
//! the pipe until its attempt has ended.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// An acknowledgement that takes longer says that too many are on their way.
const LONGEST: Duration = Duration::from_secs(1);
/// The bounds of the window, and where it begins.
const LIMITS: (usize, usize) = (16, 4096);
const FIRST_LIMIT: usize = 256;
/// What is urgent may exceed the window by so many.
const RESERVED: usize = 64;

/// The publishes on their way.
#[derive(Debug)]
pub(super) struct Window {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: usize,
    under_way: usize,
    shrunk: Instant,
}

/// The right to have publishes on their way.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    window: &'a Window,
    count: usize,
    began: Instant,
}

impl Default for Window {
    fn default() -> Self {
        let state = State { limit: FIRST_LIMIT, under_way: 0, shrunk: Instant::now() };
        Self { state: Mutex::new(state), freed: Notify::new() }
    }
}

impl Window {
    /// Waits until `count` publishes more may be on their way.
    pub(super) async fn enter(&self, count: usize, urgent: bool) -> Slot<'_> {
        loop {
            let freed = self.freed.notified();
            if self.take(count, urgent) {
                return Slot { window: self, count, began: Instant::now() };
            }
            freed.await;
        }
    }

    fn take(&self, count: usize, urgent: bool) -> bool {
        let mut state = self.state();
        let limit = state.limit + if urgent { RESERVED } else { 0 };
        let fits = state.under_way == 0 || state.under_way + count <= limit;
        if fits {
            state.under_way += count;
        }
        fits
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// The broker acknowledged: the window becomes wider while it is quick, and narrower when it is not.
    pub(super) fn acknowledged(self) {
        let took = self.began.elapsed();
        let mut state = self.window.state();
        if took > LONGEST && state.shrunk <= self.began {
            state.limit = (state.limit - state.limit / 4).max(LIMITS.0);
            state.shrunk = Instant::now();
        } else if took < LONGEST / 2 && state.under_way * 2 > state.limit {
            state.limit = (state.limit + self.count).min(LIMITS.1);
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.window.state().under_way -= self.count;
        // Each that waits looks for itself: they need different numbers of places.
        self.window.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_broker_narrows_the_window_and_a_quick_one_widens_it() {
        let window = Window::default();
        let slot = window.enter(1, false).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        slot.acknowledged();
        assert_eq!(window.state().limit, 192);
        let full = window.enter(192, false).await;
        assert!(window.enter(1, false).now_or_never().is_none());
        assert!(window.enter(1, true).now_or_never().is_some(), "what is urgent finds room");
        full.acknowledged();
        assert_eq!(window.state().limit, 384);
        assert_eq!(window.state().under_way, 0);
    }
}
