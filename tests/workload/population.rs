//! The people and groups that all clients share, and the names that they all want.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{RngExt, seq::IndexedRandom};

use super::WorkloadOptions;

/// A user as its provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) user_name: String,
    pub(super) marker: String,
}

/// Shared by all clients of a run.
#[derive(Debug)]
pub(super) struct Population {
    /// A slot is empty until somebody fills it, and after somebody deleted what was there.
    people: Mutex<Vec<Option<Person>>>,
    groups: Mutex<Vec<Option<String>>>,
    processes: AtomicU32,
    uniques: AtomicU64,
}

/// One of the shared slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(usize);

impl Population {
    pub(super) fn new(options: &WorkloadOptions) -> Self {
        Self {
            people: Mutex::new(vec![None; options.users]),
            groups: Mutex::new(vec![None; options.groups]),
            processes: AtomicU32::new(0),
            uniques: AtomicU64::new(0),
        }
    }

    pub(super) fn next_process(&self) -> u32 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// A text that nobody else writes in this run.
    pub(super) fn unique(&self, prefix: &str) -> String {
        format!("{prefix}-{}", self.uniques.fetch_add(1, Ordering::Relaxed))
    }

    /// One of the shared people; none if the slot is empty.
    pub(super) fn person(&self, random: &mut StdRng) -> Option<Person> {
        self.people.lock().unwrap().choose(random).cloned().flatten()
    }

    pub(super) fn group(&self, random: &mut StdRng) -> Option<String> {
        self.groups.lock().unwrap().choose(random).cloned().flatten()
    }

    pub(super) fn empty_person(&self, random: &mut StdRng) -> Option<Slot> {
        empty(&self.people.lock().unwrap(), random)
    }

    pub(super) fn empty_group(&self, random: &mut StdRng) -> Option<Slot> {
        empty(&self.groups.lock().unwrap(), random)
    }

    pub(super) fn share_person(&self, slot: Slot, person: Person) {
        self.people.lock().unwrap()[slot.0] = Some(person);
    }

    pub(super) fn share_group(&self, slot: Slot, group: String) {
        self.groups.lock().unwrap()[slot.0] = Some(group);
    }

    /// Whoever was asked to go is nobody's partner any more.
    pub(super) fn forget(&self, id: &str) {
        for slot in self.people.lock().unwrap().iter_mut() {
            slot.take_if(|person| person.id == id);
        }
        for slot in self.groups.lock().unwrap().iter_mut() {
            slot.take_if(|group| group == id);
        }
    }
}

fn empty<T>(slots: &[Option<T>], random: &mut StdRng) -> Option<Slot> {
    let empty: Vec<usize> = (0..slots.len()).filter(|slot| slots[*slot].is_none()).collect();
    (!empty.is_empty()).then(|| Slot(empty[random.random_range(0..empty.len())]))
}
