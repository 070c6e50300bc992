//! Brings predecessors along: a command's chain is completed from the stream itself, so that no lane, no dead worker
//! and no full consumer can block it.

use std::collections::HashSet;

use async_nats::jetstream::stream::{LastRawMessageErrorKind, RawMessageError};
use futures::{StreamExt, stream};
use protocol::failpoint::Failpoint;
use runtime::failpoint;
use tracing::warn;

use crate::dispatch::batch_runner::BatchRunner;
use crate::log::delivery::Item;
use crate::store::{CopyReason, SettledCopy, StoreError};

/// The most predecessors that are fetched for one batch of chains.
const MAX_LINKS: usize = 256;
/// How many of them at a time.
const CONCURRENCY: usize = 32;

/// What the stream says about a predecessor.
enum Predecessor {
    /// It is still in the log.
    Pending(Box<Item>),
    /// It has left the log: it was settled.
    Gone,
    /// The broker did not answer.
    Unknown,
}

impl BatchRunner {
    /// Adds to `items` every predecessor that is still in the log. Gives back the sequences that are neither settled
    /// nor could be fetched: what comes after them has to wait.
    pub(crate) async fn fetch_predecessors(&self, items: &mut Vec<Item>) -> Result<HashSet<u64>, StoreError> {
        let mut seen: HashSet<u64> = items.iter().map(Item::sequence).collect();
        let mut open: Vec<u64> = items.iter().map(|item| item.logged.predecessor).collect();
        let (mut missing, mut gone) = (HashSet::new(), Vec::new());
        let mut links_left = MAX_LINKS;
        // One link of every chain a round, so that a long chain takes nothing from the others.
        while !open.is_empty() {
            open.retain(|sequence| *sequence != 0 && !self.settled.contains(*sequence) && seen.insert(*sequence));
            missing.extend(open.drain(links_left.min(open.len())..));
            links_left -= open.len();
            let round = stream::iter(std::mem::take(&mut open));
            let mut round =
                round.map(|sequence| async move { (sequence, self.fetch(sequence).await) }).buffered(CONCURRENCY);
            while let Some((sequence, predecessor)) = round.next().await {
                match predecessor {
                    Predecessor::Pending(item) => {
                        open.push(item.logged.predecessor);
                        items.push(*item);
                    }
                    Predecessor::Gone => gone.push(sequence),
                    Predecessor::Unknown => {
                        missing.insert(sequence);
                    }
                }
            }
        }
        self.must_be_settled(&gone).await?;
        Ok(missing)
    }

    async fn fetch(&self, sequence: u64) -> Predecessor {
        let Some(in_stream) = self.log.numbering.in_stream(sequence) else { return Predecessor::Gone };
        // On a connection on which the log is not known to be sound, its answer means nothing.
        let generation = self.outcomes.connection.generation();
        let answer = self.consistency.stream.get_raw_message(in_stream).await;
        if *self.sound.borrow() != generation || self.outcomes.connection.generation() != generation {
            return Predecessor::Unknown;
        }
        match answer {
            Ok(message) => {
                failpoint::hit(Failpoint::WorkerFetched).await;
                Predecessor::Pending(Box::new(Item::fetched(&self.log, message)))
            }
            Err(error) if not_found(&error) => Predecessor::Gone,
            Err(error) => {
                warn!(sequence, %error, "fetching predecessor {sequence} from the log failed, trying again");
                Predecessor::Unknown
            }
        }
    }

    /// A work queue removes only what was acknowledged, and that only after its commit. A sequence that is gone and that
    /// is not settled was deleted by hand: it is recorded, so that nothing waits for it again.
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

/// The leader says that there is no such message. The successor is in the log, so the log has reached that sequence.
fn not_found(error: &RawMessageError) -> bool {
    matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound)
}
