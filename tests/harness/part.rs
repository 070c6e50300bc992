//! An ingress or a worker that a test stops, freezes and starts again, always as the same part of its system.

use std::path::PathBuf;
use std::sync::Mutex as Lock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::process::signal;
use super::proxy::Proxy;
use super::scim::{Answer, Scim};
use super::{DEADLINE, Process, is_running};

/// A process, and what is needed to start it again. All of it can be done while others use the system.
#[derive(Debug)]
pub(crate) struct Part {
    settings: Settings,
    /// Environment that only this part has, from its next start on.
    own: Lock<Vec<(String, String)>>,
    process: Mutex<Option<Process>>,
    pid: AtomicU32,
}

/// What a part is, at each of its starts.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The subcommand and its arguments.
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) log: PathBuf,
    /// How the line begins by which it says that it is ready.
    pub(crate) ready: &'static str,
    /// Where it listens, if it is an ingress.
    pub(crate) url: Option<String>,
    /// Where its metrics are, if a test wants to read them.
    pub(crate) operations: Option<String>,
    /// Its way to the broker, and to the database, if a test wants to harm them.
    pub(crate) broker_link: Option<Proxy>,
    pub(crate) database_link: Option<Proxy>,
}

impl Part {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, own: Lock::default(), process: Mutex::new(None), pid: AtomicU32::new(0) }
    }

    /// The process id of its latest start.
    pub(crate) fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    /// Whether its process is there.
    pub(crate) fn is_running(&self) -> bool {
        is_running(self.pid())
    }

    /// What it shows to Prometheus.
    pub(crate) async fn metrics(&self) -> String {
        self.operation("/metrics").await.text
    }

    /// What it answers to operators' tools.
    pub(crate) async fn operation(&self, path: &str) -> Answer {
        let url = self.settings.operations.as_ref().expect("a system that is measured");
        Scim::new(url, "").get(path).await
    }

    /// Its way to the broker.
    pub(crate) fn broker_link(&self) -> &Proxy {
        self.settings.broker_link.as_ref().expect("a system of proxied parts")
    }

    /// Its way to the database.
    pub(crate) fn database_link(&self) -> &Proxy {
        self.settings.database_link.as_ref().expect("a worker of a system of proxied parts, on PostgreSQL")
    }

    /// Arms a failpoint from its next start on: `name=abort`, `name=sleep(3000)`, `name=abort@3`.
    pub(crate) fn arm(&self, failpoint: &str) {
        self.set("ROSTERD_FAILPOINT", failpoint);
    }

    /// Disarms it from its next start on.
    pub(crate) fn disarm(&self) {
        self.own.lock().unwrap().retain(|(name, _)| name != "ROSTERD_FAILPOINT");
    }

    /// Sets a variable of its environment from its next start on.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let mut own = self.own.lock().unwrap();
        own.retain(|(earlier, _)| earlier != name);
        own.push((name.to_owned(), value.to_owned()));
    }

    /// Starts its process and waits until it is ready.
    pub(crate) async fn start(&self) {
        self.launch().await;
        self.until_ready().await;
    }

    /// Starts its process, which has ended or was never there.
    pub(crate) async fn launch(&self) {
        let mut process = self.process.lock().await;
        let arguments: Vec<&str> = self.settings.arguments.iter().map(String::as_str).collect();
        let own = self.own.lock().unwrap().clone();
        let environment: Vec<(&str, &str)> =
            self.settings.environment.iter().chain(&own).map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let started = Process::start(&arguments, &environment, &self.settings.log).await;
        self.pid.store(started.pid(), Ordering::Relaxed);
        *process = Some(started);
    }

    /// Waits until its latest start is ready.
    pub(crate) async fn until_ready(&self) {
        assert!(self.is_ready().await, "{:?} did not become ready: {}", self.settings.arguments, self.log());
    }

    /// Waits until its latest start is ready; false if it died instead, or needs too long.
    pub(crate) async fn is_ready(&self) -> bool {
        if self.process.lock().await.as_mut().unwrap().line(self.settings.ready).await.is_none() {
            return false;
        }
        let Some(url) = &self.settings.url else { return true };
        let (probe, deadline) = (Scim::new(url, ""), Instant::now() + DEADLINE);
        while self.is_running() && Instant::now() < deadline {
            if probe.try_get("/readyz").await.is_some_and(|answer| answer.status == 200) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Waits until its process ends by itself; its exit status, or 128 and the signal.
    pub(crate) async fn end(&self) -> Option<i32> {
        self.process.lock().await.as_mut().unwrap().end().await
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self) {
        if let Some(process) = self.process.lock().await.take() {
            process.kill().await;
        }
    }

    /// SIGTERM; the exit status, none if it had to be killed.
    pub(crate) async fn terminate(&self) -> Option<i32> {
        let process = self.process.lock().await.take();
        process?.terminate().await
    }

    /// SIGTERM; does not wait for the end.
    pub(crate) fn tell_to_stop(&self) {
        signal(self.pid(), Signal::TERM);
    }

    /// SIGKILL, and a start.
    pub(crate) async fn restart(&self) {
        self.kill().await;
        self.start().await;
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        signal(self.pid(), Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        signal(self.pid(), Signal::CONT);
    }

    /// What its processes wrote to their log.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.settings.log).unwrap_or_default()
    }
}
