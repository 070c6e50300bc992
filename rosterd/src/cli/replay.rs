//! `rosterd replay`: replays of dead letters that were begun. They go on without this command.

use std::time::Duration;

use clap::Subcommand;
use protocol::message::operator::{Replay, ReplayChange, ReplayItem, ReplayList, ReplayPlan, ReplayShow, ReplayStart};
use protocol::replay::{ReplayAct, ReplayEnd, ReplayState};
use serde_json::{Value, json};
use uuid::Uuid;

use super::acting::Acting;
use super::connection::{Connection, OperatorCommand};
use super::letter_filter::chosen;
use super::output::{Format, print, table, with_times};

/// How often a watched replay is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
const ONE_AS_JSON: &str = "With -o json: {id, state, filter, force, rate, max_failures, actor, reason, created_at, \
                           started_at, ended_at, note, total, waiting, in_log, ends: {applied, rejected, superseded, dead, \
                           skipped}}.";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List the newest replays and plans.
    #[command(after_help = "With -o json: {replays: […]}, each as `watch` prints it.")]
    List,
    /// Follow a replay until it ends. Exits with 1 if some are dead again, or it was stopped.
    #[command(after_help = ONE_AS_JSON)]
    Watch {
        /// Which one.
        replay: Uuid,
        /// Show what is now, with each dead letter, and do not wait.
        #[arg(long)]
        once: bool,
    },
    /// Publish nothing more for now.
    #[command(after_help = ONE_AS_JSON)]
    Pause(Change),
    /// Go on with a replay that was paused.
    #[command(after_help = ONE_AS_JSON)]
    Resume(Change),
    /// Publish nothing more, for good. What is in the log is still applied.
    #[command(after_help = ONE_AS_JSON)]
    Stop(Change),
}

#[derive(Debug, clap::Args)]
pub(super) struct Change {
    /// Which replay.
    replay: Uuid,
    #[command(flatten)]
    acting: Acting,
}

/// Options of `rosterd dead-letters replay`.
#[derive(Debug, clap::Args)]
pub(super) struct Replaying {
    /// Which ones; see `list --help`.
    filter: Vec<String>,
    /// All that are dead, without a filter.
    #[arg(long)]
    all: bool,
    /// Fix the set and print it, with how each would end; publish nothing.
    #[arg(long, conflicts_with = "plan")]
    dry_run: bool,
    /// Replay the set of a dry run.
    #[arg(long, value_name = "ID", conflicts_with_all = ["filter", "all", "force"])]
    plan: Option<Uuid>,
    /// How many in a second at most.
    #[arg(long)]
    rate: Option<u32>,
    /// Stop after so many that are dead again or refused.
    #[arg(long)]
    max_failures: Option<u32>,
    /// Apply them at their new place, also over what was changed later. Needs --reason.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    acting: Acting,
}

/// Plans a replay, and begins it unless it is a dry run.
pub(super) async fn begin(connection: &Connection, replaying: Replaying) -> anyhow::Result<()> {
    let Replaying { filter, all, dry_run, plan, rate, max_failures, force, acting } = replaying;
    let (by, management) = (acting.by(), connection.open().await?);
    let replay = if let Some(plan) = plan {
        plan
    } else {
        let call = ReplayPlan { filter: chosen(&filter, all)?, force, predict: dry_run, by: by.clone() };
        let planned = management.call(call).await?;
        if dry_run {
            return print(connection.output, &shown(&planned), || plan_of(&planned));
        }
        planned.id
    };
    let begun = management.call(ReplayStart { replay, rate, max_failures, by }).await?;
    print(connection.output, &shown(&begun), || {
        format!("{}\n\nIt goes on by itself: rosterd replay watch {replay}", table_of(std::slice::from_ref(&begun)))
    })
}

