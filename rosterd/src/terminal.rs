//! Standard error, where people are told what is going on: lines, and at most one bar, which stays below them.

use std::io::Write;
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

/// The bar that is shown now.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Tells people what is going on, on standard error: standard output is for data.
pub fn say(line: &str) {
    // Without standard error there is no place to say it.
    let write = || drop(writeln!(std::io::stderr(), "{line}"));
    match BAR.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Shows a bar below the lines until it is dropped.
#[derive(Debug)]
pub(crate) struct Shown(pub(crate) ProgressBar);

impl Shown {
    /// Shows it from now on.
    pub(crate) fn new(bar: ProgressBar) -> Self {
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self(bar)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.finish_and_clear();
    }
}
