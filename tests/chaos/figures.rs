//! The figures of passes, one file for each seed, and the report that sums them.
//!
//! `ROSTERD_CHAOS_REPORT=docs/chaos.md` keeps those of seed 7 as `docs/chaos/seed-7.json`, and writes the report anew from
//! all that are there.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What the report says before any figure.
const INTRODUCTION: &str = include_str!("introduction.md");
/// How many gaps are shown.
const GAPS: usize = 5;
/// How many broken promises are shown.
const BROKEN: usize = 20;

/// One pass.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) seed: u64,
    pub(crate) seconds: u64,
    pub(crate) machine: String,
    /// Processes and servers that died without warning.
    pub(crate) kills: u64,
    pub(crate) acknowledged_writes: u64,
    pub(crate) violations: Vec<String>,
    /// Promises beside those to the clients that were not kept.
    pub(crate) other_faults: Vec<String>,
    /// Messages of the log, and those that nobody accounts for.
    pub(crate) stored: u64,
    pub(crate) missing: u64,
    pub(crate) dead_letters: u64,
    pub(crate) settled_after_seconds: f64,
    /// 5xx that a client saw.
    pub(crate) server_errors: u64,
    /// By reason.
    pub(crate) unknown: BTreeMap<String, u64>,
    /// What was done, to what, how often.
    pub(crate) faults: Vec<(String, String, u64)>,
    /// What was asked, what it came to, how often.
    pub(crate) attempts: Vec<(String, String, u64)>,
    pub(crate) gaps: Vec<Gap>,
}

/// A time in which no write was acknowledged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub(crate) seconds: f64,
    /// What was done last before it.
    pub(crate) after: String,
}

/// Passes in the order of their seeds.
struct Passes(Vec<Figures>);

/// Counts by two names.
type Counts = BTreeMap<(String, String), u64>;

/// Keeps the figures of a pass beside the report, and writes the report of all that are kept.
pub(crate) fn keep_figures(figures: &Figures, report: &Path) -> io::Result<()> {
    let folder = report.with_extension("");
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(figures)? + "\n";
    std::fs::write(folder.join(format!("seed-{}.json", figures.seed)), text)?;
    let mut passes = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            passes.push(serde_json::from_str::<Figures>(&std::fs::read_to_string(path)?)?);
        }
    }
    passes.sort_by_key(|figures| figures.seed);
    std::fs::write(report, format!("{INTRODUCTION}\n{}", Passes(passes)))
}

impl Passes {
    fn sum(&self, of: impl Fn(&Figures) -> u64) -> u64 {
        self.0.iter().map(of).sum()
    }

    fn counts(&self, of: impl Fn(&Figures) -> &Vec<(String, String, u64)>) -> Counts {
        let mut counts = Counts::new();
        for (what, target, times) in self.0.iter().flat_map(of) {
            *counts.entry((what.clone(), target.clone())).or_default() += times;
        }
        counts
    }

