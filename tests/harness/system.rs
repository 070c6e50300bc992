//! A whole system without a supervisor, whose processes and servers a test harms and starts again itself.

use std::ops::Deref;

use rosterd::servers::free_port;
use rosterd::servers::nats::LogSync;
use serde_json::Value;

use super::command::{Said, rosterd};
use super::part::{Part, Settings};
use super::process::wait_for_end;
use super::proxy::Proxy;
use super::scim::Scim;
use super::{Bench, Database, OwnBroker, OwnPostgresql, Schema};

/// One system: its parts and its own servers are there to be harmed.
pub(crate) struct System {
    pub(crate) ingresses: Vec<Part>,
    pub(crate) workers: Vec<Part>,
    /// The broker, if it is the system's own.
    broker: Option<OwnBroker>,
    /// The PostgreSQL, if it is the system's own.
    postgresql: Option<OwnPostgresql>,
    plan: Plan,
    /// The Base URL of each ingress's workspace begins with one of these.
    urls: Vec<String>,
    token: String,
    bench: Bench,
}

/// What a system consists of.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    database: Database,
    own_postgresql: bool,
    broker: Broker,
    proxied: bool,
    ingresses: usize,
    workers: usize,
    worker_arguments: Vec<String>,
    ingress_environment: Vec<(String, String)>,
    measured: bool,
    /// What ingresses and workers log, instead of `info`.
    log_filter: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broker {
    /// That of the run, which nobody may harm.
    Shared,
    One(LogSync),
    Three(LogSync),
}

impl Plan {
    pub(crate) const fn ingresses(mut self, ingresses: usize) -> Self {
        self.ingresses = ingresses;
        self
    }

    pub(crate) const fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// A broker of its own: one server.
    pub(crate) const fn own_broker(mut self, log_sync: LogSync) -> Self {
        self.broker = Broker::One(log_sync);
        self
    }

    /// A broker of its own: three servers, which keep the log together.
    pub(crate) const fn three_brokers(mut self, log_sync: LogSync) -> Self {
        self.broker = Broker::Three(log_sync);
        self
    }

    /// A PostgreSQL of its own.
    pub(crate) const fn own_postgresql(mut self) -> Self {
        self.database = Database::Postgresql;
        self.own_postgresql = true;
        self
    }

    /// Every part has a way of its own to the broker, every worker one to its PostgreSQL, which a test can harm.
    ///
    /// Not with three brokers: they tell their clients of each other.
    pub(crate) const fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// What each worker is started with.
    pub(crate) fn worker_arguments(mut self, arguments: &[&str]) -> Self {
        self.worker_arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self
    }

    /// A setting that each ingress is started with.
    pub(crate) fn ingress_setting(mut self, name: &str, value: &str) -> Self {
        self.ingress_environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Every part listens for operators' tools.
    pub(crate) const fn measured(mut self) -> Self {
        self.measured = true;
        self
    }

    /// What ingresses and workers log, instead of `info`.
    pub(crate) const fn log_filter(mut self, filter: &'static str) -> Self {
        self.log_filter = Some(filter);
        self
    }

    /// Starts it all, and the workspace `acme` with a token.
    pub(crate) async fn start(self) -> System {
        let (broker, postgresql) = futures::join!(Box::pin(self.start_broker()), Box::pin(self.start_postgresql()));
        let nats_url = broker.as_ref().map(OwnBroker::url);
        let database_url = postgresql.as_ref().map(|server| server.url().to_owned());
        let bench = Box::pin(Bench::on(self.database, Schema::Current, nats_url, database_url)).await;
        let (ingresses, workers, urls, token) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        let (first_ingresses, first_workers) = (self.ingresses, self.workers);
        let mut system = System { ingresses, workers, broker, postgresql, plan: self, urls, token, bench };
        for _ in 0..first_workers {
            system.add_worker().await;
        }
        for _ in 0..first_ingresses {
            system.add_ingress().await;
        }
        system.enable_workspace().await;
        system
    }

    async fn start_broker(&self) -> Option<OwnBroker> {
        match self.broker {
            Broker::Shared => None,
            Broker::One(log_sync) => Some(OwnBroker::one(log_sync).await),
            Broker::Three(log_sync) => Some(OwnBroker::three(log_sync).await),
        }
    }

    async fn start_postgresql(&self) -> Option<OwnPostgresql> {
        if self.own_postgresql { Some(OwnPostgresql::start(Schema::Current).await) } else { None }
    }
}

impl System {
    /// One ingress and one worker, on the servers of the run, unless the plan is changed.
    pub(crate) const fn plan(database: Database) -> Plan {
        Plan {
            database,
            own_postgresql: false,
            broker: Broker::Shared,
            proxied: false,
            ingresses: 1,
            workers: 1,
            worker_arguments: Vec::new(),
            ingress_environment: Vec::new(),
            measured: false,
            log_filter: None,
        }
    }

    /// One ingress, one worker, and the workspace `acme` with a token.
    pub(crate) async fn start(database: Database) -> Self {
        Self::plan(database).start().await
    }

    /// So many ingresses and workers, and the workspace `acme` with a token.
    pub(crate) async fn start_with(database: Database, ingresses: usize, workers: usize) -> Self {
        Self::plan(database).ingresses(ingresses).workers(workers).start().await
    }

    /// One more worker; returns when it is ready.
    pub(crate) async fn add_worker(&mut self) {
        let worker = self.new_worker().await;
        worker.start().await;
    }

