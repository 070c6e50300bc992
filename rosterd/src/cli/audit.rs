//! `rosterd audit`.

use clap::Subcommand;
use protocol::message::operator::{AuditBalance, Balance};
use serde::Serialize;
use serde_json::json;

use super::connection::OperatorCommand;
use super::output::{print, table};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Account for every message that the log has stored: settled, pending or missing. Exits with 1 if any is missing.
    #[command(after_help = "With -o json: {balanced, at_rest, stored, epoch, first, last, in_log, missing, \
                            missing_sequences, workspaces: [{workspace, applied, rejected, dead, copies, pending}]}.")]
    Balance,
}

/// Whether the balance holds.
pub(super) async fn run(
    OperatorCommand { connection, action: Action::Balance }: OperatorCommand<Action>,
) -> anyhow::Result<bool> {
    let balance = connection.open().await?.call(AuditBalance {}).await?;
    let (balanced, at_rest, stored) = (balance.missing == 0, balance.in_log == 0, balance.stored());
    let shown = Shown { balanced, at_rest, stored, balance: &balance };
    print(connection.output, &json!(shown), || table_of(&balance))?;
    Ok(balanced)
}

/// A balance, and what follows from it.
#[derive(Serialize)]
struct Shown<'a> {
    balanced: bool,
    at_rest: bool,
    stored: u64,
    #[serde(flatten)]
    balance: &'a Balance,
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
