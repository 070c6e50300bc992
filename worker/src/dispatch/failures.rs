//! Commands that fail by themselves while others are applied: in time they are dead letters.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::id::OperationId;
use protocol::scim::resource_type::ResourceType;
use tokio::time::Instant;

/// How many failures condemn a command.
const CONDEMNING_FAILURES: u32 = 5;
/// A command that did not fail for so long was settled elsewhere: it is tried far more often.
const FORGET_AFTER: Duration = Duration::from_mins(5);
/// From how many on the memory is searched for those.
const MANY: usize = 1024;

/// The failures of the commands that are parked in this worker.
///
/// They are kept in memory, not in SQL beside the attempts that may crash a worker: a parked command stays with its worker,
/// a database in trouble is asked for nothing more, and no failure can be taken for a crash. What a worker that ends
/// forgets is counted from the beginning by the next one, so the command is condemned later, never too early.
#[derive(Debug)]
pub(crate) struct Failures {
    /// The time between the first failure and the one that condemns.
    over: Duration,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    commits: Commits,
    failing: HashMap<OperationId, Failing>,
}

/// Commands that were applied, by the kind of their resource: only these show that a failing one could have been, too.
#[derive(Debug, Default)]
struct Commits {
    users: u64,
    groups: u64,
}

#[derive(Debug)]
struct Failing {
    first: Instant,
    last: Instant,
    counted: u32,
    /// The commits when it was last counted.
    seen: u64,
}

impl Failures {
    /// None so far; a command is condemned at the earliest this long after its first failure.
    pub(crate) fn over(over: Duration) -> Self {
        Self { over, memory: Mutex::default() }
    }

    /// A command was applied.
    pub(crate) fn applied(&self, operation: OperationId, resource_type: ResourceType) {
        self.with(|memory| {
            memory.failing.remove(&operation);
            *memory.commits.of(resource_type) += 1;
        });
    }

    /// A command ended otherwise.
    pub(crate) fn forget(&self, operation: OperationId) {
        self.with(|memory| memory.failing.remove(&operation));
    }

    /// A command failed by itself. True if that condemns it: it is the fifth time, and before each time since the first
    /// one, another command on a resource of its kind was applied.
    pub(crate) fn failed(&self, operation: OperationId, resource_type: ResourceType, now: Instant) -> bool {
        self.with(|memory| {
            if memory.failing.len() >= MANY {
                memory.failing.retain(|_, failing| now.duration_since(failing.last) < FORGET_AFTER);
            }
            let commits = *memory.commits.of(resource_type);
            let new = Failing { first: now, last: now, counted: 1, seen: commits };
            let failing = memory.failing.entry(operation).or_insert(new);
            failing.last = now;
            if commits > failing.seen {
                failing.counted += 1;
                failing.seen = commits;
            }
            failing.counted >= CONDEMNING_FAILURES && now.duration_since(failing.first) >= self.over
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Commits {
    fn of(&mut self, resource_type: ResourceType) -> &mut u64 {
        match resource_type {
            ResourceType::User => &mut self.users,
            ResourceType::Group => &mut self.groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER: Duration = Duration::from_mins(10);

    fn operation(n: u128) -> OperationId {
        OperationId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn the_fifth_failure_over_ten_minutes_while_others_are_applied_condemns() {
        let (failures, start) = (Failures::over(OVER), Instant::now());
        for n in 0..5 {
            assert!(!failures.failed(operation(1), ResourceType::User, start + n * Duration::from_mins(2)), "{n}");
            failures.applied(operation(2), ResourceType::User);
        }
        assert!(!failures.failed(operation(1), ResourceType::User, start + OVER - Duration::from_secs(1)));
        assert!(failures.failed(operation(1), ResourceType::User, start + OVER));
    }

    #[test]
    fn while_nothing_alike_is_applied_no_failure_counts() {
        let (failures, start) = (Failures::over(OVER), Instant::now());
        for n in 0..100 {
            failures.applied(operation(2), ResourceType::Group);
            assert!(!failures.failed(operation(1), ResourceType::User, start + n * Duration::from_mins(1)), "{n}");
        }
    }

    #[test]
    fn what_is_applied_at_last_has_not_failed() {
        let (failures, start) = (Failures::over(OVER), Instant::now());
        for _ in 0..4 {
            failures.failed(operation(1), ResourceType::User, start);
            failures.applied(operation(2), ResourceType::User);
        }
        failures.applied(operation(1), ResourceType::User);
        failures.applied(operation(2), ResourceType::User);
        assert!(!failures.failed(operation(1), ResourceType::User, start + OVER));
    }
}
