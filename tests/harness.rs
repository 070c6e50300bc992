//! What every test stands on: one broker and one PostgreSQL for the whole run, and for each test a namespace, a
//! database and processes of the built binary, all under the guard.

mod bench;
mod broker;
mod clock;
mod command;
mod dev;
mod haproxy;
mod part;
mod postgresql;
mod process;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod scim;
mod servers;
mod system;
pub(crate) mod trial;

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use bench::Bench;
pub(crate) use broker::{OwnBroker, Snapshot};
pub(crate) use command::demo;
pub(crate) use dev::{Dev, Entry};
pub(crate) use haproxy::Haproxy;
pub(crate) use part::Part;
pub(crate) use postgresql::OwnPostgresql;
pub(crate) use process::{Process, is_running, signal};
pub(crate) use servers::Schema;
pub(crate) use system::System;

/// The built binary.
pub(crate) const ROSTERD: &str = env!("CARGO_BIN_EXE_rosterd");

/// Where a test's data is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file of the test's own.
    Sqlite,
    /// A database of the test's own in the server of the run.
    Postgresql,
}

/// Makes two tests of a function: one on each database.
macro_rules! on_both {
    ($name:ident) => {
        mod $name {
            #[tokio::test]
            async fn on_sqlite() {
                super::$name(crate::harness::Database::Sqlite).await;
            }

            #[tokio::test]
            async fn on_postgresql() {
                super::$name(crate::harness::Database::Postgresql).await;
            }
        }
    };
}
pub(crate) use on_both;

/// How long anything may take that has no bound of its own.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    within(DEADLINE, what, ask)
}

/// Asks again and again until there is an answer, at most this long.
pub(crate) async fn within<T>(limit: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
