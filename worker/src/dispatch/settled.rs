//! The sequences that this worker has lately seen settled: saves a query, never decides alone that one is not.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

const MAX_REMEMBERED: usize = 16_384;

/// A bounded memory of settled sequences.
#[derive(Debug, Default)]
pub(crate) struct RecentlySettled(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RecentlySettled {
    /// Remembers sequences, and forgets the oldest beyond the limit.
    pub(crate) fn remember(&self, sequences: impl IntoIterator<Item = u64>) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for sequence in sequences {
            if memory.known.insert(sequence) {
                memory.order.push_back(sequence);
            }
        }
        while memory.order.len() > MAX_REMEMBERED {
            let Some(oldest) = memory.order.pop_front() else { break };
            memory.known.remove(&oldest);
        }
    }

    /// Whether the sequence is known to be settled.
    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let settled = RecentlySettled::default();
        settled.remember(1..=20_000);
        assert!(!settled.contains(1) && settled.contains(20_000));
        assert_eq!(settled.0.lock().unwrap().known.len(), MAX_REMEMBERED);
    }
}
