//! A whole system on this machine: a broker, workers, ingresses, and one workspace with a token.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use futures::future::BoxFuture;
use protocol::id::{Namespace, WorkspaceId};

use runtime::connection;
use runtime::settings::BrokerSettings;

use crate::dev::access;
use crate::dev::component::{Common, Component, Programs};
use crate::dev::processes::{ProcessTable, Ready};
use crate::dev::supervisor::Supervisor;
use crate::servers::nats::{self, LogSync};

/// How long a broker that was named may take to answer.
const BROKER_TIMEOUT: Duration = Duration::from_secs(3);

/// What to start.
#[derive(Debug, Clone)]
pub struct SystemPlan {
    /// The rosterd binary, which guards every process, and of which ingresses and workers are subcommands.
    pub rosterd: PathBuf,
    /// Where everything is kept: the broker's log, the database, logs, the token.
    pub data: PathBuf,
    /// How many ingresses.
    pub ingresses: usize,
    /// How many workers.
    pub workers: usize,
    /// Whether `data` is of no use when this process is gone, however that happens.
    pub temporary: bool,
    /// The first ingress's port; 0 for a free one. Further ones take free ones.
    pub port: u16,
    /// A broker that runs already.
    pub nats_url: Option<String>,
    /// A database that exists already; a file under `data` without it.
    pub database_url: Option<String>,
    /// What subjects, streams and buckets begin with.
    pub namespace: Namespace,
    /// When the broker syncs its log to disk.
    pub log_sync: LogSync,
    /// The workspace to create.
    pub workspace: WorkspaceId,
    /// The programs that ingresses and workers are.
    pub programs: Programs,
    /// Further environment of workers.
    pub worker_environment: Vec<(String, OsString)>,
}

/// A system that runs. Dropping it ends every process at once; [`Topology::stop`] lets them finish.
#[derive(Debug)]
pub struct Topology {
    /// What runs.
    pub processes: ProcessTable,
    /// How to reach it.
    pub ready: Ready,
    brokers: Supervisor,
    workers: Supervisor,
    ingresses: Supervisor,
}

impl Topology {
    /// Starts a system and waits until it serves requests. `say` hears what was started.
    #[inline(never)]
    pub fn start(plan: &SystemPlan, say: fn(&str)) -> BoxFuture<'_, anyhow::Result<Self>> {
        Box::pin(Self::begin(plan, say))
    }

    async fn begin(plan: &SystemPlan, say: fn(&str)) -> anyhow::Result<Self> {
        let (processes, logs) = (ProcessTable::default(), plan.data.join("logs"));
        std::fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let (mut brokers, mut workers, mut ingresses) = <(Supervisor, Supervisor, Supervisor)>::default();

        let nats_url = match &plan.nats_url {
            Some(url) => answering(url, plan).await?,
            None => start_broker(plan, &mut brokers, &processes).await?,
        };
        say(&format!("broker     {nats_url}"));
        let database_url = plan.database_url.clone().unwrap_or_else(|| sqlite_in(&plan.data));
        say(&format!("database   {}", without_login(&database_url)));
        let environment = environment(plan, &nats_url, &database_url);
        let (rosterd, programs) = (plan.rosterd.clone(), plan.programs.clone());
        let remove = plan.temporary.then(|| plan.data.clone());
        let mut common = Common { rosterd, programs, remove, logs, environment };
        for number in 1..=plan.workers {
            let mut own = common.clone();
            own.environment.extend(plan.worker_environment.iter().cloned());
            start(Component::Worker(number, own), &mut workers, &processes).await?;
        }
        say(&format!("workers    {}", plan.workers));

        let first = start(Component::Ingress(1, plan.port, common.clone()), &mut ingresses, &processes).await?;
        let public_url = first.context("the first ingress has no URL")?;
        common.environment.push(("ROSTERD_PUBLIC_URL".to_owned(), public_url.clone().into()));
        for number in 2..=plan.ingresses {
            start(Component::Ingress(number, 0, common.clone()), &mut ingresses, &processes).await?;
        }
        say(&format!("ingress    {public_url}"));

        let token = access::open(&nats_url, &plan.namespace, &plan.workspace, &plan.data).await?;
        let base_url = format!("{public_url}/scim/v2/{}", plan.workspace);
        let ready = Ready { base_url, token, nats_url, database_url, processes: processes.processes() };
        Ok(Self { processes, ready, brokers, workers, ingresses })
    }

    /// Stops in the order of a request's way: no new ones, then what is queued, then the log.
    pub async fn stop(self) {
        self.ingresses.stop().await;
        self.workers.stop().await;
        self.brokers.stop().await;
    }
}

/// A broker that was named has to answer at once: parts that wait for it would say nothing of why.
async fn answering(url: &str, plan: &SystemPlan) -> anyhow::Result<String> {
    let broker = BrokerSettings::known(url, plan.namespace.clone());
    let (options, servers) = connection::options(&broker, "rosterd", BROKER_TIMEOUT).await?;
    let connected = options.connect(servers).await;
    let advice = "no broker answers at the URL in --nats-url or ROSTERD_NATS_URL; without either, one is started";
    connected.context(advice)?;
    Ok(url.to_owned())
}

/// A database's URL without user, password and options.
fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split('?').next().unwrap_or_default();
    let host_and_name = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    format!("{scheme}  {host_and_name}").trim_start().to_owned()
}

async fn start_broker(plan: &SystemPlan, brokers: &mut Supervisor, processes: &ProcessTable) -> anyhow::Result<String> {
    let directory = plan.data.join("nats");
    std::fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let settings = nats::NatsSettings { guard: plan.rosterd.clone(), directory, port: None, log_sync: plan.log_sync };
    start(Component::Broker(settings), brokers, processes).await?.context("the broker has no URL")
}

/// Starts a part and keeps it running; where it can be reached.
async fn start(
    mut part: Component,
    supervisor: &mut Supervisor,
    processes: &ProcessTable,
) -> anyhow::Result<Option<String>> {
    let running = part.start().await.with_context(|| format!("starting {}", part.name()))?;
    processes.note(running.process.clone()).context("writing the ready file")?;
    let url = running.process.url.clone();
    supervisor.keep(part, running, processes.clone());
    Ok(url)
}

fn environment(plan: &SystemPlan, nats_url: &str, database_url: &str) -> Vec<(String, OsString)> {
    [
        ("ROSTERD_NATS_URL", nats_url),
        ("ROSTERD_DATABASE_URL", database_url),
        ("ROSTERD_NAMESPACE", plan.namespace.as_str()),
        // Workers that start together take turns at it.
        ("ROSTERD_MIGRATE", "true"),
        ("ROSTERD_LOG", "text"),
    ]
    .map(|(name, value)| (name.to_owned(), OsString::from(value)))
    .into()
}

fn sqlite_in(data: &Path) -> String {
    format!("sqlite://{}", data.join("rosterd.db").display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_named_without_its_login() {
        assert_eq!(
            without_login("postgres://me:p@ss@db.example.com:5432/rosterd?sslmode=require"),
            "postgres  db.example.com:5432/rosterd"
        );
        assert_eq!(without_login("sqlite:///data/rosterd.db"), "sqlite  /data/rosterd.db");
    }
}
