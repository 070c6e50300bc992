//! A namespace, a database and a folder, against which a test runs commands and processes of its own.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::jetstream;
use protocol::id::Namespace;
use sea_orm::{ConnectionTrait, Statement};
use tempfile::TempDir;

use super::command::{Said, rosterd};
use super::servers::{Schema, broker_url, database_url, namespace};
use super::{Database, Process, eventually};

/// What a test has for itself.
#[derive(Debug)]
pub(crate) struct Bench {
    namespace: Namespace,
    nats_url: String,
    database_url: String,
    started: AtomicUsize,
    folder: TempDir,
}

/// How full the log is, and how far it ever got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogState {
    pub(crate) messages: u64,
    pub(crate) last_sequence: u64,
}

impl Bench {
    pub(crate) async fn new(database: Database, schema: Schema) -> Self {
        Self::on(database, schema, None, None).await
    }

    /// On servers of its own, where they are given, and else on those of the run.
    pub(super) async fn on(
        database: Database,
        schema: Schema,
        own_broker: Option<String>,
        own_database: Option<String>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nats_url = match own_broker {
            Some(url) => url,
            None => broker_url().await,
        };
        let database_url = match own_database {
            Some(url) => url,
            None => database_url(database, schema, folder.path()).await,
        };
        Self { namespace: namespace(), nats_url, database_url, started: AtomicUsize::new(0), folder }
    }

    /// What all subjects, streams and buckets of this test begin with.
    pub(crate) const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The broker's servers, separated by commas.
    pub(crate) fn nats_url(&self) -> &str {
        &self.nats_url
    }

    /// The database, as a worker is told.
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// A connection to the broker.
    pub(crate) async fn nats(&self) -> async_nats::Client {
        let urls: Vec<&str> = self.nats_url.split(',').collect();
        async_nats::connect(urls).await.unwrap()
    }

    /// The broker's streams.
    pub(crate) async fn jetstream(&self) -> jetstream::Context {
        jetstream::new(self.nats().await)
    }

    /// The log itself.
    pub(crate) async fn stream(&self) -> jetstream::stream::Stream {
        self.jetstream().await.get_stream(self.namespace.command_stream()).await.unwrap()
    }

    /// A connection to the database.
    pub(crate) async fn sql(&self) -> sea_orm::DatabaseConnection {
        let mut options = sea_orm::ConnectOptions::new(&self.database_url);
        options.max_connections(2).sqlx_logging(false);
        sea_orm::Database::connect(options).await.unwrap()
    }

    /// The one number that a statement yields.
    pub(crate) async fn number(&self, statement: &str) -> i64 {
        let sql = self.sql().await;
        let statement = Statement::from_string(sql.get_database_backend(), statement);
        sql.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    }

    /// Waits until every message has left the log.
    pub(crate) async fn at_rest(&self) {
        eventually("the log is empty", async || (self.log().await.messages == 0).then_some(())).await;
    }

    /// Runs a command of the operator.
    pub(crate) async fn rosterd(&self, arguments: &[&str]) -> Said {
        rosterd(arguments, &self.environment()).await
    }

    /// Starts a worker; it says `ready` when it is.
    pub(crate) async fn worker(&self, arguments: &[&str]) -> Process {
        self.process("worker", arguments).await
    }

    /// Writes a message to the log behind the ingress's back; the subject is below the namespace.
    pub(crate) async fn publish(&self, subject: &str, payload: &'static [u8]) {
        let context = self.jetstream().await;
        let subject = format!("{}.{subject}", self.namespace);
        context.publish(subject, payload.into()).await.unwrap().await.unwrap();
    }

    /// The state of the log.
    pub(crate) async fn log(&self) -> LogState {
        let stream = self.stream().await;
        let state = &stream.cached_info().state;
        LogState { messages: state.messages, last_sequence: state.last_sequence }
    }

    /// What the processes wrote to their logs.
    pub(crate) fn logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap) {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
                writeln!(text, "\n{}:\n{log}", entry.file_name().display()).unwrap();
            }
        }
        text
    }

    /// What every process and command of this test is told.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("ROSTERD_NATS_URL", &self.nats_url),
            ("ROSTERD_DATABASE_URL", &self.database_url),
            ("ROSTERD_NAMESPACE", self.namespace.as_str()),
            ("ROSTERD_LOG", "text"),
            ("RUST_LOG", "info"),
        ]
    }

    /// Where the next process of this role writes its log.
    pub(super) fn log_file(&self, role: &str) -> PathBuf {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        self.folder.path().join(format!("{role}-{number}.log"))
    }

    async fn process(&self, role: &str, arguments: &[&str]) -> Process {
        let log = self.log_file(role);
        let arguments: Vec<&str> = std::iter::once(role).chain(arguments.iter().copied()).collect();
        Process::start(&arguments, &self.environment(), &log).await
    }
}
