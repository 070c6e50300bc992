//! `migrations up|down|status`: brings the schema of a database to a state, without a worker.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Migrates rosterd's database.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The database: `sqlite://FILE` or `postgres://…`
    #[arg(long, env = "ROSTERD_DATABASE_URL", hide_env_values = true, global = true)]
    database_url: Option<String>,

    /// A file that holds the URL.
    #[arg(long, env = "ROSTERD_DATABASE_URL_FILE", global = true)]
    database_url_file: Option<PathBuf>,

    #[arg(long, env = "DATABASE_URL", hide = true, hide_env_values = true, global = true)]
    database_url_fallback: Option<String>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Takes all pending steps.
    Up,
    /// Takes back the last steps, with all data in their tables.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// Lists the steps and whether they were taken.
    Status,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let url = arguments.url()?;
    match arguments.action {
        Action::Up => migrations::up(&url).await?,
        Action::Down { steps } => migrations::down(&url, steps).await?,
        Action::Status => print_status(&migrations::status(&url).await?)?,
    }
    Ok(())
}

fn print_status(steps: &[migrations::Step]) -> std::io::Result<()> {
    use std::io::Write;
    let mut output = std::io::stdout().lock();
    for step in steps {
        writeln!(output, "{:<8} {}", if step.applied { "applied" } else { "pending" }, step.name)?;
    }
    Ok(())
}

impl Arguments {
    /// Own variable, then file, then the world's name for it.
    fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        if let Some(path) = &self.database_url_file {
            let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            return Ok(text.trim().to_owned());
        }
        let missing = "set ROSTERD_DATABASE_URL, ROSTERD_DATABASE_URL_FILE or DATABASE_URL";
        self.database_url_fallback.clone().context(missing)
    }
}
