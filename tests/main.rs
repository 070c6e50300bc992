//! End to end: real processes, a real broker, SQLite and PostgreSQL, seen as a provider, an owner or an operator sees
//! them.
//!
//! One broker and one PostgreSQL serve all tests of a run; each test has its own namespace, database and processes.

#[cfg(test)]
mod abandoned;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod contention;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod cursors;
#[cfg(test)]
mod dead_letters;
#[cfg(test)]
mod demonstration;
#[cfg(test)]
mod deployment;
#[cfg(test)]
mod dialects;
#[cfg(test)]
mod documentation;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod harness_itself;
#[cfg(test)]
mod holding;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod large_groups;
#[cfg(test)]
mod layering;
#[cfg(test)]
mod lost_log;
#[cfg(test)]
mod migrations;
#[cfg(test)]
mod onboarding;
#[cfg(test)]
mod order;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod overtaking;
#[cfg(test)]
mod preconditions;
#[cfg(test)]
mod projection;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod provisioning;
#[cfg(test)]
mod race;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod redelivery;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod retries;
#[cfg(test)]
mod rfc_examples;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod status;
#[cfg(test)]
mod supervision;
#[cfg(test)]
mod timezone;
mod traces;
#[cfg(test)]
mod workspaces;
