//! Everything is killed in turn while providers write, and what was acknowledged is there.
//!
//! A longer pass, with another seed, as fast as what is delivered:
//! `ROSTERD_CHAOS_SECONDS=900 ROSTERD_CHAOS_SEED=7 cargo test --profile chaos -p rosterd --test chaos -- pass --nocapture`;
//! its figures go beside the file that `ROSTERD_CHAOS_REPORT` names, which sums all seeds whose figures are there.
//! `ROSTERD_CHAOS_HISTORY=rosterd-chaos-…/history.jsonl` judges what a failed pass has kept, and runs nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rosterd::servers::nats::LogSync;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::figures::keep_figures;
use crate::harness::{Database, System};
use crate::history::{History, Snapshot, Summary, verify};
use crate::nemesis::{Nemesis, Record};
use crate::report::{Report, longest_gaps};
use crate::rest::Rest;
use crate::workload::{self, WorkloadOptions};

/// Logical clients unless `ROSTERD_CHAOS_CLIENTS` says otherwise; each has one request under way. A third of them give
/// up after a moment and ask for the contrary. For three clients there is one user, for six one group.
const CLIENTS: usize = 18;

/// How long, and by which schedule.
struct Settings {
    time: Duration,
    seed: u64,
    clients: usize,
    /// The report that sums all passes.
    report: Option<PathBuf>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_nothing_acknowledged_is_lost_doubled_reordered_or_revived() {
    const { assert!(cfg!(debug_assertions), "without debug assertions there are no failpoints: use --profile chaos") };
    if let Some(kept) = environment("ROSTERD_CHAOS_HISTORY") {
        return judge_again(Path::new(&kept));
    }
    let settings = Settings::read();
    let plan = System::plan(Database::Postgresql).own_postgresql().own_broker(LogSync::Always);
    let system = plan.proxied().ingresses(2).workers(3).start().await;

    let began = Instant::now();
    let (history, record) = run(&system, &settings).await;
    let rest = Rest::of(&system, &history).await;
    let report = Report {
        seed: settings.seed,
        took: began.elapsed(),
        summary: Summary::of(&history),
        violations: verify(&history, &rest.snapshot),
        gaps: longest_gaps(&history),
        record,
        rest,
    };
    let text = report.to_string();
    println!("\n{text}");
    if let Some(path) = &settings.report {
        keep_figures(&report.figures(), path).unwrap();
    }
    let faults = report.faults();
    if !faults.is_empty() {
        let kept = keep(&system, &history, &report.rest.snapshot, &text);
        panic!("{}\nhistory, logs and report are kept in {}", faults.join("\n"), kept.display());
    }
}

/// Judges the history of an earlier pass.
fn judge_again(kept: &Path) {
    let (history, snapshot) = History::load(kept).unwrap();
    let violations = verify(&history, &snapshot.expect("a history with the state at rest"));
    assert!(violations.is_empty(), "{}", violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
}

/// Load and faults side by side, until both have ended.
async fn run(system: &System, settings: &Settings) -> (History, Record) {
    let until = CancellationToken::new();
    let clients = settings.clients;
    let options = WorkloadOptions {
        seed: settings.seed,
        clients,
        impatient: clients / 3,
        users: clients.div_ceil(3),
        groups: clients.div_ceil(6),
        until: until.clone(),
        ..WorkloadOptions::default()
    };
    let urls = system.base_urls();
    let load = workload::run(&urls, system.token(), options);
    let harm = async {
        let mut nemesis = Nemesis::new(system);
        nemesis.harm(settings.seed, settings.time).await;
        until.cancel();
        nemesis.record
    };
    let (mut history, record) = futures::join!(load, harm);
    (history.clock_steps, history.standstills) = (record.clock_steps(), record.standstills());
    (history, record)
}

/// Keeps what is needed to find out why.
fn keep(system: &System, history: &History, snapshot: &Snapshot, report: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix("rosterd-chaos-").tempdir().unwrap().keep();
    let write = |name: &str, text: &str| std::fs::write(Path::new(&folder).join(name), text).unwrap();
    write("report.md", report);
    write("processes.log", &system.logs());
    write("broker.log", &system.broker().logs());
    history.save(Some(snapshot), &folder.join("history.jsonl")).unwrap();
    folder
}

impl Settings {
    fn read() -> Self {
        let time = Duration::from_secs(environment("ROSTERD_CHAOS_SECONDS").map_or(60, |text| text.parse().unwrap()));
        let seed = environment("ROSTERD_CHAOS_SEED").map_or(1, |text| text.parse().unwrap());
        let clients = environment("ROSTERD_CHAOS_CLIENTS").map_or(CLIENTS, |text| text.parse().unwrap());
        Self { time, seed, clients, report: environment("ROSTERD_CHAOS_REPORT").map(PathBuf::from) }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the chaos pass reads the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
