//! How many publishes may be on their way at a time: what the broker acknowledges in about a second, so that none waits in
//! the pipe until its attempt has ended.

use std::sync::Mutex;
use std::time::Duration;

use runtime::lock::locked;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::gate::MAX_TOGETHER;

/// An acknowledgement that takes longer says that too many are on their way.
const LATENCY_LIMIT: Duration = Duration::from_secs(1);
/// The bounds of the window, and where it begins. Commands that are stored together always fit.
const LIMITS: (usize, usize) = (MAX_TOGETHER, 4096);
const FIRST_LIMIT: usize = 256;
/// What is urgent may exceed the window by so many.
const RESERVED: usize = 64;

/// The publishes on their way. Places are given in turn.
#[derive(Debug)]
pub(super) struct Window {
    places: Semaphore,
    reserved: Semaphore,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// Places that are to go as soon as they become free.
    surplus: usize,
    shrunk: Instant,
}

/// The right to have publishes on their way.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    window: &'a Window,
    permit: Option<SemaphorePermit<'a>>,
    is_reserved: bool,
    count: usize,
    began: Instant,
}

impl Default for Window {
    fn default() -> Self {
        let size = Size { limit: FIRST_LIMIT, surplus: 0, shrunk: Instant::now() };
        let (places, reserved) = (Semaphore::new(FIRST_LIMIT), Semaphore::new(RESERVED));
        Self { places, reserved, size: Mutex::new(size) }
    }
}

impl Window {
    /// Waits until `count` publishes more, at most [`MAX_TOGETHER`], may be on their way.
    pub(super) async fn enter(&self, count: usize, urgent: bool) -> Slot<'_> {
        let count = count.min(MAX_TOGETHER);
        let places = u32::try_from(count).unwrap_or(1);
        let (permit, is_reserved) = tokio::select! {
            biased;
            permit = self.places.acquire_many(places) => (permit, false),
            permit = self.reserved.acquire_many(places), if urgent => (permit, true),
        };
        Slot { window: self, permit: permit.ok(), is_reserved, count, began: Instant::now() }
    }
}

impl Slot<'_> {
    /// The broker acknowledged: the window becomes wider while it is quick and full, and narrower when it is not quick.
    pub(super) fn acknowledged(self) {
        let took = self.began.elapsed();
        let is_full = self.window.places.available_permits() == 0;
        let mut size = locked(&self.window.size);
        if took > LATENCY_LIMIT && size.shrunk <= self.began {
            let limit = (size.limit - size.limit / 4).max(LIMITS.0);
            size.surplus += size.limit - limit;
            size.limit = limit;
            size.shrunk = Instant::now();
        } else if took < LATENCY_LIMIT / 2 && is_full {
            let wider = (size.limit + self.count).min(LIMITS.1) - size.limit;
            size.limit += wider;
            let kept = wider.min(size.surplus);
            size.surplus -= kept;
            self.window.places.add_permits(wider - kept);
        }
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let Some(mut permit) = self.permit.take() else { return };
        if self.is_reserved {
            return;
        }
        let mut size = locked(&self.window.size);
        let gone = size.surplus.min(self.count);
        if let Some(gone) = permit.split(gone) {
            gone.forget();
        }
        size.surplus -= gone;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_broker_narrows_the_window_and_a_quick_one_widens_it() {
        let window = Window::default();
        let slots: Vec<_> = (0..4).map(|_| window.enter(MAX_TOGETHER, false).now_or_never().expect("room")).collect();
        assert!(window.enter(1, false).now_or_never().is_none());
        assert!(window.enter(1, true).now_or_never().is_some(), "what is urgent finds room");
        tokio::time::advance(Duration::from_secs(2)).await;
        slots.into_iter().for_each(Slot::acknowledged);
        assert_eq!(locked(&window.size).limit, 192, "once for all that were on their way together");
        assert_eq!(window.places.available_permits(), 192);
        let slots: Vec<_> = (0..3).map(|_| window.enter(MAX_TOGETHER, false).now_or_never().expect("room")).collect();
        slots.into_iter().for_each(Slot::acknowledged);
        assert_eq!(locked(&window.size).limit, 256, "full when the first was acknowledged");
        assert_eq!(window.places.available_permits(), 256);
    }

    #[test]
    fn many_that_are_stored_together_wait_in_turn_and_are_not_overtaken() {
        let window = Window::default();
        let held: Vec<_> = (0..FIRST_LIMIT).map(|_| window.enter(1, false).now_or_never().expect("room")).collect();
        let mut together = Box::pin(window.enter(MAX_TOGETHER, false));
        assert!(together.as_mut().now_or_never().is_none());
        let mut one = Box::pin(window.enter(1, false));
        assert!(one.as_mut().now_or_never().is_none());
        let mut held = held;
        held.truncate(FIRST_LIMIT - 1);
        assert!(one.as_mut().now_or_never().is_none(), "the free place is kept for who came first");
        held.truncate(FIRST_LIMIT - MAX_TOGETHER);
        assert!(together.now_or_never().is_some());
    }
}
