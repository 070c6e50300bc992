//! One publish per resource at a time in this process, so that a hot group does not spin on conflicts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

type Locks = HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>;

/// Locks by name. A name is kept only while somebody holds or awaits its lock, so there are never more than requests.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyedLocks {
    locks: Arc<Mutex<Locks>>,
}

/// Holds one lock, or waits for it.
pub(super) struct KeyedGuard {
    locks: KeyedLocks,
    key: Arc<str>,
    guard: Option<OwnedMutexGuard<()>>,
}

impl KeyedLocks {
    /// Waits for the lock of `key`, in turn.
    pub(super) async fn lock(&self, key: &str) -> KeyedGuard {
        let key: Arc<str> = key.into();
        let lock = Arc::clone(self.map().entry(Arc::clone(&key)).or_default());
        // Made before the wait: a request that is given up while it waits must also tidy up.
        let mut held = KeyedGuard { locks: self.clone(), key, guard: None };
        held.guard = Some(lock.lock_owned().await);
        held
    }

    fn map(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyedGuard {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut map = self.locks.map();
        if map.get(&self.key).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            map.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_forgotten_when_nobody_needs_it() {
        let locks = KeyedLocks::default();
        let first = locks.lock("a").await;
        let second = tokio::spawn({
            let locks = locks.clone();
            async move { drop(locks.lock("a").await) }
        });
        let other = locks.lock("b").await;
        tokio::task::yield_now().await;
        assert_eq!(locks.map().len(), 2);
        drop((first, other));
        second.await.unwrap();
        assert!(locks.map().is_empty());
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let locks = KeyedLocks::default();
        let held = locks.lock("a").await;
        let wait = locks.lock("a");
        assert!(futures::FutureExt::now_or_never(wait).is_none());
        drop(held);
        assert!(locks.map().is_empty());
    }
}
