//! What the tables say, beside what a worker says of them.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TryGetable};

use crate::harness::{Bench, within};

/// The broker delivers again 4 seconds after it last heard of a message, which can have been a second ago.
const PROMPTLY: Duration = Duration::from_millis(2500);

/// A connection of the test's own to the system's database.
pub(crate) struct Records(DatabaseConnection);

impl Records {
    /// The tables of a test's system.
    pub(crate) async fn of(bench: &Bench) -> Self {
        Self(bench.sql().await)
    }

    /// The first column of each row that a statement yields.
    pub(crate) async fn column<T: TryGetable>(&self, sql: &str) -> Vec<T> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        let rows = self.0.query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    /// The one value that a statement yields.
    pub(crate) async fn value<T: TryGetable>(&self, sql: &str) -> T {
        let mut values = self.column(sql).await;
        assert_eq!(values.len(), 1, "{sql}");
        values.remove(0)
    }

    /// How many rows a table has.
    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT COUNT(*) FROM {table}")).await
    }

    /// Whether some worker is in a transaction that has written, and does nothing.
    pub(crate) async fn are_being_written(&self) -> bool {
        if self.0.get_database_backend() == DbBackend::Sqlite {
            let begun = self.0.execute_unprepared("PRAGMA busy_timeout = 0; BEGIN IMMEDIATE; ROLLBACK").await;
            return begun.is_err();
        }
        let idle = "SELECT COUNT(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND state = 'idle in transaction' AND backend_xid IS NOT NULL";
        self.value::<i64>(idle).await > 0
    }

    /// Waits until so many operations have ended, but not until a message that a dead worker has is delivered again.
    pub(crate) async fn promptly(&self, operations: i64) {
        within(PROMPTLY, "the operations have ended", async || {
            (self.count("operations").await == operations).then_some(())
        })
        .await;
    }

    /// The sequences that are settled without an operation of their own, each with the reason.
    pub(crate) async fn settled_copies(&self) -> Vec<String> {
        self.column("SELECT sequence || ' ' || reason FROM settled_copies ORDER BY sequence").await
    }
}
