//! How much is worked on at a time: of one workspace, so that it does not crowd out others, and of all, so that it fits
//! into memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use protocol::id::WorkspaceId;
use protocol::message::lane::Lane;
use runtime::lock::locked;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics::METRICS;

/// Unsettled commands in the log, per workspace, lane and ingress.
const MAX_IN_LOG: usize = 128;
/// The most commands that enter at once: half of the places, so that the next are stored while these are applied.
pub const MAX_TOGETHER: usize = MAX_IN_LOG / 2;

/// What is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Work {
    /// A command in the log, until it is settled. Each lane has its own places, so what takes access away never waits for
    /// other work.
    Command(Lane),
    /// A bulk request, from before its body is read.
    Bulk,
    /// A page of a large group's members, until it is there: workers have time for others.
    MemberPage,
}

/// How many of one workspace and of all are worked on, and how many of one workspace wait for that.
struct Limits {
    of_one: usize,
    of_all: usize,
    waiting: usize,
}

impl Work {
    const fn limits(self) -> Limits {
        const NONE: usize = Semaphore::MAX_PERMITS;
        match self {
            Self::Command(_) => Limits { of_one: MAX_IN_LOG, of_all: NONE, waiting: 1024 },
            Self::Bulk => Limits { of_one: 2, of_all: 12, waiting: 64 },
            Self::MemberPage => Limits { of_one: 4, of_all: 4, waiting: NONE },
        }
    }
}

/// The gate of one process. Only a valid token gets here, so there are no more queues than workspaces.
#[derive(Debug, Default)]
pub struct Gate {
    of_one: Mutex<HashMap<(WorkspaceId, Work), Queue>>,
    of_all: Mutex<HashMap<Work, Arc<Semaphore>>>,
}

#[derive(Debug, Clone)]
struct Queue {
    waiting: Arc<Semaphore>,
    of_one: Arc<Semaphore>,
    of_all: Arc<Semaphore>,
}

/// A place among those that wait, until the last copy of it is dropped.
#[derive(Debug, Clone)]
pub struct Waiting {
    queue: Queue,
    _place: Arc<OwnedSemaphorePermit>,
}

/// The right to be worked on, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    _places: [Option<OwnedSemaphorePermit>; 2],
}

impl Gate {
    /// Joins those of a workspace that wait; none if too many do.
    pub fn queue(&self, work: Work, workspace: &WorkspaceId) -> Option<Waiting> {
        let queue = self.queue_of(work, workspace);
        let Ok(place) = Arc::clone(&queue.waiting).try_acquire_owned() else {
            METRICS.overloaded.add_one();
            return None;
        };
        Some(Waiting { queue, _place: Arc::new(place) })
    }

    /// How many commands of a lane wait, of all workspaces.
    pub(crate) fn waiting(&self, lane: Lane) -> u64 {
        let work = Work::Command(lane);
        let free = |queue: &Queue| queue.waiting.available_permits();
        let queues = locked(&self.of_one);
        let waiting = queues.iter().filter(|((_, of), _)| *of == work);
        let waiting = waiting.map(|(_, queue)| work.limits().waiting.saturating_sub(free(queue)));
        u64::try_from(waiting.sum::<usize>()).unwrap_or(u64::MAX)
    }

    fn queue_of(&self, work: Work, workspace: &WorkspaceId) -> Queue {
        let Limits { of_one, of_all, waiting } = work.limits();
        let semaphore = |places| Arc::new(Semaphore::new(places));
        let mut queues = locked(&self.of_one);
        let queue = queues.entry((workspace.clone(), work)).or_insert_with(|| {
            let mut all = locked(&self.of_all);
            let of_all = Arc::clone(all.entry(work).or_insert_with(|| semaphore(of_all)));
            Queue { waiting: semaphore(waiting), of_one: semaphore(of_one), of_all }
        });
        queue.clone()
    }
}

