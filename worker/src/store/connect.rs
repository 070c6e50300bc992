//! Opens connections with the settings that the promises rest on.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::pool::PoolConnectionMetadata;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{Connection, PgConnection};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};

use super::{DatabaseKind, StoreError};

const CONNECTING: &str = "connecting to the database";
/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// A connection that was not used for so long is tried first: each trial is a round trip more.
const UNUSED: Duration = Duration::from_secs(1);
/// Connections are not doubted more often than this, so that a command that keeps failing does not make everybody connect
/// anew all the time.
const DOUBT_INTERVAL: Duration = Duration::from_secs(1);
/// A frozen worker frees its rows after the first; the second keeps everybody's waits bounded.
pub(super) const POSTGRES_SETTINGS: [(&str, &str); 2] =
    [("idle_in_transaction_session_timeout", "3s"), ("statement_timeout", "10s")];
/// How long a batch waits for a row: everything in it waits with it. Afterwards it is applied without the commands that
/// need the row.
const WRITERS_LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "100ms");
/// How long everything else waits for a row.
pub(super) const LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "2s");
/// Batches are planned for the tables as they are: a plan that was made while a directory was empty reads all of it, and
/// would be kept while it grows. Queries are many and small: a plan for each took a quarter off their rate.
const WRITERS_PLANS: (&str, &str) = ("plan_cache_mode", "force_custom_plan");

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Batches.
    Write,
    /// Queries.
    Read,
}

impl DatabaseKind {
    /// Reads the scheme of a URL.
    pub(super) fn of(url: &str) -> Result<Self, StoreError> {
        if url.starts_with("sqlite:") {
            Ok(Self::Sqlite)
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Self::Postgres)
        } else {
            Err(StoreError::broken("reading the database's URL", "it must begin with sqlite: or postgres:"))
        }
    }
}

/// When connections were last doubted. What was opened before is closed instead of being used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Doubt(Arc<Mutex<Option<Instant>>>);

impl Doubt {
    /// Doubts every connection that is open now.
    pub(super) fn raise(&self) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if since.is_none_or(|since| since.elapsed() >= DOUBT_INTERVAL) {
            *since = Some(Instant::now());
        }
    }

    fn covers(&self, connection: &PoolConnectionMetadata) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| connection.age > since.elapsed())
    }
}

/// Opens up to `connections`.
pub(super) async fn open(
    url: &str,
    connections: usize,
    purpose: Purpose,
    doubt: &Doubt,
) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(u32::try_from(connections.max(1)).unwrap_or(u32::MAX))
        .connect_timeout(CONNECT)
        .acquire_timeout(CONNECT)
        .test_before_acquire_if_idle_for(UNUSED)
        .sqlx_logging(false);
    let own = match purpose {
        Purpose::Write => vec![WRITERS_LOCK_TIMEOUT, WRITERS_PLANS],
        Purpose::Read => vec![LOCK_TIMEOUT],
    };
    options.map_sqlx_postgres_opts(move |postgres| postgres.options(POSTGRES_SETTINGS.iter().chain(&own).copied()));
    let (in_postgres, in_sqlite) = (doubt.clone(), doubt.clone());
    options.map_sqlx_postgres_before_acquire(move |_, connection| {
        Box::pin(std::future::ready(Ok(!in_postgres.covers(&connection))))
    });
    options.map_sqlx_sqlite_before_acquire(move |_, connection| {
        Box::pin(std::future::ready(Ok(!in_sqlite.covers(&connection))))
    });
    options.map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
    });
    match Database::connect(options).await {
        Ok(connection) => Ok(connection),
        Err(_) if has_no_folder(url) => Err(StoreError::broken(CONNECTING, "the SQLite file's folder does not exist")),
        Err(error) => Err(StoreError::new(CONNECTING, &cause(url, error).await)),
    }
}

/// Time does not make the folder.
fn has_no_folder(url: &str) -> bool {
    let file = url.strip_prefix("sqlite:").map(|file| file.strip_prefix("//").unwrap_or(file));
    let path = file.and_then(|file| file.split('?').next()).filter(|path| !path.contains('%'));
    let folder = path.and_then(|path| Path::new(path).parent());
    folder.is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.exists())
}

/// A pool says only that it got no connection in time; one that is opened by itself says why.
async fn cause(url: &str, error: DbErr) -> DbErr {
    if DatabaseKind::of(url).is_ok_and(|kind| kind == DatabaseKind::Postgres)
        && let Ok(Err(cause)) = tokio::time::timeout(CONNECT, PgConnection::connect(url)).await
    {
        return DbErr::Conn(RuntimeErr::SqlxError(Arc::new(cause)));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_a_folder_that_is_not_there_is_a_wrong_setting() {
        let there = tempfile::tempdir().unwrap();
        let folder = there.path().display();
        assert!(has_no_folder(&format!("sqlite://{folder}/no/rosterd.db?mode=rwc")));
        for url in
            [format!("sqlite://{folder}/rosterd.db"), "sqlite:rosterd.db".to_owned(), "postgres://h/x".to_owned()]
        {
            assert!(!has_no_folder(&url), "{url}");
        }
    }
}
