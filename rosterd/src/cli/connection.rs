//! Where the system is that a command talks to.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use protocol::id::Namespace;

use crate::cli::management::Management;
use crate::cli::output::Format;

/// A command that calls a running system: where that is, and which action was chosen.
#[derive(Debug, clap::Args)]
pub(super) struct OperatorCommand<A: Subcommand> {
    #[command(flatten)]
    pub(super) connection: Connection,

    #[command(subcommand)]
    pub(super) action: A,
}

/// Where the system is, and how the result is printed. The broker's URL may hold a password: it has no flag.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// File that holds the broker's URL [or: `ROSTERD_NATS_URL`].
    #[arg(long, env = "ROSTERD_NATS_URL_FILE", global = true, value_name = "FILE")]
    nats_url_file: Option<PathBuf>,

    /// What all subjects, streams and buckets begin with.
    #[arg(long, env = "ROSTERD_NAMESPACE", default_value = "rosterd", global = true)]
    namespace: Namespace,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    pub(super) output: Format,
}

impl Connection {
    /// Connects to the broker.
    pub(super) async fn open(&self) -> anyhow::Result<Management> {
        let given = given(self.nats_url_file.as_deref(), &["ROSTERD_NATS_URL", "NATS_URL"])?;
        let url = given.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
        Ok(Management::connect(&url, self.namespace.clone()).await?)
    }
}

/// A setting that may be secret: from its file, else from the first environment variable that is set.
pub(super) fn given(file: Option<&Path>, names: &[&str]) -> anyhow::Result<Option<String>> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        return Ok(Some(text.trim().to_owned()));
    }
    Ok(names.iter().find_map(|name| environment(name)))
}

#[expect(clippy::disallowed_methods, reason = "a secret must not be an argument, so it is no clap field")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
