//! How many bulk requests are served at a time: few of one workspace, of all as many as fit into memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::WorkspaceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gateway::GatewayError;

/// Bulk requests at a time, of one workspace and of all.
const MAX_PER_WORKSPACE: usize = 2;
const MAX_IN_ALL: usize = 12;
/// Bulk requests of one workspace that wait, and those that are served.
const MAX_WAITING: usize = 64;

/// Bulk requests of all workspaces. Only a valid token gets here, so there are no more queues than workspaces.
#[derive(Debug)]
pub struct BulkGate {
    all: Arc<Semaphore>,
    by_workspace: Mutex<HashMap<WorkspaceId, Queue>>,
}

#[derive(Debug, Clone)]
struct Queue {
    served: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The right to be served, until it is dropped.
#[derive(Debug)]
pub(crate) struct BulkPermit {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Default for BulkGate {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MAX_IN_ALL)), by_workspace: Mutex::default() }
    }
}

impl BulkGate {
    /// Waits until the workspace may have one more, then until all together may.
    pub(crate) async fn enter(&self, workspace: &WorkspaceId) -> Result<BulkPermit, GatewayError> {
        let queue = self.queue(workspace);
        let _waiting = queue.waiting.try_acquire().map_err(|_| GatewayError::TooManyRequests)?;
        let of_one = Arc::clone(&queue.served).acquire_owned().await.map_err(|_| GatewayError::TooManyRequests)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| GatewayError::TooManyRequests)?;
        Ok(BulkPermit { _of_all: of_all, _of_one: of_one })
    }

    fn queue(&self, workspace: &WorkspaceId) -> Queue {
        let mut queues = self.by_workspace.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Queue {
            served: Arc::new(Semaphore::new(MAX_PER_WORKSPACE)),
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
        };
        queues.entry(workspace.clone()).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_workspace_waits_for_itself_and_not_for_others() {
        let gate = BulkGate::default();
        let (acme, globex): (WorkspaceId, WorkspaceId) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let take = |workspace| gate.enter(workspace).now_or_never();
        let held: Vec<_> = (0..MAX_PER_WORKSPACE).map(|_| take(&acme).unwrap().unwrap()).collect();
        assert!(take(&acme).is_none());
        assert!(take(&globex).is_some());
        drop(held);
        assert!(take(&acme).is_some());
    }

    #[test]
    fn more_than_may_wait_are_told_so() {
        let gate = BulkGate::default();
        let acme: WorkspaceId = "acme".parse().unwrap();
        let held: Vec<_> = (0..MAX_PER_WORKSPACE).map(|_| gate.enter(&acme).now_or_never()).collect();
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(gate.enter(&acme))).collect();
        assert!(waiting.iter_mut().all(|permit| permit.now_or_never().is_none()));
        assert!(matches!(gate.enter(&acme).now_or_never(), Some(Err(GatewayError::TooManyRequests))));
        drop(held);
    }
}
