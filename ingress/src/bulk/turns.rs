//! Whose bulk request is served next: of one workspace few at a time, of all as many as fit into memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::id::WorkspaceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::gateway::GatewayError;

/// Bulk requests at a time, of one workspace and of all.
const OF_ONE: usize = 2;
const OF_ALL: usize = 12;
/// Bulk requests of one workspace that wait, and those that are served.
const WAITING: usize = 64;

/// The turns of all workspaces. Only a valid token gets here, so there are no more of them than workspaces.
#[derive(Debug)]
pub struct Turns {
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
pub(crate) struct Turn {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(OF_ALL)), by_workspace: Mutex::default() }
    }
}

impl Turns {
    /// Waits for the workspace's turn, then for a place.
    pub(crate) async fn take(&self, workspace: &WorkspaceId) -> Result<Turn, GatewayError> {
        let queue = self.queue(workspace);
        let _waiting = queue.waiting.try_acquire().map_err(|_| GatewayError::Crowded)?;
        let of_one = Arc::clone(&queue.served).acquire_owned().await.map_err(|_| GatewayError::Crowded)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| GatewayError::Crowded)?;
        Ok(Turn { _of_all: of_all, _of_one: of_one })
    }

    fn queue(&self, workspace: &WorkspaceId) -> Queue {
        let mut queues = self.by_workspace.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Queue { served: Arc::new(Semaphore::new(OF_ONE)), waiting: Arc::new(Semaphore::new(WAITING)) };
        queues.entry(workspace.clone()).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn one_workspace_waits_for_itself_and_not_for_others() {
        let turns = Turns::default();
        let (acme, globex): (WorkspaceId, WorkspaceId) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let take = |workspace| turns.take(workspace).now_or_never();
        let held: Vec<_> = (0..OF_ONE).map(|_| take(&acme).unwrap().unwrap()).collect();
        assert!(take(&acme).is_none());
        assert!(take(&globex).is_some());
        drop(held);
        assert!(take(&acme).is_some());
    }

    #[test]
    fn more_than_may_wait_are_told_so() {
        let turns = Turns::default();
        let acme: WorkspaceId = "acme".parse().unwrap();
        let held: Vec<_> = (0..OF_ONE).map(|_| turns.take(&acme).now_or_never()).collect();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(turns.take(&acme))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        assert!(matches!(turns.take(&acme).now_or_never(), Some(Err(GatewayError::Crowded))));
        drop(held);
    }
}
