//! `rosterd dead-letters`.

use clap::Subcommand;
use protocol::message::operator::{DeadLetter, DeadLetterList, DeadLetters};
use serde_json::{Value, json};

use super::connection::OperatorCommand;
use super::output::{print, table, with_times};

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List the newest 100, without their content.
    #[command(after_help = "With -o json: {total, dead_letters: [{sequence, subject, bytes, reason, dead_at}]}.")]
    List,
}

pub(super) async fn run(
    OperatorCommand { connection, action: Action::List }: OperatorCommand<Action>,
) -> anyhow::Result<()> {
    let DeadLetters { total, dead_letters } = connection.open().await?.call(DeadLetterList {}).await?;
    let list: Vec<Value> = dead_letters.iter().map(|letter| with_times(letter, &["dead_at"])).collect();
    print(connection.output, &json!({ "total": total, "dead_letters": list }), || table_of(&dead_letters))
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
