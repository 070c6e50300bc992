//! `rosterd worker`: runs one, lists them, drains one.

use clap::Subcommand;
use protocol::message::operator::OperatorError;
use serde_json::json;

use super::management::{CallError, Management};
use super::output::{Format, print};
use super::status::{shown_workers, table_of_workers};
use super::statuses::Statuses;

/// Settings of `rosterd worker`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rosterd worker                     runs one worker
  rosterd worker list
  rosterd worker drain w-9fQ2kLmZ    it finishes what it has and leaves")]
pub(super) struct Args {
    #[command(flatten)]
    config: ::worker::config::Config,

    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the workers that answer.
    #[command(after_help = "\
Example:
  rosterd worker list -o json | jq -r '.workers[].instance'

With -o json: {workers: [{instance, host, version, state, started_at, in_flight, queued, held, parked, batches, busy, \
                            settled, envelope, database_answers}]}.")]
    List {
        /// How the result is printed.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Tell a worker to finish what it has and to leave; its supervisor may start it again.
    #[command(after_help = "\
Example:
  rosterd worker drain w-9fQ2kLmZ")]
    Drain {
        /// Which one, as `rosterd worker list` names it.
        instance: String,
    },
}

pub(super) async fn run(Args { config, action }: Args) -> anyhow::Result<()> {
    let Some(action) = action else { return Ok(::worker::run(config).await?) };
    let management = Management::connect(&config.broker).await?;
    match action {
        Action::List { output } => {
            let statuses = Statuses::gather(&management).await?;
            let shown = json!({ "workers": shown_workers(&statuses) });
            print(output, &shown, || table_of_workers(&statuses))
        }
        Action::Drain { instance } => drain(&management, &instance).await,
    }
}

async fn drain(management: &Management, instance: &str) -> anyhow::Result<()> {
    let is_name = !instance.is_empty() && instance.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let subject = management.namespace().drain(instance);
    if !is_name || management.client().request(subject, "".into()).await.is_err() {
        let absent = CallError::Refused(OperatorError::NotFound { what: format!("worker {instance}") });
        return Err(anyhow::Error::from(absent).context("`rosterd worker list` names the workers that answer"));
    }
    crate::say(&format!("{instance} finishes what it has and leaves"));
    Ok(())
}
