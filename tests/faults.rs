//! Faults that review and measurement found, each reproduced against the real thing by a test that fails when the rule
//! which answers it is taken out.

mod chains;
mod copies;
mod crashes;
mod failpoints;
mod first_effects;
mod freezes;
pub(crate) mod log;
mod lost_answers;
pub(crate) mod message;
pub(crate) mod records;

use std::time::Duration;

/// The exit status of a process that died at a failpoint: 128 and SIGABRT.
pub(crate) const ABORTED: i32 = 134;

/// After so long the broker sends nothing more to a worker that has stopped asking.
const PULL_EXPIRES: Duration = Duration::from_millis(1200);
