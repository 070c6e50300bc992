//! One connection, and a transaction on it that no other migrating process can hold at the same time.

use std::time::Duration;

use sea_orm_migration::sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use crate::error::MigrateError;

/// How long to wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait for another process that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_mins(1);

/// Every process that migrates this schema takes this lock ("rosterd" in ASCII). No other program may use the number.
const EXCLUDE: &str = "SET LOCAL lock_timeout = '60s'; SET LOCAL statement_timeout = '300s'; \
                       SELECT pg_advisory_xact_lock(32210767402529380)";

/// Opens one connection; creates an SQLite file that is not there.
pub(crate) async fn open(url: &str) -> Result<DatabaseConnection, MigrateError> {
    if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(MigrateError::unknown_scheme());
    }
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).connect_timeout(CONNECT_TIMEOUT).acquire_timeout(CONNECT_TIMEOUT).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|sqlite| sqlite.create_if_missing(true).busy_timeout(LOCK_TIMEOUT));
    Database::connect(options).await.map_err(|error| MigrateError::connect(&error))
}

/// Begins the transaction that excludes every other.
pub(crate) async fn session(connection: &DatabaseConnection) -> Result<DatabaseTransaction, MigrateError> {
    let sqlite_transaction_mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode, ..TransactionOptions::default() };
    let transaction = connection.begin_with_options(options).await.map_err(|error| MigrateError::exclude(&error))?;
    if connection.get_database_backend() == DbBackend::Postgres {
        transaction.execute_unprepared(EXCLUDE).await.map_err(|error| MigrateError::exclude(&error))?;
    }
    Ok(transaction)
}
