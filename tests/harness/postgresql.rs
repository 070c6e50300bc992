//! A PostgreSQL of a test's own, which can be harmed.

use rosterd::servers::postgres::{self, PostgresServer, PostgresSettings};
use rustix::process::Signal;
use tokio::sync::Mutex;

use super::process::{signal, wait_for_end};
use super::{ROSTERD, Schema};

/// The one database in it that the test needs.
const DATABASE: &str = "rosterd";

/// A server with one database. Dropping it ends it and removes what it kept.
#[derive(Debug)]
pub(crate) struct OwnPostgresql {
    url: String,
    server: Mutex<PostgresServer>,
}

impl OwnPostgresql {
    /// Starts a server; a commit is on disk before it is answered.
    pub(crate) async fn start(schema: Schema) -> Self {
        let settings = PostgresSettings { guard: ROSTERD.into(), fsync: true };
        let server = postgres::start(&settings, |line| eprintln!("{line}")).await.unwrap();
        server.create_database(DATABASE, None).await.unwrap();
        let url = server.url(DATABASE);
        if schema == Schema::Current {
            migrations::up(&url).await.unwrap();
        }
        Self { url, server: Mutex::new(server) }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL to all its processes.
    pub(crate) async fn kill(&self) {
        self.server.lock().await.kill().await;
    }

    /// A shutdown in order, which does not wait for clients.
    pub(crate) async fn terminate(&self) {
        self.server.lock().await.shut_down().await;
    }

    /// Starts it again, once it has ended; returns when it accepts connections.
    pub(crate) async fn start_again(&self) {
        self.server.lock().await.start_again().await.unwrap();
    }

    /// SIGKILL, and a start with the same data.
    pub(crate) async fn restart(&self) {
        self.kill().await;
        self.start_again().await;
    }

    /// SIGSTOP to all its processes: nobody is answered, and no connection breaks.
    pub(crate) async fn pause(&self) {
        let server = self.server.lock().await;
        // The first one first: those that it starts afterwards are too few to matter, and it starts none while it stands.
        signal(server.pid(), Signal::STOP);
        server.processes().into_iter().for_each(|pid| signal(pid, Signal::STOP));
    }

    /// SIGCONT to all its processes.
    pub(crate) async fn resume(&self) {
        self.server.lock().await.processes().into_iter().for_each(|pid| signal(pid, Signal::CONT));
    }
}

impl Drop for OwnPostgresql {
    fn drop(&mut self) {
        // A process that stands still would outlive the one that started it.
        let pids = self.server.get_mut().processes();
        for pid in &pids {
            signal(*pid, Signal::KILL);
        }
        wait_for_end(&pids);
    }
}
