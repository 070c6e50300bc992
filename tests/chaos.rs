//! The chaos pass: a load, faults beside it, and a judge who saw everything from outside; and the proof of that judge.

#[cfg(test)]
#[path = "chaos/figures.rs"]
mod figures;
#[cfg(test)]
#[expect(dead_code, unused_imports, reason = "shared with the end-to-end tests, which use all of it")]
mod harness;
#[cfg(test)]
mod history;
#[cfg(test)]
#[path = "chaos/nemesis.rs"]
mod nemesis;
#[cfg(test)]
#[path = "chaos/pass.rs"]
mod pass;
#[cfg(test)]
#[path = "chaos/report.rs"]
mod report;
#[cfg(test)]
#[path = "chaos/rest.rs"]
mod rest;
#[cfg(test)]
#[path = "chaos/schedule.rs"]
mod schedule;
#[cfg(test)]
mod workload;
