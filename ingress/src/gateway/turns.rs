//! The turn: requests on one resource are appended in the order in which they were complete, from before they wait for
//! anything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use runtime::lock::locked;
use tokio::sync::watch;

type Queues = HashMap<Arc<str>, VecDeque<Entry>>;

/// The queues of resources. A resource has one only while a request stands in it, so there are no more than requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns {
    queues: Arc<Mutex<Queues>>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    place: watch::Sender<Place>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    is_first: bool,
    /// Something urgent stands behind it.
    is_hurried: bool,
}

/// A place in the queue of one resource, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    resource: Arc<str>,
    number: u64,
    place: watch::Receiver<Place>,
}

impl Turns {
    /// Joins the queue of a resource. Who is urgent hurries everybody before it.
    pub(super) fn join(&self, resource: &str, urgent: bool) -> Turn {
        let resource: Arc<str> = resource.into();
        let mut queues = locked(&self.queues);
        let queue = queues.entry(Arc::clone(&resource)).or_default();
        if urgent {
            for earlier in queue.iter() {
                earlier.place.send_modify(|place| place.is_hurried = true);
            }
        }
        let number = queue.back().map_or(0, |last| last.number + 1);
        let (sender, place) = watch::channel(Place { is_first: queue.is_empty(), is_hurried: false });
        queue.push_back(Entry { number, place: sender });
        Turn { turns: self.clone(), resource, number, place }
    }
}

impl Turn {
    /// Waits until everybody who joined earlier has left.
    pub(super) async fn comes(&mut self) {
        self.wait_for(|place| place.is_first).await;
    }

    /// Waits until something urgent stands behind this.
    pub(super) async fn is_hurried(&mut self) {
        self.wait_for(|place| place.is_hurried).await;
    }

    async fn wait_for(&mut self, right: impl Fn(&Place) -> bool) {
        if self.place.wait_for(right).await.is_err() {
            // The entry lives as long as this turn.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut queues = locked(&self.turns.queues);
        let Some(queue) = queues.get_mut(&self.resource) else { return };
        queue.retain(|entry| entry.number != self.number);
        match queue.front() {
            Some(first) => first.place.send_modify(|place| place.is_first = true),
            None => drop(queues.remove(&self.resource)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn turns_come_in_the_order_of_joining_and_leave_nothing_behind() {
        let turns = Turns::default();
        let [mut one, mut two, mut three] = [(); 3].map(|()| turns.join("a", false));
        let mut other = turns.join("b", false);
        assert!(one.comes().now_or_never().is_some() && other.comes().now_or_never().is_some());
        assert!(two.comes().now_or_never().is_none());
        drop(two);
        assert!(three.comes().now_or_never().is_none());
        drop(one);
        assert!(three.comes().now_or_never().is_some());
        drop((three, other));
        assert!(locked(&turns.queues).is_empty());
    }

    #[test]
    fn what_is_urgent_hurries_everything_before_it_and_nothing_behind() {
        let turns = Turns::default();
        let mut before = turns.join("a", false);
        let mut urgent = turns.join("a", true);
        let mut behind = turns.join("a", false);
        assert!(before.is_hurried().now_or_never().is_some());
        assert!(urgent.is_hurried().now_or_never().is_none() && behind.is_hurried().now_or_never().is_none());
    }
}
