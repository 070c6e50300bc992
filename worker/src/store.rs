//! The database: connections, and what is known of the log. Everything that writes resources is in [`crate::apply`].

use std::time::{Duration, Instant};

use protocol::failpoint::Failpoint;
use runtime::failpoint;
use sea_orm::{
    AccessMode, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    IsolationLevel, QueryFilter, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use crate::metrics::METRICS;

use self::connect::{Doubt, LOCK_TIMEOUT, Purpose};
use self::entity::attempt;

pub(crate) mod answered;
mod attempts;
pub(crate) mod audit;
pub(crate) mod balance;
pub(crate) mod bulk_insert;
mod connect;
pub(crate) mod credentials;
pub(crate) mod dead;
mod dead_error;
pub(crate) mod dead_letters;
pub(crate) mod emails;
pub(crate) mod entity;
mod error;
pub(crate) mod fence;
pub(crate) mod ledger;
mod look;
pub(crate) mod lookup;
pub(crate) mod members;
mod numbering;
pub(crate) mod profiles;
pub(crate) mod recall;
pub(crate) mod replayed;
pub(crate) mod replays;
pub(crate) mod resource_table;
pub(crate) mod resources;
pub(crate) mod retry;
pub(crate) mod settled;
pub(crate) mod stored_resource;
pub(crate) mod user_writes;

pub use dead::DeadMessage;
pub use error::{Class, StoreError};
pub use numbering::{Newest, Numbering};
pub use settled::{CopyReason, SettledCopy};

/// The system of record. Cheap to clone: all clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    kind: DatabaseKind,
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// For what is read before commands are settled: queries cannot take these connections.
    settler: DatabaseConnection,
    doubt: Doubt,
}

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// One file, one writer.
    Sqlite,
    /// A server.
    Postgres,
}

/// How many connections a store may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// For transactions that write. SQLite always has one.
    pub writers: usize,
    /// For queries.
    pub readers: usize,
}

/// The most rows in one statement: SQLite binds at most 32,766 values, PostgreSQL 65,535.
pub(crate) const MAX_ROWS: usize = 1000;
/// The most values in one list of a statement.
pub(crate) const MAX_VALUES: usize = 10_000;
/// The most conditions joined by OR: SQLite's expressions are at most 1,000 deep.
pub(crate) const MAX_GROUPS: usize = 500;
/// How long a query or a transaction may take before it is given up. Above the server's own limits.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a probe may take: a database that needs longer for a write of nothing is as good as away.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Connections to SQLite for what is read before commands are settled.
const SQLITE_SETTLERS: usize = 2;

impl Store {
    /// Opens the connections; creates an SQLite file that is not there. The URL is never printed.
    pub async fn connect(url: &str, options: StoreOptions) -> Result<Self, StoreError> {
        let kind = DatabaseKind::of(url)?;
        let writers = if kind == DatabaseKind::Sqlite { 1 } else { options.writers };
        let doubt = Doubt::default();
        let writer = connect::open(url, writers, Purpose::Write, &doubt).await?;
        let reader = connect::open(url, options.readers, Purpose::Read, &doubt).await?;
        let settler = match kind {
            // The one writer may be in a transaction, for which a reader need not wait.
            DatabaseKind::Sqlite => connect::open(url, SQLITE_SETTLERS, Purpose::Read, &doubt).await?,
            DatabaseKind::Postgres => writer.clone(),
        };
        Ok(Self { kind, writer, reader, settler, doubt })
    }

    /// The same store for settling commands: its reads do not wait for queries.
    #[must_use]
    pub fn for_settling(&self) -> Self {
        Self { reader: self.settler.clone(), ..self.clone() }
    }

    /// Something failed for which a connection may be to blame (a cached plan, a state that was left behind): none that is
    /// open now is used again.
    pub(crate) fn doubt_connections(&self) {
        self.doubt.raise();
    }

