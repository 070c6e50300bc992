//! `/healthz`: how everything is that requests need. For people and for monitoring, not for load balancers.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A report is told again for so long: frequent requests make no more work for workers than this.
const FRESH: Duration = Duration::from_secs(1);

/// The last report, and when it was made. Who asks meanwhile waits for the one that is being made.
#[derive(Debug, Default)]
pub(crate) struct LastReport(Mutex<Option<(Instant, Report)>>);

impl LastReport {
    /// The last one if it is fresh, else the new one.
    pub(crate) async fn or(&self, new: impl Future<Output = Report>) -> Report {
        let mut last = self.0.lock().await;
        if let Some((made, report)) = *last
            && made.elapsed() < FRESH
        {
            return report;
        }
        let report = new.await;
        *last = Some((Instant::now(), report));
        report
    }
}

/// How everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) healthy: bool,
    pub(crate) broker: Part,
    pub(crate) credentials: Part,
    pub(crate) clock: Part,
    pub(crate) workers: Part,
    pub(crate) database: Part,
}

/// How one part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) healthy: bool,
    state: &'static str,
}

impl Part {
    pub(crate) const UNKNOWN: Self = Self::ill("unknown");

    pub(crate) const fn well(state: &'static str) -> Self {
        Self { healthy: true, state }
    }

    pub(crate) const fn ill(state: &'static str) -> Self {
        Self { healthy: false, state }
    }
}
