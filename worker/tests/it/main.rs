//! The worker's SQL half on real databases: every test runs on SQLite and on PostgreSQL.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where what it needs is not there"
)]

mod access;
mod applying;
mod at_once;
mod attach;
mod audit;
mod concurrency;
mod cursors;
mod duplicates;
mod failures;
mod filters;
mod first_effect;
mod indexes;
mod large_groups;
mod log;
mod lookups;
mod membership;
mod operators;
mod poison;
mod postgres;
mod queries;
mod redelivery;
mod round_trips;
mod schema;
mod test_database;
mod uniqueness;
