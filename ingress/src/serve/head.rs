//! How long a connection may be silent: long between two requests, briefly within the head of one.
//!
//! Load balancers keep connections for the next request, and lose that one if this side closes first.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// How long a request's head may take from its first byte; on a new connection, from the beginning: who connects has
/// something to say.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether bytes have come since the connection began to wait for a request. The stream notes it, the timer reads it.
#[derive(Debug, Clone, Default)]
pub(super) struct Bytes(Arc<AtomicBool>);

impl Bytes {
    /// Some came.
    pub(super) fn came(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn have_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn wait_anew(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The timer of one connection. Hyper sets it when it begins to wait for a request, and drops what it gave when the head
/// is complete; when that ends the wait is decided here.
#[derive(Debug)]
pub(super) struct HeadTimer {
    bytes: Bytes,
    idle_timeout: Duration,
    head_timeout: Duration,
    has_served: AtomicBool,
}

impl HeadTimer {
    pub(super) fn new(bytes: Bytes, idle_timeout: Duration) -> Self {
        Self { bytes, idle_timeout, head_timeout: HEAD_TIMEOUT, has_served: AtomicBool::new(false) }
    }

    fn wait(&self) -> HeadSleep {
        let is_first = !self.has_served.swap(true, Ordering::Relaxed);
        self.bytes.wait_anew();
        let silence = if is_first { self.head_timeout } else { self.idle_timeout };
        let sleep = Box::pin(tokio::time::sleep(silence));
        HeadSleep { sleep, bytes: self.bytes.clone(), head_timeout: self.head_timeout, head_has_begun: is_first }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }

    fn sleep_until(&self, _: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(self.wait())
    }
}

/// One wait for a request.
#[derive(Debug)]
struct HeadSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    bytes: Bytes,
    head_timeout: Duration,
    head_has_begun: bool,
}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if !this.head_has_begun && this.bytes.have_come() {
            this.head_has_begun = true;
            this.sleep.as_mut().reset(tokio::time::Instant::now() + this.head_timeout);
        }
        this.sleep.as_mut().poll(context)
    }
}

impl Sleep for HeadSleep {}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer() -> (HeadTimer, Bytes) {
        let (bytes, idle_timeout, head_timeout) =
            (Bytes::default(), Duration::from_secs(10), Duration::from_millis(100));
        let timer = HeadTimer { bytes: bytes.clone(), idle_timeout, head_timeout, has_served: AtomicBool::new(false) };
        (timer, bytes)
    }

    async fn ends(sleep: &mut HeadSleep) -> bool {
        tokio::time::timeout(Duration::from_millis(400), sleep).await.is_ok()
    }

    #[tokio::test]
    async fn a_new_connection_has_the_time_of_a_head() {
        let (timer, _) = timer();
        assert!(ends(&mut timer.wait()).await);
    }

    #[tokio::test]
    async fn between_two_requests_a_connection_may_be_idle_until_a_head_begins() {
        let (timer, bytes) = timer();
        bytes.came();
        drop(timer.wait());
        let mut second = timer.wait();
        assert!(!ends(&mut second).await, "the first request's bytes do not count");
        bytes.came();
        assert!(ends(&mut second).await);
    }
}
