//! `rosterd dead-letters`.

use clap::Subcommand;
use protocol::message::admin::{AdminCall, AdminReply, DeadLetter};
use serde_json::{Value, json};

use super::connection::Connection;
use super::management::CallError;
use super::output::{print, table};

/// Settings of `rosterd dead-letters`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the newest 100, without their content.
    #[command(after_help = "With -o json: {total, dead_letters: [{sequence, subject, bytes, reason, dead_at}]}.")]
    List,
}

pub(super) async fn run(Args { connection, action: Action::List }: Args) -> anyhow::Result<()> {
    let management = connection.open().await?;
    let AdminReply::DeadLetters { total, dead_letters } = management.call(AdminCall::DeadLetterList).await? else {
        return Err(CallError::UnexpectedReply.into());
    };
    let list: Vec<Value> = dead_letters.iter().map(shown).collect();
    print(connection.output, &json!({ "total": total, "dead_letters": list }), || table_of(&dead_letters))
}

fn shown(letter: &DeadLetter) -> Value {
    json!({
        "sequence": letter.sequence,
        "subject": letter.subject,
        "bytes": letter.bytes,
        "reason": letter.reason,
        "dead_at": letter.dead_at.to_string(),
    })
}

fn table_of(dead_letters: &[DeadLetter]) -> String {
    table(
        ["SEQUENCE", "SUBJECT", "BYTES", "REASON"],
        dead_letters.iter().map(|letter| {
            let (sequence, bytes) = (letter.sequence.to_string(), letter.bytes.to_string());
            [sequence, letter.subject.clone(), bytes, letter.reason.clone()]
        }),
    )
}
