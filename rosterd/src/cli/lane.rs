//! `rosterd lane`: lists the lanes of the log, pauses one, lets it go on.

use clap::Subcommand;
use protocol::message::lane::Lane;
use protocol::message::operator::{OperatorError, Process};
use protocol::message::status::{LanePause, SetLane};
use runtime::clock;
use serde_json::json;

use super::connection::OperatorCommand;
use super::management::{CallError, Management};
use super::output::print;
use super::status::{LaneRow, lanes, table_of_lanes};
use super::statuses::Statuses;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List the lanes, and what waits in each.
    #[command(after_help = "\
Example:
  rosterd lane list -o json | jq '.lanes[] | select(.paused)'

With -o json: {lanes: [{lane, waiting_in_ingresses, in_log, pending, ack_pending, oldest_seconds, per_second, \
                            drain_seconds, paused: {reason, since}}]}.")]
    List,
    /// Pause a lane: workers pull nothing from it, and what comes waits in the log.
    #[command(after_help = "\
Example:
  rosterd lane pause bulk --reason \"database maintenance until 12:00\"

The urgent lane takes access away and cannot be paused.")]
    Pause {
        /// interactive or bulk.
        #[arg(value_parser = pausable)]
        lane: Lane,
        /// Why; others see it in `rosterd status`.
        #[arg(long)]
        reason: String,
    },
    /// Let a paused lane go on.
    #[command(after_help = "\
Example:
  rosterd lane resume bulk")]
    Resume {
        /// interactive or bulk.
        #[arg(value_parser = pausable)]
        lane: Lane,
    },
}

fn pausable(text: &str) -> Result<Lane, String> {
    match text.parse() {
        Ok(Lane::Urgent) => Err("the urgent lane takes access away and cannot be paused".to_owned()),
        Ok(lane) => Ok(lane),
        Err(_) => Err("a lane that can be paused is interactive or bulk".to_owned()),
    }
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    let management = connection.open().await?;
    match action {
        Action::List => {
            let lanes = lanes(&Statuses::gather(&management).await?);
            let shown: Vec<_> = lanes.iter().map(LaneRow::shown).collect();
            print(connection.output, &json!({ "lanes": shown }), || table_of_lanes(&lanes))
        }
        Action::Pause { lane, reason } => {
            let pause = LanePause { reason, since: clock::now() };
            set(&management, SetLane { lane, pause: Some(pause) }).await?;
            let said = format!("lane {lane} is paused; `rosterd lane resume {lane}` lets it go on");
            print(connection.output, &json!({ "lane": lane, "paused": true }), || said)
        }
        Action::Resume { lane } => {
            set(&management, SetLane { lane, pause: None }).await?;
            print(connection.output, &json!({ "lane": lane, "paused": false }), || format!("lane {lane} goes on"))
        }
    }
}

async fn set(management: &Management, call: SetLane) -> Result<(), CallError> {
    let payload = serde_json::to_vec(&call).map_err(|source| CallError::Message { source })?;
    let namespace = management.namespace();
    let asked = management.client().request(namespace.lanes(), payload.into()).await;
    let reply = asked.map_err(|_| CallError::Unanswered { process: Process::Worker, namespace: namespace.clone() })?;
    let done: Result<(), String> =
        serde_json::from_slice(&reply.payload).map_err(|source| CallError::Message { source })?;
    done.map_err(|detail| CallError::Refused(OperatorError::Unavailable { detail }))
}
