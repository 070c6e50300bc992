//! Fairness before the log: of one workspace, this process has a bounded number of unsettled operations in it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::WorkspaceId;
use protocol::message::lane::Lane;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::GatewayError;

/// Unsettled operations in the log, per workspace, lane and ingress.
const IN_LOG: usize = 128;
/// Requests that wait for that, per workspace, lane and ingress.
const WAITING: usize = 1024;

/// The most operations that enter at once: half of the places, so that the next are stored while these are applied.
pub const MAX_TOGETHER: usize = IN_LOG / 2;

/// The gates of all workspaces. Only a valid token gets here, so there are no more of them than workspaces.
#[derive(Debug, Default)]
pub(super) struct Admission {
    gates: Mutex<HashMap<(WorkspaceId, Lane), Gate>>,
}

#[derive(Debug, Clone)]
struct Gate {
    queued: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { queued: Arc::new(Semaphore::new(IN_LOG)), waiting: Arc::new(Semaphore::new(WAITING)) }
    }
}

/// A place among those that wait, until it is dropped.
#[derive(Debug)]
pub(super) struct Queued {
    _waiting: OwnedSemaphorePermit,
}

/// The right to have one operation in the log, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _in_log: OwnedSemaphorePermit,
}

impl Admission {
    /// Joins those that wait. The only refusal is `TooManyRequests`.
    pub(super) fn queue(&self, workspace: &WorkspaceId, lane: Lane) -> Result<Queued, GatewayError> {
        let waiting = self.gate(workspace, lane).waiting.try_acquire_owned();
        waiting.map(|waiting| Queued { _waiting: waiting }).map_err(|_| GatewayError::TooManyRequests)
    }

    /// Waits for a place in the log. Each lane has its own, so what takes access away never waits for other work.
    pub(super) async fn enter(&self, workspace: &WorkspaceId, lane: Lane) -> Result<Permit, GatewayError> {
        let permit = self.gate(workspace, lane).queued.acquire_owned().await;
        permit.map(|permit| Permit { _in_log: permit }).map_err(|_| GatewayError::TooManyRequests)
    }

    /// Waits for a place for each of several operations, at most [`MAX_TOGETHER`]. The only refusal is `TooManyRequests`.
    pub(super) async fn enter_together(
        &self,
        workspace: &WorkspaceId,
        lane: Lane,
        count: usize,
    ) -> Result<Vec<Permit>, GatewayError> {
        let gate = self.gate(workspace, lane);
        let _waiting = gate.waiting.try_acquire().map_err(|_| GatewayError::TooManyRequests)?;
        let places = u32::try_from(count.min(MAX_TOGETHER)).unwrap_or(u32::MAX);
        let mut permits =
            Arc::clone(&gate.queued).acquire_many_owned(places).await.map_err(|_| GatewayError::TooManyRequests)?;
        Ok(std::iter::from_fn(|| permits.split(1)).map(|permit| Permit { _in_log: permit }).collect())
    }

    fn gate(&self, workspace: &WorkspaceId, lane: Lane) -> Gate {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry((workspace.clone(), lane)).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_crowded_workspace_waits_alone_and_never_holds_up_a_deactivation() {
        let admission = Admission::default();
        let (acme, globex): (WorkspaceId, WorkspaceId) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let enter = |workspace, lane| admission.enter(workspace, lane).now_or_never();
        let held: Vec<_> = (0..IN_LOG).map(|_| enter(&acme, Lane::Interactive)).collect();
        assert!(held.iter().all(|entered| matches!(entered, Some(Ok(_)))));
        assert!(enter(&acme, Lane::Interactive).is_none());
        assert!(matches!(enter(&acme, Lane::Urgent), Some(Ok(_))));
        assert!(matches!(enter(&globex, Lane::Interactive), Some(Ok(_))));
        drop(held);
        assert!(matches!(enter(&acme, Lane::Interactive), Some(Ok(_))));
    }

    #[test]
    fn more_than_may_wait_are_told_so() {
        let admission = Admission::default();
        let acme: WorkspaceId = "acme".parse().unwrap();
        let queued: Vec<_> = (0..WAITING).map(|_| admission.queue(&acme, Lane::Interactive).unwrap()).collect();
        assert!(matches!(admission.queue(&acme, Lane::Interactive), Err(GatewayError::TooManyRequests)));
        assert!(admission.queue(&acme, Lane::Urgent).is_ok());
        drop(queued);
        assert!(admission.queue(&acme, Lane::Interactive).is_ok());
    }
}