    /// One more worker, which does not run yet.
    pub(crate) async fn new_worker(&mut self) -> &Part {
        let mut arguments = vec!["worker".to_owned()];
        arguments.extend(self.plan.worker_arguments.iter().cloned());
        if matches!(self.plan.broker, Broker::Three(_)) {
            arguments.extend(["--replicas".to_owned(), "3".to_owned()]);
        }
        let mut settings = self.settings("worker", arguments, "ready").await;
        if self.plan.proxied && self.plan.database == Database::Postgresql {
            let link = Proxy::to_url(self.bench.database_url()).await;
            replace(&mut settings.environment, "ROSTERD_DATABASE_URL", &link.url(self.bench.database_url()));
            settings.database_link = Some(link);
        }
        self.workers.push(Part::new(settings));
        self.workers.last().unwrap()
    }

    /// One more ingress; returns when it is ready.
    pub(crate) async fn add_ingress(&mut self) {
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let arguments = ["ingress", "--listen", &address].map(str::to_owned).to_vec();
        let url = format!("http://{address}");
        let mut settings = self.settings("ingress", arguments, "listening ").await;
        settings.url = Some(url.clone());
        // Nobody has to see it stop; a test of that sets another.
        settings.environment.push(("ROSTERD_DRAIN_DELAY".to_owned(), "0".to_owned()));
        settings.environment.extend(self.plan.ingress_environment.iter().cloned());
        self.urls.push(url);
        self.ingresses.push(Part::new(settings));
        self.ingresses.last().unwrap().start().await;
    }

    /// The system's own broker.
    pub(crate) const fn broker(&self) -> &OwnBroker {
        self.broker.as_ref().expect("a plan with a broker of its own")
    }

    /// The system's own PostgreSQL.
    pub(crate) const fn postgresql(&self) -> &OwnPostgresql {
        self.postgresql.as_ref().expect("a plan with a PostgreSQL of its own")
    }

    /// The workspace as a provider sees it at the first ingress.
    pub(crate) fn scim(&self) -> Scim {
        self.scim_at(0)
    }

    /// The same at another ingress.
    pub(crate) fn scim_at(&self, ingress: usize) -> Scim {
        Scim::new(format!("{}/scim/v2/acme", self.urls[ingress]), &self.token)
    }

    /// The workspace's Base URL at every ingress.
    pub(crate) fn base_urls(&self) -> Vec<String> {
        self.urls.iter().map(|url| format!("{url}/scim/v2/acme")).collect()
    }

    /// Where an ingress listens.
    pub(crate) fn url_of(&self, ingress: usize) -> &str {
        &self.urls[ingress]
    }

    /// The workspace's first token.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// One more workspace, with a token of its own, at the first ingress.
    pub(crate) async fn enable(&self, workspace: &str) -> Scim {
        self.rosterd(&["workspace", "create", workspace, "--name", workspace]).await.expect_success();
        let enabled = self.rosterd_json(&["workspace", "enable", workspace]).await;
        Scim::new(format!("{}/scim/v2/{workspace}", self.urls[0]), enabled["token"].as_str().unwrap())
    }

    /// Runs a command of the operator.
    pub(crate) async fn rosterd(&self, arguments: &[&str]) -> Said {
        rosterd(arguments, &self.environment()).await
    }

    /// What a command of the operator prints as JSON.
    pub(crate) async fn rosterd_json(&self, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        self.rosterd(&arguments).await.expect_success().json()
    }

    /// Plays a provider from the command line.
    pub(crate) async fn simulate(&self, arguments: &[&str]) -> Said {
        let environment = [("ROSTERD_BASE_URL", &*self.base_urls().join(",")), ("ROSTERD_TOKEN", self.token())];
        let arguments: Vec<&str> = std::iter::once("simulate").chain(arguments.iter().copied()).collect();
        rosterd(&arguments, &environment).await
    }

    async fn enable_workspace(&mut self) {
        if self.urls.is_empty() || self.workers.is_empty() {
            return;
        }
        self.rosterd(&["workspace", "create", "acme", "--name", "Acme Inc."]).await.expect_success();
        let enabled = self.rosterd_json(&["workspace", "enable", "acme"]).await;
        enabled["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    async fn settings(&self, role: &str, arguments: Vec<String>, ready: &'static str) -> Settings {
        let environment = self.bench.environment();
        let mut environment: Vec<(String, String)> =
            environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if let Some(filter) = self.plan.log_filter {
            replace(&mut environment, "RUST_LOG", filter);
        }
        let mut broker_link = None;
        if self.plan.proxied {
            assert!(!matches!(self.plan.broker, Broker::Three(_)), "three brokers tell their clients of each other");
            let link = Proxy::to_url(self.bench.nats_url()).await;
            replace(&mut environment, "ROSTERD_NATS_URL", &link.url(self.bench.nats_url()));
            broker_link = Some(link);
        }
        let operations = self.plan.measured.then(|| format!("127.0.0.1:{}", free_port().unwrap()));
        if let Some(address) = &operations {
            environment.push(("ROSTERD_OPERATIONS_LISTEN".to_owned(), address.clone()));
        }
        let operations = operations.map(|address| format!("http://{address}"));
        let log = self.bench.log_file(role);
        Settings { arguments, environment, log, ready, url: None, operations, broker_link, database_link: None }
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
            let broker = self.broker.as_ref().map(OwnBroker::logs).unwrap_or_default();
            eprintln!("{}{broker}", self.logs());
        }
        let parts = self.ingresses.drain(..).chain(self.workers.drain(..));
        let pids: Vec<u32> = parts.map(|part| part.pid()).filter(|pid| *pid > 0).collect();
        wait_for_end(&pids);
    }
}

fn replace(environment: &mut [(String, String)], name: &str, value: &str) {
    environment.iter_mut().filter(|(set, _)| set == name).for_each(|(_, set)| value.clone_into(set));
}
