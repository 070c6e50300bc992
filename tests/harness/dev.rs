//! `rosterd dev` as a test drives it: through its ready file.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

use super::process::wait_for_end;
use super::scim::Scim;
use super::servers::{Schema, database_url};
use super::{Database, Process, eventually};

/// A supervised system with a broker of its own.
pub(crate) struct Dev {
    process: Option<Process>,
    first: Ready,
    folder: TempDir,
}

/// The ready file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Ready {
    pub(crate) base_url: String,
    pub(crate) token: String,
    pub(crate) nats_url: String,
    pub(crate) database_url: String,
    pub(crate) processes: Vec<Entry>,
}

/// One process in the ready file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) argv: Vec<String>,
    pub(crate) url: Option<String>,
}

impl Dev {
    /// Starts `rosterd dev` with free ports and waits until it is ready.
    pub(crate) async fn start(database: Database, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (data, ready_file) = (path("data"), path("ready.json"));
        let url = database_url(database, Schema::Current, folder.path()).await;
        let mut all = vec!["dev", "--port", "0", "--data", &data, "--ready-file", &ready_file];
        all.extend(arguments);
        let environment = [("ROSTERD_DATABASE_URL", url.as_str()), ("RUST_LOG", "info")];
        let process = Process::start(&all, &environment, &folder.path().join("dev.log")).await;
        let first = eventually("rosterd dev writes its ready file", async || read(&folder)).await;
        Self { process: Some(process), first, folder }
    }

    /// The ready file as it is now.
    pub(crate) fn ready(&self) -> Ready {
        read(&self.folder).unwrap()
    }

    /// Where the ready file is.
    pub(crate) fn ready_file(&self) -> PathBuf {
        self.folder.path().join("ready.json")
    }

    /// The workspace as a provider sees it at the first ingress.
    pub(crate) fn scim(&self) -> Scim {
        Scim::new(&self.first.base_url, &self.first.token)
    }

    /// The workspace's Base URL at every ingress.
    pub(crate) fn base_urls(&self) -> Vec<String> {
        let ingresses = self.first.processes.iter().filter(|process| process.role == "ingress");
        ingresses.map(|ingress| format!("{}/scim/v2/acme", ingress.url.as_deref().unwrap())).collect()
    }

    /// The next line of its standard output that begins like this.
    pub(crate) async fn line(&mut self, beginning: &str) -> Option<String> {
        self.process.as_mut()?.line(beginning).await
    }

    /// SIGTERM; its exit status.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        self.process.take()?.terminate().await
    }

    /// SIGKILL of the supervisor itself.
    pub(crate) async fn kill(mut self) {
        if let Some(process) = self.process.take() {
            process.kill().await;
        }
    }
}

/// The folder goes only when nobody writes to it any more.
impl Drop for Dev {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.folder.path().join("dev.log")).unwrap_or_default());
        }
        let now = read(&self.folder).unwrap_or_else(|| self.first.clone());
        let pids: Vec<u32> = now.processes.iter().map(|process| process.pid).collect();
        drop(self.process.take());
        wait_for_end(&pids);
    }
}

impl Ready {
    /// The process of this name, unless it is being started again just now.
    pub(crate) fn process(&self, name: &str) -> Option<&Entry> {
        self.processes.iter().find(|process| process.name == name)
    }
}

impl Entry {
    /// SIGKILL.
    pub(crate) fn kill(&self) {
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
}

fn read(folder: &TempDir) -> Option<Ready> {
    let text = std::fs::read_to_string(folder.path().join("ready.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}