/// Whether the replay that was watched ended well.
pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<bool> {
    let management = connection.open().await?;
    let (change, act) = match action {
        Action::List => {
            let replays = management.call(ReplayList {}).await?;
            let list: Vec<Value> = replays.iter().map(shown).collect();
            print(connection.output, &json!({ "replays": list }), || table_of(&replays))?;
            return Ok(true);
        }
        Action::Watch { replay, once: true } => {
            let found = management.call(ReplayShow { replay, items: true }).await?;
            print(connection.output, &shown(&found), || plan_of(&found))?;
            return Ok(true);
        }
        Action::Watch { replay, once: false } => return watch(&connection, replay).await,
        Action::Pause(change) => (change, ReplayAct::Pause),
        Action::Resume(change) => (change, ReplayAct::Resume),
        Action::Stop(change) => (change, ReplayAct::Stop),
    };
    let call = ReplayChange { replay: change.replay, act, by: change.acting.by() };
    let changed = management.call(call).await?;
    print(connection.output, &shown(&changed), || table_of(std::slice::from_ref(&changed)))?;
    Ok(true)
}

async fn watch(connection: &Connection, replay: Uuid) -> anyhow::Result<bool> {
    let management = connection.open().await?;
    let mut said = String::new();
    loop {
        let found = management.call(ReplayShow { replay, items: false }).await?;
        // What is neither running nor ends by itself is not waited for.
        let rests = matches!(found.state, ReplayState::Planned | ReplayState::Paused | ReplayState::Stopped);
        if found.state == ReplayState::Done || (rests && found.in_log == 0) {
            print(connection.output, &shown(&found), || table_of(std::slice::from_ref(&found)))?;
            let failed = [ReplayEnd::Dead, ReplayEnd::Rejected].iter().any(|end| found.ends.contains_key(end));
            return Ok(found.state == ReplayState::Done && !failed);
        }
        let line = format!(
            "{}: {} waiting, {} in the log, {}",
            found.state.as_str(),
            found.waiting,
            found.in_log,
            ends(&found)
        );
        if connection.output == Format::Table && line != said {
            crate::say(&line);
        }
        said = line;
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

fn shown(replay: &Replay) -> Value {
    with_times(replay, &["created_at", "started_at", "ended_at"])
}

fn ends(replay: &Replay) -> String {
    let ends: Vec<String> = replay.ends.iter().map(|(end, count)| format!("{count} {}", end.as_str())).collect();
    if ends.is_empty() { "none ended".to_owned() } else { ends.join(", ") }
}

fn table_of(replays: &[Replay]) -> String {
    table(
        ["REPLAY", "STATE", "TOTAL", "WAITING", "IN LOG", "ENDED", "CREATED", "ACTOR", "FILTER", "NOTE"],
        replays.iter().map(|replay| {
            let [total, waiting, in_log] = [replay.total, replay.waiting, replay.in_log].map(|count| count.to_string());
            let (id, state, created) =
                (replay.id.to_string(), replay.state.as_str().to_owned(), replay.created_at.to_string());
            let (filter, note) = (replay.filter.clone(), replay.note.clone().unwrap_or_else(|| "-".to_owned()));
            [id, state, total, waiting, in_log, ends(replay), created, replay.actor.clone(), filter, note]
        }),
    )
}

fn plan_of(replay: &Replay) -> String {
    let items = table(
        ["SEQUENCE", "STATE", "PREDICTED", "WHY"],
        replay.items.iter().map(|ReplayItem { letter, prediction, state, detail, .. }| {
            let predicted = prediction.as_ref();
            let end = predicted.map_or("-", |predicted| predicted.end.map_or("not known", ReplayEnd::as_str));
            let why = detail.clone().or_else(|| predicted.and_then(|predicted| predicted.detail.clone()));
            [letter.to_string(), state.clone(), end.to_owned(), why.unwrap_or_default()]
        }),
    );
    let mut text = format!("{items}\n\n{}", table_of(std::slice::from_ref(replay)));
    if replay.state == ReplayState::Planned {
        text = format!("{text}\n\nTo replay exactly these: rosterd dead-letters replay --plan {}", replay.id);
    }
    text
}