impl Waiting {
    /// Waits until the workspace may have one more, then until all together may.
    pub async fn enter(&self) -> Permit {
        Permit { _places: self.places(1).await }
    }

    /// The same for several at once, at most [`MAX_TOGETHER`]: a permit for each.
    pub async fn enter_together(&self, count: usize) -> Vec<Permit> {
        let count = count.min(MAX_TOGETHER);
        let mut places = self.places(u32::try_from(count).unwrap_or(u32::MAX)).await;
        let mut one = || places.each_mut().map(|places| places.as_mut().and_then(|places| places.split(1)));
        std::iter::repeat_with(|| Permit { _places: one() }).take(count).collect()
    }

    /// The semaphores are never closed, so that there is a permit of each.
    async fn places(&self, count: u32) -> [Option<OwnedSemaphorePermit>; 2] {
        let of_one = Arc::clone(&self.queue.of_one).acquire_many_owned(count).await.ok();
        [of_one, Arc::clone(&self.queue.of_all).acquire_many_owned(count).await.ok()]
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn workspaces() -> (WorkspaceId, WorkspaceId) {
        ("acme".parse().unwrap(), "globex".parse().unwrap())
    }

    #[test]
    fn a_crowded_workspace_waits_alone_and_never_holds_up_a_deactivation() {
        let gate = Gate::default();
        let (acme, globex) = workspaces();
        let enter = |workspace, lane| gate.queue(Work::Command(lane), workspace).unwrap().enter().now_or_never();
        let held: Vec<_> = (0..MAX_IN_LOG).map(|_| enter(&acme, Lane::Interactive).unwrap()).collect();
        assert!(enter(&acme, Lane::Interactive).is_none());
        assert!(enter(&acme, Lane::Urgent).is_some());
        assert!(enter(&globex, Lane::Interactive).is_some());
        drop(held);
        assert!(enter(&acme, Lane::Interactive).is_some());
    }

    #[test]
    fn those_that_enter_together_leave_one_by_one() {
        let gate = Gate::default();
        let waiting = gate.queue(Work::Command(Lane::Bulk), &workspaces().0).unwrap();
        let mut held = waiting.enter_together(MAX_TOGETHER).now_or_never().unwrap();
        held.extend(waiting.enter_together(MAX_TOGETHER).now_or_never().unwrap());
        assert_eq!(held.len(), MAX_IN_LOG);
        assert!(waiting.enter().now_or_never().is_none());
        held.truncate(MAX_IN_LOG - 1);
        assert!(waiting.enter().now_or_never().is_some());
    }

    #[test]
    fn one_workspace_waits_for_itself_and_all_for_memory() {
        let gate = Gate::default();
        let (acme, globex) = workspaces();
        let take = |workspace: &WorkspaceId| gate.queue(Work::Bulk, workspace).unwrap().enter().now_or_never();
        let held = [take(&acme).unwrap(), take(&acme).unwrap()];
        assert!(take(&acme).is_none());
        assert!(take(&globex).is_some());
        drop(held);
        let others = (0..6).map(|number| format!("workspace-{number}").parse().unwrap());
        let all: Vec<_> = others.flat_map(|workspace| [take(&workspace), take(&workspace)]).collect();
        assert!(all.iter().all(Option::is_some) && take(&acme).is_none());
        drop(all);
        assert!(take(&acme).is_some());
    }

    #[test]
    fn more_than_may_wait_are_told_so() {
        let gate = Gate::default();
        let (acme, _) = workspaces();
        for work in [Work::Command(Lane::Interactive), Work::Bulk] {
            let waiting: Vec<_> = (0..work.limits().waiting).map(|_| gate.queue(work, &acme).unwrap()).collect();
            assert!(gate.queue(work, &acme).is_none());
            assert!(gate.queue(Work::Command(Lane::Urgent), &acme).is_some());
            let run = waiting[0].clone();
            drop(waiting);
            assert!(gate.queue(work, &acme).is_some(), "{run:?}");
        }
    }
}
