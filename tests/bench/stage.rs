//! A system of its own for one measurement, with empty log and database.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use protocol::id::WorkspaceId;
use rosterd::dev::access;
use rosterd::dev::component::Programs;
use rosterd::dev::processes::{Process, Role};
use rosterd::dev::topology::{SystemPlan, Topology};
use rosterd::servers::nats::LogSync;
use rosterd::servers::postgres;
use serde::Serialize;
use tempfile::TempDir;

use super::ROSTERD;
use super::load::Caller;
use super::slow::SlowLink;

/// Which database is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
pub(super) enum Database {
    /// A file.
    #[serde(rename = "SQLite")]
    Sqlite,
    /// A server of its own, with fsync.
    #[serde(rename = "PostgreSQL")]
    Postgresql,
}

impl Database {
    pub(super) const BOTH: [Self; 2] = [Self::Sqlite, Self::Postgresql];
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgresql => "PostgreSQL",
        })
    }
}

/// What is started.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) database: Database,
    pub(super) ingresses: usize,
    pub(super) workers: usize,
    pub(super) log_sync: LogSync,
    /// How much longer each message to the database takes.
    pub(super) latency: Option<Duration>,
    /// Further environment of workers.
    pub(super) worker_environment: Vec<(String, OsString)>,
    /// The folder of the standalone binaries; those of rosterd without it.
    pub(super) binaries: Option<PathBuf>,
}

impl Setup {
    /// One ingress and one worker, with a log that is synced every two minutes.
    pub(super) const fn on(database: Database) -> Self {
        Self {
            database,
            ingresses: 1,
            workers: 1,
            log_sync: LogSync::Interval,
            latency: None,
            worker_environment: Vec::new(),
            binaries: None,
        }
    }
}

/// The value of `--log-sync`.
pub(super) const fn flag(log_sync: LogSync) -> &'static str {
    match log_sync {
        LogSync::Always => "always",
        LogSync::Interval => "interval",
    }
}

/// Measures beside a PostgreSQL with fsync, which ends afterwards.
pub(super) async fn on_postgresql<T>(
    measure: impl AsyncFnOnce(&postgres::PostgresServer) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let server =
        postgres::start(&postgres::PostgresSettings { guard: ROSTERD.into(), fsync: true }, rosterd::say).await?;
    let measured = measure(&server).await;
    server.stop().await.context("stopping PostgreSQL")?;
    measured
}

/// A system that runs.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) workspace: WorkspaceId,
    pub(super) topology: Topology,
    plan: SystemPlan,
    folder: TempDir,
    _link: Option<SlowLink>,
}

impl Stage {
    /// Starts it. `name` is its namespace and its database.
    pub(super) async fn start(name: &str, setup: &Setup, server: &postgres::PostgresServer) -> anyhow::Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("rosterd-bench-").tempdir().context("making a temporary folder")?;
        let (mut database_url, mut link) = (None, None);
        if setup.database == Database::Postgresql {
            server.create_database(name, None).await?;
            let mut url = server.url(name);
            if let Some(latency) = setup.latency {
                let (slow, through) = SlowLink::to_url(&url, latency).await?;
                (url, link) = (through, Some(slow));
            }
            database_url = Some(url);
        }
        let plan = SystemPlan {
            temporary: false,
            rosterd: ROSTERD.into(),
            data: folder.path().to_owned(),
            ingresses: setup.ingresses,
            workers: setup.workers,
            port: 0,
            nats_url: None,
            database_url,
            namespace: name.parse().context("naming the run")?,
            log_sync: setup.log_sync,
            workspace: "acme".parse()?,
            programs: setup.binaries.clone().map_or(Programs::Subcommands, Programs::Standalone),
            worker_environment: setup.worker_environment.clone(),
        };
        let topology = Topology::start(&plan, |_| ()).await?;
        Ok(Self { workspace: plan.workspace.clone(), topology, plan, folder, _link: link })
    }

    /// Whoever sends requests to it.
    pub(super) fn caller(&self) -> anyhow::Result<Caller> {
        Caller::new(&self.base_urls(), &self.topology.ready.token)
    }

    /// Whoever sends requests to another workspace of it, which is created.
    pub(super) async fn another(&self, workspace: &str) -> anyhow::Result<Caller> {
        let (workspace, folder) = (workspace.parse()?, self.folder.path().join(workspace));
        std::fs::create_dir(&folder).with_context(|| format!("creating {}", folder.display()))?;
        let nats_url = &self.topology.ready.nats_url;
        let token = access::open(nats_url, &self.plan.namespace, &workspace, &folder).await?;
        Caller::new(&self.base_urls_of(&workspace), &token)
    }

    /// The Base URL at each ingress.
    pub(super) fn base_urls(&self) -> Vec<String> {
        self.base_urls_of(&self.workspace)
    }

    fn base_urls_of(&self, workspace: &WorkspaceId) -> Vec<String> {
        let urls = self.processes(Role::Ingress).filter_map(|process| process.url);
        urls.map(|url| format!("{url}/scim/v2/{workspace}")).collect()
    }

    /// Its processes of one kind.
    pub(super) fn processes(&self, role: Role) -> impl Iterator<Item = Process> {
        self.topology.processes.processes().into_iter().filter(move |process| process.role == role)
    }

    /// Ends it and starts it again, with what it kept.
    pub(super) async fn again(self) -> anyhow::Result<Self> {
        self.topology.stop().await;
        let topology = Topology::start(&self.plan, |_| ()).await?;
        Ok(Self { topology, ..self })
    }

    /// Ends it and removes what it kept.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.topology.stop().await;
        self.folder.close().context("removing the temporary folder")
    }
}
