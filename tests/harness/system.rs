//! A whole system without a supervisor, whose processes a test stops and starts itself.

use std::ops::Deref;

use super::command::{Said, rosterd};
use super::process::wait_for_end;
use super::scim::Scim;
use super::{Bench, Database, Process, Schema, eventually};

/// One system: `ingresses` and `workers` are there to be stopped.
pub(crate) struct System {
    pub(crate) ingresses: Vec<Process>,
    pub(crate) workers: Vec<Process>,
    urls: Vec<String>,
    token: String,
    started: Vec<u32>,
    bench: Bench,
}

impl System {
    /// One ingress, one worker, and the workspace `acme` with a token.
    pub(crate) async fn start(database: Database) -> Self {
        Self::start_with(database, 1, 1).await
    }

    /// So many ingresses and workers, and the workspace `acme` with a token.
    pub(crate) async fn start_with(database: Database, ingresses: usize, workers: usize) -> Self {
        let bench = Bench::new(database, Schema::Current).await;
        let (urls, token, started) = (Vec::new(), String::new(), Vec::new());
        let mut system = Self { ingresses: Vec::new(), workers: Vec::new(), urls, token, started, bench };
        for _ in 0..workers {
            system.add_worker().await;
        }
        for _ in 0..ingresses {
            system.add_ingress().await;
        }
        system.rosterd(&["workspace", "create", "acme", "--name", "Acme Inc."]).await.expect_success();
        let enabled = system.rosterd(&["workspace", "enable", "acme", "-o", "json"]).await.expect_success().json();
        enabled["token"].as_str().unwrap().clone_into(&mut system.token);
        system
    }

    /// One more worker; returns when it is ready.
    pub(crate) async fn add_worker(&mut self) {
        let mut worker = self.bench.worker(&[]).await;
        assert!(worker.line("ready").await.is_some(), "a worker did not become ready: {}", self.logs());
        self.started.push(worker.pid());
        self.workers.push(worker);
    }

    /// The workspace as a provider sees it at the first ingress.
    pub(crate) fn scim(&self) -> Scim {
        self.scim_at(0)
    }

    /// The same at another ingress.
    pub(crate) fn scim_at(&self, ingress: usize) -> Scim {
        Scim::new(format!("{}/scim/v2/acme", self.urls[ingress]), &self.token)
    }

    /// The workspace's first token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Runs a command of the operator, who knows the first ingress as the public URL.
    pub(crate) async fn rosterd(&self, arguments: &[&str]) -> Said {
        let mut environment = self.environment();
        environment.push(("ROSTERD_PUBLIC_URL", &self.urls[0]));
        rosterd(arguments, &environment).await
    }

    /// Plays a provider from the command line.
    pub(crate) async fn simulate(&self, arguments: &[&str]) -> Said {
        let base_urls: Vec<String> = self.urls.iter().map(|url| format!("{url}/scim/v2/acme")).collect();
        let environment = [("ROSTERD_BASE_URL", &*base_urls.join(",")), ("ROSTERD_TOKEN", self.token())];
        let arguments: Vec<&str> = std::iter::once("simulate").chain(arguments.iter().copied()).collect();
        rosterd(&arguments, &environment).await
    }

    async fn add_ingress(&mut self) {
        let mut ingress = self.bench.ingress().await;
        let line = ingress.line("listening ").await;
        let line = line.unwrap_or_else(|| panic!("an ingress did not become ready: {}", self.logs()));
        let url = line.trim_start_matches("listening ").trim_end_matches('/').to_owned();
        let probe = Scim::new(&url, "");
        eventually("the ingress is ready", async || (probe.get("/readyz").await.status == 200).then_some(())).await;
        self.started.push(ingress.pid());
        self.urls.push(url);
        self.ingresses.push(ingress);
    }
}

impl Deref for System {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

/// The folder goes only when nobody writes to it any more.
impl Drop for System {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        self.ingresses.clear();
        self.workers.clear();
        wait_for_end(&self.started);
    }
}
