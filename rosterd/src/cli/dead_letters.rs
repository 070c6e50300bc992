//! `rosterd dead-letters`.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;
use protocol::message::operator::{
    CauseCount, DeadLetter, DeadLetterDetail, DeadLetterDiscard, DeadLetterEdit, DeadLetterExport, DeadLetterList,
    DeadLetterShow, DeadLetters,
};
use serde_json::{Value, json};

use super::acting::Acting;
use super::connection::{Connection, OperatorCommand};
use super::letter_filter::{chosen, parsed};
use super::output::{print, table, with_times};
use super::replay::{self, Replaying};

const FILTER: &str = "\
A filter is made of words, all of which hold: workspace:acme resource:ID kind:patch error:WORD since:24h
fingerprint:HEX state:dead|replaying|applied|rejected|superseded|discarded|any, and numbers of dead letters.
error: takes undecodable, data, crash, failing, or a word of the reason. Without state: those that are dead.";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List the newest, without their content, and count them by cause.
    #[command(after_help = format!(
        "{FILTER}\n\nExample: rosterd dead-letters list workspace:acme error:data since:24h\n\n\
         With -o json: {{total, causes: [{{fingerprint, cause, reason, count, first, last}}], dead_letters: [{{sequence, \
         operation, workspace, resource, kind, subject, cause, reason, fingerprint, state, replays, edited, bytes, \
         dead_at}}]}}; the last sequence is the --before of the next page."
    ))]
    List {
        /// Which ones.
        filter: Vec<String>,
        /// Only those with lower numbers: the next page.
        #[arg(long, value_name = "SEQUENCE")]
        before: Option<u64>,
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one: content, errors, what is stored now, and what a replay would change. Personal data is masked.
    #[command(after_help = "Example: rosterd dead-letters show 4711\n\n\
                            With -o json: what `list` has of it, and {accepted_at, headers, payload, original, errors, \
                            stored, prediction, difference}.")]
    Show {
        /// Its number.
        letter: u64,
        /// Do not mask personal data; the audit log says who saw it.
        #[arg(long)]
        reveal: bool,
        #[command(flatten)]
        acting: Acting,
    },
    /// Replace the body of its command; checked as a request is. The original is kept.
    #[command(after_help = "Example: rosterd dead-letters show 4711 --reveal -o json | jq .payload > body.json\n\
                            \u{20}        rosterd dead-letters edit 4711 --file body.json --reason 'typo'")]
    Edit {
        /// Its number.
        letter: u64,
        /// The new body [default: standard input].
        #[arg(long)]
        file: Option<PathBuf>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Give dead letters up, for a reason. They stay listed with state:discarded.
    #[command(after_help = "Example: rosterd dead-letters discard error:undecodable --reason 'sent by a broken tool'")]
    Discard {
        /// Which ones; see `list --help`.
        filter: Vec<String>,
        /// All that are dead, without a filter.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        acting: Acting,
    },
    /// Print whole dead letters as JSON lines, personal data included; the audit log says who did.
    #[command(after_help = "Example: rosterd dead-letters export workspace:acme > dead.jsonl")]
    Export {
        /// Which ones; see `list --help`.
        filter: Vec<String>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Apply dead letters again. What was changed later is never undone, unless with --force.
    #[command(after_help = "Example: rosterd dead-letters replay workspace:acme error:data --dry-run\n\
                            \u{20}        rosterd dead-letters replay --plan ID --rate 50 --max-failures 5\n\
                            \u{20}        rosterd replay watch ID")]
    Replay(Replaying),
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    match action {
        Action::List { filter, before, limit } => list(&connection, &filter, before, limit).await,
        Action::Show { letter, reveal, acting } => {
            let call = DeadLetterShow { letter, reveal, by: acting.by() };
            let detail = connection.open().await?.call(call).await?;
            let shown = with_times(&detail, &["dead_at", "accepted_at"]);
            print(connection.output, &shown, || page_of(&detail))
        }
        Action::Edit { letter, file, acting } => {
            let call = DeadLetterEdit { letter, body: body(file)?, by: acting.by() };
            let edited = connection.open().await?.call(call).await?;
            print(connection.output, &shown(&edited), || table_of(std::slice::from_ref(&edited)))
        }
        Action::Discard { filter, all, acting } => {
            let call = DeadLetterDiscard { filter: chosen(&filter, all)?, by: acting.by() };
            let discarded = connection.open().await?.call(call).await?;
            print(connection.output, &json!(discarded), || format!("{} dead letters discarded", discarded.count))
        }
        Action::Export { filter, acting } => export(&connection, &filter, acting).await,
        Action::Replay(replaying) => replay::begin(&connection, replaying).await,
    }
}

fn body(file: Option<PathBuf>) -> anyhow::Result<Value> {
    let text = if let Some(path) = file {
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?
    } else {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading the body from standard input")?;
        text
    };
    serde_json::from_str(&text).context("reading the body as JSON")
}

async fn list(connection: &Connection, words: &[String], before: Option<u64>, limit: u32) -> anyhow::Result<()> {
    let call = DeadLetterList { filter: parsed(words)?, before, limit: Some(limit) };
    let DeadLetters { total, causes, dead_letters } = connection.open().await?.call(call).await?;
    let list: Vec<Value> = dead_letters.iter().map(shown).collect();
    let counted: Vec<Value> = causes.iter().map(|cause| with_times(cause, &["first", "last"])).collect();
    print(connection.output, &json!({ "total": total, "causes": counted, "dead_letters": list }), || {
        format!("{}\n\n{}\n\n{} of {total}", causes_of(&causes), table_of(&dead_letters), dead_letters.len())
    })
}

async fn export(connection: &Connection, words: &[String], acting: Acting) -> anyhow::Result<()> {
    let (filter, by, management) = (parsed(words)?, acting.by(), connection.open().await?);
    let mut after = 0;
    loop {
        let call = DeadLetterExport { filter: filter.clone(), after, by: by.clone() };
        let exported = management.call(call).await?;
        let Some(last) = exported.last() else { return Ok(()) };
        after = last.letter.sequence;
        let mut output = std::io::stdout().lock();
        for letter in &exported {
            writeln!(output, "{}", with_times(letter, &["dead_at"]))?;
        }
        output.flush()?;
    }
}

fn shown(letter: &DeadLetter) -> Value {
    with_times(letter, &["dead_at"])
}

fn causes_of(causes: &[CauseCount]) -> String {
    table(
        ["COUNT", "CAUSE", "FIRST", "LAST", "FINGERPRINT", "REASON"],
        causes.iter().map(|cause| {
            let (first, last) = (cause.first.to_string(), cause.last.to_string());
            let (count, word) = (cause.count.to_string(), cause.cause.to_string());
            [count, word, first, last, cause.fingerprint.clone(), cause.reason.clone()]
        }),
    )
}

fn table_of(dead_letters: &[DeadLetter]) -> String {
    table(
        ["SEQUENCE", "SUBJECT", "KIND", "STATE", "REPLAYS", "BYTES", "DEAD AT", "CAUSE"],
        dead_letters.iter().map(|letter| {
            let (sequence, bytes) = (letter.sequence.to_string(), letter.bytes.to_string());
            let kind = letter.kind.clone().unwrap_or_else(|| "-".to_owned());
            let (state, replays) = (letter.state.to_string(), letter.replays.to_string());
            let (dead_at, cause) = (letter.dead_at.to_string(), letter.cause.to_string());
            [sequence, letter.subject.clone(), kind, state, replays, bytes, dead_at, cause]
        }),
    )
}

fn page_of(detail: &DeadLetterDetail) -> String {
    let letter = &detail.letter;
    let body = |value: &Option<Value>| value.as_ref().map_or_else(|| "(none)".to_owned(), |value| format!("{value:#}"));
    let mut lines = vec![table_of(std::slice::from_ref(letter)), String::new(), format!("Reason  {}", letter.reason)];
    lines.extend(detail.errors.iter().map(|error| {
        let attempt = if error.replay == 0 { "first".to_owned() } else { format!("replay {}", error.replay) };
        format!("  {attempt:10} {}  {}", error.at, error.reason)
    }));
    lines.push("\nHeaders".to_owned());
    lines.extend(detail.headers.iter().map(|(name, value)| format!("  {name}: {value}")));
    lines.push(format!("\nMessage\n{}", body(&detail.payload)));
    if detail.original.is_some() {
        lines.push(format!("\nBefore it was edited\n{}", body(&detail.original)));
    }
    lines.push(format!("\nStored now\n{}", body(&detail.stored)));
    if let Some(prediction) = &detail.prediction {
        let end = prediction.end.map_or("not known", protocol::replay::ReplayEnd::as_str);
        lines.push(format!("\nA replay would end: {end}  {}", prediction.detail.as_deref().unwrap_or_default()));
    }
    for difference in &detail.difference {
        lines.push(format!("  {}\n    - {}\n    + {}", difference.attribute, difference.stored, difference.replayed));
    }
    let text = lines.join("\n");
    text.replace(|sign: char| sign.is_control() && sign != '\n', "\u{fffd}")
}
