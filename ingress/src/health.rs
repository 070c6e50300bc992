//! What is known of this process, and of everything that requests need.

mod report;

use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use self::report::{LastReport, Part, Report};

/// What is known of this process and of what it needs. Each part is set by the task that sees it.
#[derive(Debug, Default)]
pub struct Health {
    /// The credentials were read once.
    pub credentials_loaded: AtomicBool,
    /// The process was told to stop.
    pub draining: AtomicBool,
    /// The connection to the broker stands.
    pub broker: AtomicBool,
    /// Changes of credentials are followed.
    pub credentials_watched: AtomicBool,
    /// This clock and the broker's differ by more than [`Health::MAX_CLOCK_SKEW_MILLIS`].
    pub clock_skewed: AtomicBool,
    /// How everything was when it was asked last.
    pub(crate) last_report: LastReport,
}

impl Health {
    /// Above this difference it is said that this clock is wrong; the broker's counts all the same.
    pub const MAX_CLOCK_SKEW_MILLIS: u64 = 2_000;

    /// Why this process is not to get requests, in words. Its own state only: what hits all ingresses alike, such as a
    /// broker that is away, would empty a load balancer's pool, and no ingress would hold the requests until it is back.
    pub fn not_ready(&self) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("this process is stopping");
        }
        (!self.credentials_loaded.load(Ordering::Relaxed)).then_some("the credentials are not loaded yet")
    }
}
