//! `rosterd audit`.

use clap::Subcommand;
use protocol::id::WorkspaceId;
use protocol::message::operator::{AuditBalance, AuditLog, AuditRecord, Balance};
use protocol::time::Since;
use runtime::clock;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::connection::{Connection, OperatorCommand};
use super::output::{print, table, with_times};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Account for every message that the log has stored: settled, pending or missing. Exits with 1 if any is missing.
    #[command(after_help = "With -o json: {balanced, at_rest, stored, epoch, first, last, in_log, missing, \
                            missing_sequences, workspaces: [{workspace, applied, rejected, dead, copies, pending}]}.")]
    Balance,
    /// Show what operators did, newest first: who, when, what, why.
    #[command(after_help = "Example: rosterd audit log --act replay --since 24h\n\n\
                            With -o json: {records: [{id, at, actor, act, workspace, target, reason, counts}]}; the \
                            last id is the --before of the next page.")]
    Log(Log),
}

#[derive(Debug, clap::Args)]
pub(super) struct Log {
    /// Only what this person did.
    #[arg(long)]
    actor: Option<String>,
    /// Only this: `replay` finds all that was done to replays, `replay-stop` one of it.
    #[arg(long)]
    act: Option<String>,
    /// Only in this workspace.
    #[arg(long)]
    workspace: Option<WorkspaceId>,
    /// Only since then: `24h`, `7d` or a time in RFC 3339.
    #[arg(long)]
    since: Option<Since>,
    /// Only before this record: the next page.
    #[arg(long, value_name = "ID")]
    before: Option<Uuid>,
    /// How many at most.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

/// Whether the balance holds, if that was asked for.
pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<bool> {
    match action {
        Action::Balance => balance(&connection).await,
        Action::Log(asked) => log(&connection, asked).await.map(|()| true),
    }
}

async fn log(connection: &Connection, asked: Log) -> anyhow::Result<()> {
    let Log { actor, act, workspace, since, before, limit } = asked;
    let since = since.map(|since| since.from(clock::now()));
    let asked = AuditLog { actor, act, workspace, since, before, limit: Some(limit) };
    let records = connection.open().await?.call(asked).await?;
    let list: Vec<Value> = records.iter().map(|record| with_times(record, &["at"])).collect();
    print(connection.output, &json!({ "records": list }), || acts(&records))
}

fn acts(records: &[AuditRecord]) -> String {
    table(
        ["AT", "ACTOR", "ACT", "TARGET", "COUNTS", "REASON"],
        records.iter().map(|record| {
            let counts = record.counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>();
            let (at, counts) = (record.at.to_string(), counts.join(", "));
            let reason = record.reason.clone().unwrap_or_else(|| "-".to_owned());
            [at, record.actor.clone(), record.act.clone(), record.target.clone(), counts, reason]
        }),
    )
}

async fn balance(connection: &Connection) -> anyhow::Result<bool> {
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
