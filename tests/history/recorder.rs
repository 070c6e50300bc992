//! Writes a history while it happens.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::{Attempt, History, Micros, Operation, Outcome};

/// Shared by all clients of a run.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    attempts: Mutex<Vec<Attempt>>,
}

/// An attempt under way.
#[derive(Debug)]
pub(crate) struct Begun(usize);

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), attempts: Mutex::new(Vec::new()) }
    }

    /// To be called before anything is sent. What is never settled stays pending.
    pub(crate) fn begin(&self, process: u32, operation: Operation) -> Begun {
        let mut attempts = self.attempts();
        let attempt = Attempt { process, start: self.now(), end: None, operation, outcome: Outcome::Pending };
        attempts.push(attempt);
        Begun(attempts.len() - 1)
    }

    /// To be called once the whole answer is there.
    pub(crate) fn settle(&self, begun: &Begun, outcome: Outcome) {
        let end = self.now();
        let mut attempts = self.attempts();
        let attempt = &mut attempts[begun.0];
        attempt.end = Some(end);
        attempt.outcome = outcome;
    }

    /// What has happened so far.
    pub(crate) fn history(&self) -> History {
        History { attempts: self.attempts().clone(), ..History::default() }
    }

    fn now(&self) -> Micros {
        Micros::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    fn attempts(&self) -> MutexGuard<'_, Vec<Attempt>> {
        self.attempts.lock().unwrap()
    }
}
