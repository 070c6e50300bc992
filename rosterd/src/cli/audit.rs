//! `rosterd audit`.

use clap::Subcommand;
use protocol::message::admin::{AdminCall, AdminReply, Balance, WorkspaceBalance};
use serde_json::{Value, json};

use super::connection::Connection;
use super::management::CallError;
use super::output::{print, table};

/// Settings of `rosterd audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Account for every message that the log has stored: settled, pending or missing. Exits with 1 if any is missing.
    #[command(after_help = "With -o json: {balanced, at_rest, stored, epoch, first, last, in_log, missing, \
                            missing_sequences, workspaces: [{workspace, applied, rejected, dead, copies, pending}]}.")]
    Balance,
}

/// Whether the balance holds.
pub(super) async fn run(Args { connection, action: Action::Balance }: Args) -> anyhow::Result<bool> {
    let management = connection.open().await?;
    let AdminReply::Balance(balance) = management.call(AdminCall::AuditBalance).await? else {
        return Err(CallError::UnexpectedReply.into());
    };
    print(connection.output, &shown(&balance), || table_of(&balance))?;
    Ok(balance.missing == 0)
}

fn shown(balance: &Balance) -> Value {
    let workspaces: Vec<Value> = balance.workspaces.iter().map(workspace).collect();
    json!({
        "balanced": balance.missing == 0,
        "at_rest": balance.in_log == 0,
        "stored": balance.stored(),
        "epoch": balance.epoch,
        "first": balance.first,
        "last": balance.last,
        "in_log": balance.in_log,
        "missing": balance.missing,
        "missing_sequences": balance.missing_sequences,
        "workspaces": workspaces,
    })
}

fn workspace(balance: &WorkspaceBalance) -> Value {
    json!({
        "workspace": balance.workspace,
        "applied": balance.applied,
        "rejected": balance.rejected,
        "dead": balance.dead,
        "copies": balance.copies,
        "pending": balance.pending,
    })
}

fn table_of(balance: &Balance) -> String {
    let rows = balance.workspaces.iter().map(|own| {
        let name = own.workspace.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string);
        let [applied, rejected, dead, copies, pending] =
            [own.applied, own.rejected, own.dead, own.copies, own.pending].map(|count| count.to_string());
        [name, applied, rejected, dead, copies, pending]
    });
    let list = table(["WORKSPACE", "APPLIED", "REJECTED", "DEAD", "COPIES", "PENDING"], rows);
    format!("{list}\n{}", verdict(balance))
}

fn verdict(balance: &Balance) -> String {
    let (stored, first, last) = (balance.stored(), balance.first, balance.last);
    let range = if stored == 0 { "nothing".to_owned() } else { format!("{stored} messages, {first} to {last}") };
    let state = match (balance.missing, balance.in_log) {
        (0, 0) => "0 missing, at rest".to_owned(),
        (0, in_log) => format!("0 missing, {in_log} still in the log"),
        (missing, _) => format!("{missing} missing, the first of them {:?}", balance.missing_sequences),
    };
    format!("The log has stored {range}: {state}.")
}
