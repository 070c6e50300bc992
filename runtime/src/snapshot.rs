//! What takes time to find out, is asked for often, and may be a second old.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::lock::locked;

/// What was found out is told again for so long.
const FRESH: Duration = Duration::from_secs(1);
/// What was found out so long ago says nothing any more.
const STALE: Duration = Duration::from_secs(3);

/// The last thing that was found out.
#[derive(Debug)]
pub struct Snapshot<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    last: Mutex<Option<(Instant, T)>>,
    /// Held by who finds out.
    turn: tokio::sync::Mutex<()>,
}

impl<T> Default for Snapshot<T> {
    fn default() -> Self {
        Self(Arc::new(Shared { last: Mutex::new(None), turn: tokio::sync::Mutex::default() }))
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone + Send + 'static> Snapshot<T> {
    /// What was found out lately, else what `find` gives. `find` goes on when `patience` has run out; then the last thing
    /// counts for a little longer. None if nothing is known.
    pub async fn get(&self, patience: Duration, find: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let fresh = self.younger_than(FRESH);
        if fresh.is_some() {
            return fresh;
        }
        let snapshot = self.clone();
        let finding = tokio::spawn(async move {
            let _turn = snapshot.0.turn.lock().await;
            // Another may have found out meanwhile.
            if snapshot.younger_than(FRESH).is_none() {
                let found = find.await;
                *locked(&snapshot.0.last) = Some((Instant::now(), found));
            }
        });
        drop(timeout(patience, finding).await);
        self.younger_than(STALE)
    }

    fn younger_than(&self, age: Duration) -> Option<T> {
        let last = locked(&self.0.last);
        last.as_ref().filter(|(at, _)| at.elapsed() < age).map(|(_, found)| found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_known_the_next_time() {
        let snapshot = Snapshot::default();
        let slow = |value| async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            value
        };
        assert_eq!(snapshot.get(Duration::from_millis(250), slow(1)).await, None);
        assert_eq!(snapshot.get(Duration::from_millis(250), slow(2)).await, Some(1));
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert_eq!(snapshot.get(Duration::from_millis(250), slow(3)).await, Some(1), "not too old yet");
    }
}