    fn write_passes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| seed | time | killed | acknowledged writes | violations | other faults | messages | missing |")?;
        writeln!(f, "|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for pass in &self.0 {
            let Figures { seed, seconds, kills, acknowledged_writes, stored, missing, .. } = pass;
            let (violations, others) = (pass.violations.len(), pass.other_faults.len());
            writeln!(
                f,
                "| {seed} | {seconds} s | {kills} | {acknowledged_writes} | {violations} | {others} | {stored} | {missing} |"
            )?;
        }
        writeln!(
            f,
            "| **all** | {} s | **{}** | **{}** | **{}** | **{}** | {} | {} |\n",
            self.sum(|pass| pass.seconds),
            self.sum(|pass| pass.kills),
            self.sum(|pass| pass.acknowledged_writes),
            self.sum(|pass| pass.violations.len() as u64),
            self.sum(|pass| pass.other_faults.len() as u64),
            self.sum(|pass| pass.stored),
            self.sum(|pass| pass.missing),
        )
    }

    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## What was done\n\n| fault | target and times |\n|---|---|")?;
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for ((fault, target), times) in self.counts(|pass| &pass.faults) {
            let line = lines.entry(fault).or_default();
            let separator = if line.is_empty() { "" } else { ", " };
            write!(line, "{separator}{target} {times}")?;
        }
        lines.iter().try_for_each(|(fault, line)| writeln!(f, "| {fault} | {line} |"))?;
        writeln!(f)
    }

    fn write_load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attempts = self.counts(|pass| &pass.attempts);
        let mut operations: Vec<&String> = attempts.keys().map(|(operation, _)| operation).collect();
        operations.dedup();
        writeln!(f, "## What clients saw\n\n| operation | ok | refused | unknown |\n|---|---:|---:|---:|")?;
        for operation in operations {
            let count = |outcome: &str| attempts.get(&(operation.clone(), outcome.to_owned())).copied().unwrap_or(0);
            writeln!(f, "| {operation} | {} | {} | {} |", count("ok"), count("fail"), count("unknown"))?;
        }
        let mut unknown: BTreeMap<&String, u64> = BTreeMap::new();
        for (why, times) in self.0.iter().flat_map(|pass| &pass.unknown) {
            *unknown.entry(why).or_default() += times;
        }
        let unknown: Vec<String> = unknown.iter().map(|(why, times)| format!("{times} × {why}")).collect();
        writeln!(f, "\n- 5xx: {}", self.sum(|pass| pass.server_errors))?;
        writeln!(f, "- unknown outcomes: {}", if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") })?;
        writeln!(f, "- dead letters: {}", self.sum(|pass| pass.dead_letters))?;
        let settled = self.0.iter().map(|pass| pass.settled_after_seconds).fold(0.0, f64::max);
        writeln!(f, "- the log was empty {settled:.1} s after the last request at the latest\n")
    }

    fn write_gaps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gaps: Vec<(u64, &Gap)> =
            self.0.iter().flat_map(|pass| pass.gaps.iter().map(|gap| (pass.seed, gap))).collect();
        gaps.sort_by(|(_, one), (_, other)| other.seconds.total_cmp(&one.seconds));
        writeln!(f, "Longest times without an acknowledged write:\n")?;
        for (seed, Gap { seconds, after }) in gaps.into_iter().take(GAPS) {
            writeln!(f, "- {seconds:.2} s, seed {seed}, after {after}")?;
        }
        Ok(())
    }

    fn write_broken(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let broken = self.0.iter().flat_map(|pass| {
            pass.violations.iter().chain(&pass.other_faults).map(|sentence| (pass.seed, sentence.lines().next()))
        });
        for (seed, sentence) in broken.take(BROKEN) {
            writeln!(f, "- **seed {seed}: {}**", sentence.unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Markdown.
impl fmt::Display for Passes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut machines: Vec<&String> = self.0.iter().map(|pass| &pass.machine).collect();
        machines.dedup();
        writeln!(f, "## The passes\n")?;
        for machine in machines {
            writeln!(f, "2 ingresses, 3 workers, 1 broker (`--log-sync always`), PostgreSQL with fsync; {machine}.\n")?;
        }
        self.write_passes(f)?;
        self.write_broken(f)?;
        self.write_faults(f)?;
        self.write_load(f)?;
        self.write_gaps(f)
    }
}

#[test]
fn a_report_sums_the_passes_whose_figures_are_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("chaos.md");
    for seed in [2, 1] {
        let figures = Figures {
            seed,
            seconds: 60,
            machine: "2 cores".to_owned(),
            kills: 100,
            acknowledged_writes: 50_000 + seed,
            violations: Vec::new(),
            other_faults: Vec::new(),
            stored: 70_000,
            missing: 0,
            dead_letters: 0,
            settled_after_seconds: 1.5,
            server_errors: 0,
            unknown: BTreeMap::from([("timeout".to_owned(), 2)]),
            faults: vec![
                ("SIGKILL".to_owned(), "worker".to_owned(), 40),
                ("SIGKILL".to_owned(), "broker".to_owned(), 9),
            ],
            attempts: vec![("create user".to_owned(), "ok".to_owned(), 10)],
            gaps: vec![Gap { seconds: 5.25, after: "SIGKILL Broker".to_owned() }],
        };
        keep_figures(&figures, &report).unwrap();
    }
    let text = std::fs::read_to_string(report).unwrap();
    for line in [
        "| 1 | 60 s | 100 | 50001 | 0 | 0 | 70000 | 0 |\n| 2 | 60 s | 100 | 50002 | 0 | 0 | 70000 | 0 |",
        "| **all** | 120 s | **200** | **100003** | **0** | **0** | 140000 | 0 |",
        "| SIGKILL | broker 18, worker 80 |",
        "| create user | 20 | 0 | 0 |",
        "- unknown outcomes: 4 × timeout",
        "- 5.25 s, seed 1, after SIGKILL Broker",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