    /// Which database it is.
    pub const fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// Whether the database takes writes, within 3 seconds: one that is full or read-only answers, too.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let doing = "asking whether the database takes writes";
        let probe = async {
            let transaction = self.begin().await?;
            let nothing = attempt::Entity::delete_many().filter(attempt::Column::N.lt(0));
            nothing.exec(&transaction).await.context(doing)?;
            commit(transaction).await
        };
        tokio::time::timeout(PROBE_TIMEOUT, Box::pin(probe)).await.unwrap_or_else(|_| Err(StoreError::timed_out(doing)))
    }

    /// Whether the schema is exactly the one that this build knows.
    pub async fn schema_is_current(&self) -> Result<bool, StoreError> {
        let doing = "reading which migrations were applied";
        let current = migrations::is_current(&self.reader);
        with_timeout(doing, async { current.await.map_err(|error| StoreError::new(doing, &error)) }).await
    }

    /// Closes the connections, after what they are doing.
    pub async fn close(self) -> Result<(), StoreError> {
        for connection in [self.writer, self.reader, self.settler] {
            connection.close().await.map_err(|error| StoreError::new("closing the database", &error))?;
        }
        Ok(())
    }

    /// For queries outside a transaction that writes.
    pub(crate) const fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// For reads of a batch outside a transaction.
    pub(crate) const fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }

    /// One moment of the database, for what takes several statements to read: without it a group that is deleted
    /// between two of them is shown without its members. Ends when it is dropped.
    pub(crate) async fn snapshot(&self) -> Result<DatabaseTransaction, StoreError> {
        let options = match self.kind {
            // WAL: a reading transaction sees what was there at its first statement.
            DatabaseKind::Sqlite => TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
                ..TransactionOptions::default()
            },
            DatabaseKind::Postgres => TransactionOptions {
                isolation_level: Some(IsolationLevel::RepeatableRead),
                access_mode: Some(AccessMode::ReadOnly),
                ..TransactionOptions::default()
            },
        };
        let begun = self.reader.begin_with_options(options).await;
        begun.map_err(|error| StoreError::new("beginning to read", &error))
    }

    /// Begins a transaction that writes. The only way to one: on SQLite it takes the write lock at once, because a
    /// reading transaction that turns to writing fails without waiting.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        let transaction = self.begin_batch().await?;
        let (setting, patience) = LOCK_TIMEOUT;
        self.set_in(&transaction, setting, patience).await?;
        Ok(transaction)
    }

    /// Changes a setting of PostgreSQL until the transaction ends.
    pub(crate) async fn set_in(
        &self,
        transaction: &DatabaseTransaction,
        setting: &'static str,
        value: &'static str,
    ) -> Result<(), StoreError> {
        if self.kind == DatabaseKind::Postgres {
            let set = format!("SET LOCAL {setting} = '{value}'");
            transaction.execute_unprepared(&set).await.context("beginning a transaction")?;
        }
        Ok(())
    }

    /// The same for a batch, which waits for rows only briefly.
    pub(crate) async fn begin_batch(&self) -> Result<DatabaseTransaction, StoreError> {
        let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
        let begun = self.writer.begin_with_options(options).await;
        begun.map_err(|error| StoreError::new("beginning a transaction", &error))
    }
}

/// Ends a transaction for good.
pub(crate) async fn commit(transaction: DatabaseTransaction) -> Result<(), StoreError> {
    failpoint::hit(Failpoint::WorkerCommitBefore).await;
    let began = Instant::now();
    transaction.commit().await.map_err(|error| StoreError::new("committing", &error))?;
    METRICS.commit_duration.took(began.elapsed());
    failpoint::hit(Failpoint::WorkerCommitAfter).await;
    Ok(())
}

/// Runs `work`, but not for ever: a dead network does not tell.
pub(crate) async fn with_timeout<T>(
    doing: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(CONNECTION_TIMEOUT, Box::pin(work)).await.unwrap_or_else(|_| Err(StoreError::timed_out(doing)))
}

/// Says what was being done when the driver failed.
pub(crate) trait Context<T> {
    /// Adds `doing` to the error.
    fn context(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Context<T> for Result<T, DbErr> {
    fn context(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::new(doing, &error))
    }
}

/// A sequence of the log as a column holds it.
pub(crate) fn column(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// A sequence of the log as read from a column.
pub(crate) fn sequence(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A length as a number. No collection is too long for one.
pub(crate) fn to_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
