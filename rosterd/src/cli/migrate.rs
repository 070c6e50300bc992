//! `rosterd migrate`: the only command that opens the database.

use clap::Subcommand;
use migrations::Step;
use runtime::settings::DatabaseSettings;
use serde_json::{Value, json};

use super::output::{Format, print};

const HELP: &str = "\
Example:
  ROSTERD_DATABASE_URL=postgres://me@host/rosterd rosterd migrate up

All print the steps as they are then; with -o json: {steps: [{name, applied}]}.";

/// Settings of `rosterd migrate`. The database's URL may hold a password: it has no flag.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Where the database is.
    #[command(flatten)]
    database: DatabaseSettings,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    output: Format,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Take all pending steps.
    Up,
    /// Take back the last steps, with all data in their tables.
    Down {
        /// How many.
        #[arg(long, default_value_t = 1)]
        steps: u32,
    },
    /// List the steps and whether they were taken.
    Status,
}

pub(super) async fn run(Args { database, output, action }: Args) -> anyhow::Result<()> {
    let secret = database.url()?;
    let url = secret.reveal();
    match action {
        Action::Up => migrations::up(url).await?,
        Action::Down { steps } => migrations::down(url, steps).await?,
        Action::Status => {}
    }
    let steps = migrations::status(url).await?;
    let list: Vec<Value> = steps.iter().map(|step| json!({ "name": step.name, "applied": step.applied })).collect();
    print(output, &json!({ "steps": list }), || lines(&steps))
}

fn lines(steps: &[Step]) -> String {
    let state = |applied| if applied { "applied" } else { "pending" };
    let lines: Vec<String> = steps.iter().map(|step| format!("{} {}", state(step.applied), step.name)).collect();
    lines.join("\n")
}
