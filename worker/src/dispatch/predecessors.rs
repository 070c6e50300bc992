//! Brings predecessors along: a command's chain is completed from the stream itself, so that no lane, no dead worker
//! and no full consumer can block it.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use protocol::failpoint::Failpoint;
use runtime::failpoint;
use tracing::warn;

use crate::dispatch::batch_runner::BatchRunner;
use crate::log::Found;
use crate::log::delivery::Delivery;
use crate::metrics::METRICS;
use crate::store::{CopyReason, SettledCopy, StoreError};

/// The most predecessors that are fetched for one batch of chains.
const MAX_LINKS: usize = 256;
/// How many of them at a time.
const CONCURRENCY: usize = 32;

impl BatchRunner {
    /// Adds to `deliveries` every predecessor that is still in the log. Gives back the sequences that are neither settled
    /// nor could be fetched: what comes after them has to wait.
    pub(crate) async fn fetch_predecessors(&self, deliveries: &mut Vec<Delivery>) -> Result<HashSet<u64>, StoreError> {
        let mut seen: HashSet<u64> = deliveries.iter().map(|delivery| delivery.sequence).collect();
        let mut open: Vec<u64> = deliveries.iter().map(|delivery| delivery.predecessor).collect();
        let (mut missing, mut gone) = (HashSet::new(), Vec::new());
        let mut links_left = MAX_LINKS;
        // One link of every chain a round, so that a long chain takes nothing from the others.
        while !open.is_empty() {
            open.retain(|sequence| *sequence != 0 && !self.settled.contains(*sequence) && seen.insert(*sequence));
            missing.extend(open.drain(links_left.min(open.len())..));
            links_left -= open.len();
            let round = stream::iter(std::mem::take(&mut open));
            let round = round.map(|sequence| async move { (sequence, self.log.get_verified(sequence).await) });
            let mut round = round.buffered(CONCURRENCY);
            while let Some((sequence, predecessor)) = round.next().await {
                match predecessor {
                    Found::Pending(delivery) => {
                        failpoint::hit(Failpoint::WorkerFetched).await;
                        METRICS.predecessors_fetched.add_one();
                        open.push(delivery.predecessor);
                        deliveries.push(*delivery);
                    }
                    Found::Gone => gone.push(sequence),
                    Found::Unknown => {
                        warn!(sequence, "predecessor {sequence} cannot be read from the log now, trying again");
                        missing.insert(sequence);
                    }
                }
            }
        }
        self.must_be_settled(&gone).await?;
        Ok(missing)
    }

    /// A work queue removes only what was acknowledged, and that only after its commit; and a log that holds the successor
    /// has reached the sequence. So what is gone and is not settled was deleted by hand: it is recorded, so that nothing
    /// waits for it again.
    async fn must_be_settled(&self, gone: &[u64]) -> Result<(), StoreError> {
        let settled = if gone.is_empty() { HashSet::new() } else { self.store.settled(gone).await? };
        let now_numbered = |sequence: &&u64| self.log.numbering.in_stream(**sequence).is_some();
        let unsettled = gone.iter().filter(|sequence| !settled.contains(sequence)).filter(now_numbered);
        let removed = unsettled.map(|sequence| {
            warn!(sequence, "message {sequence} was removed from the log without having been settled");
            SettledCopy { sequence: *sequence, reason: CopyReason::Removed, workspace: None, operation: None }
        });
        let removed: Vec<SettledCopy> = removed.collect();
        if !removed.is_empty() {
            self.store.settle_copies(&removed, self.clock.now()).await?;
        }
        self.settled.remember(gone.iter().copied());
        Ok(())
    }
}
