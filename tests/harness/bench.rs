//! A namespace, a database and a folder, against which a test runs commands and processes of its own.

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::jetstream;
use protocol::id::Namespace;
use tempfile::TempDir;

use super::command::{Said, rosterd};
use super::servers::{Schema, broker_url, database_url, namespace};
use super::{Database, Process};

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
        let folder = tempfile::tempdir().unwrap();
        Self {
            namespace: namespace(),
            nats_url: broker_url().await,
            database_url: database_url(database, schema, folder.path()).await,
            started: AtomicUsize::new(0),
            folder,
        }
    }

    /// Runs a command of the operator.
    pub(crate) async fn rosterd(&self, arguments: &[&str]) -> Said {
        rosterd(arguments, &self.environment()).await
    }

    /// Starts a worker; it says `ready` when it is.
    pub(crate) async fn worker(&self, arguments: &[&str]) -> Process {
        self.process("worker", arguments).await
    }

    /// Starts an ingress on a free port; it says `listening` and its URL.
    pub(crate) async fn ingress(&self) -> Process {
        self.process("ingress", &["--listen", "127.0.0.1:0"]).await
    }

    /// Writes a message to the log behind the ingress's back; the subject is below the namespace.
    pub(crate) async fn publish(&self, subject: &str, payload: &'static [u8]) {
        let context = jetstream::new(async_nats::connect(&self.nats_url).await.unwrap());
        let subject = format!("{}.{subject}", self.namespace);
        context.publish(subject, payload.into()).await.unwrap().await.unwrap();
    }

    /// The state of the log.
    pub(crate) async fn log(&self) -> LogState {
        let context = jetstream::new(async_nats::connect(&self.nats_url).await.unwrap());
        let stream = context.get_stream(self.namespace.command_stream()).await.unwrap();
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

    async fn process(&self, role: &str, arguments: &[&str]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let log = self.folder.path().join(format!("{role}-{number}.log"));
        let arguments: Vec<&str> = std::iter::once(role).chain(arguments.iter().copied()).collect();
        Process::start(&arguments, &self.environment(), &log).await
    }
}
