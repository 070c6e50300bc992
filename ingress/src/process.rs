//! This process, as operators and their tools see it: its state, its status, its probes, its metrics.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use protocol::message::lane::Lane;
use protocol::message::status::{IngressLane, IngressStatus, ProcessState, RoleStatus, Status};
use runtime::clock;
use runtime::connection::Connection;
use runtime::log_status::LogWatch;
use runtime::operations::Operations;
use runtime::status::{PATIENCE, ProcessIdentity};

use crate::metrics::{Found, METRICS, page};
use crate::state::AppState;

/// How long a page of metrics may wait for the broker.
const PAGE_PATIENCE: Duration = Duration::from_secs(2);

/// This ingress.
pub(crate) struct Process {
    pub(crate) identity: ProcessIdentity,
    pub(crate) connection: Connection,
    pub(crate) log: LogWatch,
    pub(crate) state: AppState,
}

impl Process {
    /// What it says when it is asked.
    pub(crate) async fn status(self: Arc<Self>) -> Status {
        let log = self.log.look(PATIENCE).await;
        let lanes = self.waiting().map(|(lane, waiting)| IngressLane { lane, waiting }).to_vec();
        let role = RoleStatus::Ingress(IngressStatus {
            in_flight: METRICS.in_flight.get_count(),
            lanes,
            credentials: self.state.credentials.count(),
            credentials_watched: self.state.health.credentials_watched.load(Ordering::Relaxed),
            clock_ahead_ms: METRICS.clock_ahead.get(),
        });
        self.identity.status(self.process_state(), role, log)
    }

    fn process_state(&self) -> ProcessState {
        if self.state.health.draining.load(Ordering::Relaxed) {
            ProcessState::Draining
        } else if self.state.health.not_ready().is_none() {
            ProcessState::Ready
        } else {
            ProcessState::Starting
        }
    }

    /// Commands that wait to be let into the log.
    fn waiting(&self) -> [(Lane, u64); 3] {
        Lane::ALL.map(|lane| (lane, self.state.gate.waiting(lane)))
    }
}

impl Operations for Process {
    fn not_alive(&self) -> Option<&'static str> {
        None
    }

    fn not_ready(&self) -> Option<&'static str> {
        self.state.health.not_ready()
    }

    fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async move {
            let heard_at = Some(METRICS.credentials_heard_at.get()).filter(|at| *at > 0);
            let age = heard_at.map(|at| u64::try_from(clock::now().as_millis() - at).unwrap_or(0));
            page(&Found {
                identity: &self.identity,
                connection: &self.connection,
                log: self.log.look(PAGE_PATIENCE).await,
                waiting: self.waiting(),
                credentials: self.state.credentials.count(),
                credentials_age: age.map(|age| Duration::from_millis(age).as_secs_f64()),
            })
        })
    }

    fn version(&self) -> &'static str {
        self.identity.version
    }

    fn schema(&self) -> Option<String> {
        None
    }
}
