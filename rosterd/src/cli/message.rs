//! `rosterd message`: what the log holds, and why it waits.

use std::collections::HashMap;
use std::time::Duration;

use clap::Subcommand;
use futures::StreamExt;
use protocol::message::operator::Process;
use protocol::message::pending::{PendingMessage, Waits, WhyWaits};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::connection::OperatorCommand;
use super::management::{CallError, Management};
use super::output::{print, table};
use super::statuses::Statuses;

/// How long workers' answers are waited for.
const GATHER_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List the oldest 100 messages that the log holds, and why each waits; never their content.
    #[command(after_help = "\
Example:
  rosterd message list --pending -o json | jq '.messages[] | {sequence, why}'

With -o json: {messages: [{sequence, accepted_at, target: {lane, workspace, resource_type, resource}, why}]}.")]
    List {
        /// Those that are not settled yet.
        #[arg(long, required = true)]
        pending: bool,
    },
}

pub(super) async fn run(
    OperatorCommand { connection, action: Action::List { .. } }: OperatorCommand<Action>,
) -> anyhow::Result<()> {
    let management = connection.open().await?;
    let statuses = Statuses::gather(&management).await?;
    let messages = listed(&management).await?;
    let held = held(&management).await;
    let told: Vec<(&PendingMessage, String)> =
        messages.iter().map(|message| (message, why(message, held.get(&message.sequence), &statuses))).collect();
    let shown: Vec<Value> = told.iter().map(|(message, why)| shown(message, why)).collect();
    print(connection.output, &json!({ "messages": shown }), || table_of(&told))
}

async fn listed(management: &Management) -> Result<Vec<PendingMessage>, CallError> {
    let namespace = management.namespace();
    let asked = management.client().request(namespace.pending_lists(), "".into()).await;
    let reply = asked.map_err(|_| CallError::Unanswered { process: Process::Worker, namespace: namespace.clone() })?;
    serde_json::from_slice(&reply.payload).map_err(|source| CallError::Message { source })
}

/// What workers have, by sequence. One that does not answer has nothing to say.
async fn held(management: &Management) -> HashMap<u64, WhyWaits> {
    let client = management.client();
    let (inbox, mut held) = (client.new_inbox(), HashMap::new());
    let Ok(replies) = client.subscribe(inbox.clone()).await else { return held };
    if client.publish_with_reply(management.namespace().pending_in_workers(), inbox, "".into()).await.is_err() {
        return held;
    }
    let mut replies = replies.take_until(Box::pin(tokio::time::sleep(GATHER_TIMEOUT)));
    while let Ok(Some(reply)) = timeout(GATHER_TIMEOUT, replies.next()).await {
        let waits: Vec<Waits> = serde_json::from_slice(&reply.payload).unwrap_or_default();
        held.extend(waits.into_iter().map(|waits| (waits.sequence, waits.why)));
    }
    held
}

fn why(message: &PendingMessage, held: Option<&WhyWaits>, statuses: &Statuses) -> String {
    if let Some(version) = message.too_new {
        return format!("too new: form {version} needs a newer worker");
    }
    let paused = message.target.as_ref().and_then(|target| statuses.lane(target.lane)?.paused.as_ref());
    match (held, paused) {
        (Some(WhyWaits::Running), _) => "in a batch that runs".to_owned(),
        (Some(WhyWaits::Queued), _) => "waits for a batch".to_owned(),
        (Some(WhyWaits::Predecessor(sequence)), _) => format!("predecessor {sequence} is not settled"),
        (Some(WhyWaits::Failed), _) => "parked: it failed and is tried again".to_owned(),
        (Some(WhyWaits::Locked), _) => "parked: another transaction has its row".to_owned(),
        (None, Some(pause)) => format!("lane paused: {}", pause.reason),
        (None, None) => "waits to be delivered, or is with a worker that does not answer".to_owned(),
    }
}

fn shown(PendingMessage { sequence, accepted_at, target, .. }: &PendingMessage, why: &str) -> Value {
    json!({ "sequence": sequence, "accepted_at": accepted_at.to_string(), "target": target, "why": why })
}

fn table_of(told: &[(&PendingMessage, String)]) -> String {
    let rows = told.iter().map(|(message, why)| {
        let target = message.target.as_ref();
        let lane = target.map_or_else(|| "-".to_owned(), |target| target.lane.to_string());
        let resource = target.map_or_else(
            || "-".to_owned(),
            |target| format!("{} {}/{}", target.workspace, target.resource_type.endpoint(), target.resource),
        );
        [message.sequence.to_string(), lane, message.accepted_at.to_string(), resource, why.clone()]
    });
    table(["SEQUENCE", "LANE", "ACCEPTED", "RESOURCE", "WHY"], rows)
}
