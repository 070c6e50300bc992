//! `rosterd dev`: keeps a whole system running on this machine, for people and for test harnesses.

pub mod access;
pub mod component;
pub mod processes;
mod supervisor;
pub mod topology;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use protocol::id::{Namespace, WorkspaceId};
use runtime::settings::{Secret, SettingsError};
use runtime::signals::Signals;

use crate::dev::component::Programs;
use crate::dev::processes::Ready;
use crate::dev::topology::{SystemPlan, Topology};
use crate::servers::nats::LogSync;

/// The settings of `rosterd dev`.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "Example:\n  rosterd dev --data /tmp/acme --workers 4\n\nThe broker's and the database's URL can also come from the environment, which keeps their \
                        passwords out of process lists."
)]
pub struct DevArgs {
    /// Where the broker's log, the database, logs and the token are kept.
    #[arg(long, default_value = "rosterd-data", value_name = "DIR")]
    pub data: PathBuf,

    /// How many ingresses to run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub ingresses: u8,

    /// How many workers to run.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub workers: u8,

    /// The first ingress's port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,

    /// Use this database instead of an SQLite file in the data folder.
    #[arg(long, env = "ROSTERD_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// File that holds the database's URL.
    #[arg(long, env = "ROSTERD_DATABASE_URL_FILE", value_name = "FILE")]
    pub database_url_file: Option<PathBuf>,

    /// Use this broker instead of starting one.
    #[arg(long, env = "ROSTERD_NATS_URL", hide_env_values = true, value_name = "URL")]
    pub nats_url: Option<String>,

    /// File that holds the broker's URL.
    #[arg(long, env = "ROSTERD_NATS_URL_FILE", value_name = "FILE")]
    pub nats_url_file: Option<PathBuf>,

    /// What all subjects, streams and buckets begin with.
    #[arg(long, env = "ROSTERD_NAMESPACE", default_value = "rosterd")]
    pub namespace: Namespace,

    /// When the broker syncs its log to disk: before each acknowledgement, or every two minutes.
    #[arg(long, value_enum, default_value = "always")]
    pub log_sync: LogSync,

    /// The workspace to create and enable.
    #[arg(long, default_value = "acme")]
    pub workspace: WorkspaceId,

    /// Keep what runs, and the token, in this file (mode 0600, JSON, always current).
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

impl DevArgs {
    fn plan(&self) -> anyhow::Result<SystemPlan> {
        std::fs::create_dir_all(&self.data).with_context(|| format!("creating {}", self.data.display()))?;
        let data = self.data.canonicalize().with_context(|| format!("finding {}", self.data.display()))?;
        Ok(SystemPlan {
            rosterd: std::env::current_exe().context("finding the rosterd binary")?,
            data,
            ingresses: usize::from(self.ingresses),
            workers: usize::from(self.workers),
            temporary: false,
            port: self.port,
            nats_url: given(self.nats_url.as_deref(), self.nats_url_file.as_deref())?,
            database_url: given(self.database_url.as_deref(), self.database_url_file.as_deref())?,
            namespace: self.namespace.clone(),
            log_sync: self.log_sync,
            workspace: self.workspace.clone(),
            programs: Programs::default(),
            worker_environment: Vec::new(),
        })
    }
}

/// What the file holds, else the URL itself: the order of all commands.
fn given(url: Option<&str>, file: Option<&Path>) -> Result<Option<String>, SettingsError> {
    let held = Secret::given(file, &[])?;
    Ok(held.map(|url| url.reveal().to_owned()).or_else(|| url.map(str::to_owned)))
}

/// Runs a system until SIGINT or SIGTERM, then stops it in order.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let plan = args.plan()?;
    crate::say(&format!("data       {}", plan.data.display()));
    crate::say(&format!("logs       {}", plan.data.join("logs").display()));
    let topology = tokio::select! {
        started = Topology::start(&plan, crate::say) => started?,
        () = signals.next() => return Ok(()),
    };
    if let Some(path) = args.ready_file {
        topology.processes.keep_in(path, topology.ready.clone()).context("writing the ready file")?;
    }
    introduce(&topology.ready).context("writing to standard output")?;
    signals.next().await;
    crate::say("stopping");
    topology.stop().await;
    Ok(())
}

/// What a newcomer pastes.
fn introduce(ready: &Ready) -> std::io::Result<()> {
    let Ready { base_url, token, nats_url, .. } = ready;
    let mut output = std::io::stdout().lock();
    writeln!(output, "\nBase URL   {base_url}\nToken      {token}\n\nCreate somebody:\n")?;
    writeln!(output, "{}\n\nOperate it, in another terminal:\n", curl(base_url, token))?;
    writeln!(output, "export ROSTERD_NATS_URL='{nats_url}'")?;
    writeln!(output, "export ROSTERD_BASE_URL='{base_url}' ROSTERD_TOKEN='{token}'")?;
    writeln!(output, "\nCtrl-C stops everything.")?;
    output.flush()
}

fn curl(base_url: &str, token: &str) -> String {
    let body = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bjensen@example.com","name":{"givenName":"Barbara","familyName":"Jensen"},"active":true}"#;
    format!(
        "curl -i '{base_url}/Users' \\\n  -H 'Authorization: Bearer {token}' \\\n  -H 'Content-Type: application/scim+json' \\\n  -d '{body}'"
    )
}
