//! A bounded memory of sequences: it saves work, and never decides alone.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most sequences that are remembered; beyond it the oldest are forgotten.
const MAX_REMEMBERED: usize = 16_384;

/// Sequences of which something is known that can be found out again.
#[derive(Debug, Default)]
pub(crate) struct RecentSequences(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl RecentSequences {
    /// Remembers a sequence. True if it was not known.
    pub(crate) fn insert(&self, sequence: u64) -> bool {
        let mut memory = self.memory();
        let is_new = memory.known.insert(sequence);
        if is_new {
            memory.order.push_back(sequence);
        }
        if memory.order.len() > MAX_REMEMBERED
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.known.remove(&oldest);
        }
        is_new
    }

    /// Remembers sequences.
    pub(crate) fn remember(&self, sequences: impl IntoIterator<Item = u64>) {
        for sequence in sequences {
            self.insert(sequence);
        }
    }

    /// Whether the sequence is known.
    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.memory().known.contains(&sequence)
    }

    /// Forgets a sequence.
    pub(crate) fn forget(&self, sequence: u64) {
        self.memory().known.remove(&sequence);
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_bounded_and_forgets_the_oldest() {
        let settled = RecentSequences::default();
        settled.remember(1..=20_000);
        assert!(!settled.contains(1) && settled.contains(20_000));
        assert_eq!(settled.memory().known.len(), MAX_REMEMBERED);
    }

    #[test]
    fn a_sequence_is_new_once_until_it_is_forgotten() {
        let begun = RecentSequences::default();
        assert_eq!((begun.insert(7), begun.insert(7), begun.insert(8)), (true, false, true));
        begun.forget(7);
        assert_eq!((begun.insert(7), begun.insert(8)), (true, false));
    }
}
