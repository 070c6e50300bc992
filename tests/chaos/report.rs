//! What a chaos pass tells: Markdown for people, and whether every promise was kept.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::figures::{Figures, Gap as KeptGap};
use crate::harness::ROSTERD;
use crate::history::{History, Outcome, Summary, Violation};
use crate::nemesis::Record;
use crate::rest::Rest;

/// How many gaps are shown.
const GAPS: usize = 5;

/// Between two kills at least so many writes have to be acknowledged.
const WRITES_PER_KILL: u64 = 10;

/// A pass that has ended.
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) took: Duration,
    pub(crate) summary: Summary,
    pub(crate) violations: Vec<Violation>,
    pub(crate) record: Record,
    pub(crate) rest: Rest,
    pub(crate) gaps: Vec<Gap>,
}

/// A time in which no write was acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    began: Duration,
    length: Duration,
}

/// The longest gaps between acknowledgements, the longest first.
pub(crate) fn longest_gaps(history: &History) -> Vec<Gap> {
    let writes = history.attempts.iter().filter(|attempt| attempt.operation.is_write());
    let acknowledged = writes.filter(|attempt| matches!(attempt.outcome, Outcome::Ok { .. }));
    let mut ends: Vec<Duration> = acknowledged.filter_map(|attempt| attempt.end).map(Duration::from_micros).collect();
    ends.sort_unstable();
    let pairs = ends.windows(2).map(|pair| Gap { began: pair[0], length: pair[1].saturating_sub(pair[0]) });
    let mut gaps: Vec<Gap> = pairs.collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse(gap.length));
    gaps.truncate(GAPS);
    gaps
}

impl Report {
    /// Every promise that was not kept.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.violations.iter().map(ToString::to_string).collect();
        faults.extend(self.record.unexpected.iter().cloned());
        if self.rest.balance["missing"] != 0 || self.rest.balance["in_log"] != 0 {
            faults.push(format!("the balance of the log: {}", self.rest.balance));
        }
        if !self.rest.left.is_empty() {
            faults.push(format!("the log is not empty:\n{}", self.rest.left));
        }
        faults.extend(self.too_little());
        if self.rest.dead_letters > 0 {
            faults.push(format!("{} dead letters", self.rest.dead_letters));
        }
        let pending = self.summary.attempts.iter().filter(|((_, outcome), _)| *outcome == "pending");
        let pending: u64 = pending.map(|(_, count)| count).sum();
        if pending > 0 {
            faults.push(format!("{pending} requests were never answered"));
        }
        faults
    }

    /// A pass in which nothing was acknowledged, or something was never killed, proves nothing.
    fn too_little(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let (acknowledged, kills) = (self.summary.acknowledged_writes, u64::try_from(self.record.kills()).unwrap());
        if acknowledged < kills * WRITES_PER_KILL {
            missing.push(format!("only {acknowledged} acknowledged writes beside {kills} kills"));
        }
        for target in ["ingress", "worker", "broker", "PostgreSQL"] {
            if !self.counts().contains_key(&("SIGKILL", target)) {
                missing.push(format!("no SIGKILL of {target}"));
            }
        }
        missing
    }

    /// How often each fault was done, by kind and target.
    fn counts(&self) -> BTreeMap<(&'static str, &'static str), usize> {
        let mut counts = BTreeMap::new();
        let steps = || self.record.steps.iter().map(|done| &done.step);
        let endings = steps().flat_map(|step| &step.endings).map(|(target, ending)| (ending.kind(), target.kind()));
        let aborted = self.record.aborted.iter().map(|target| ("abort at a failpoint", target.kind()));
        let lasting = steps().filter_map(|step| step.lasting).map(|(lasting, _)| lasting.kinds());
        for kinds in endings.chain(aborted).chain(lasting) {
            *counts.entry(kinds).or_default() += 1;
        }
        counts
    }

    /// What is kept of it.
    pub(crate) fn figures(&self) -> Figures {
        let counts = |counts: Vec<(&str, &str, u64)>| {
            counts.into_iter().map(|(what, of, times)| (what.to_owned(), of.to_owned(), times)).collect()
        };
        let faults = self.counts().into_iter().map(|((fault, target), times)| (fault, target, times as u64)).collect();
        let attempts =
            self.summary.attempts.iter().map(|((operation, outcome), times)| (*operation, *outcome, *times)).collect();
        let gaps =
            self.gaps.iter().map(|gap| KeptGap { seconds: gap.length.as_secs_f64(), after: self.before(gap.began) });
        Figures {
            seed: self.seed,
            seconds: self.took.as_secs(),
            machine: machine(),
            kills: self.record.kills() as u64,
            acknowledged_writes: self.summary.acknowledged_writes,
            violations: self.violations.iter().map(ToString::to_string).collect(),
            other_faults: self.faults().into_iter().skip(self.violations.len()).collect(),
            stored: self.rest.balance["stored"].as_u64().unwrap_or_default(),
            missing: self.rest.balance["missing"].as_u64().unwrap_or_default(),
            dead_letters: self.rest.dead_letters,
            settled_after_seconds: self.rest.settled_after.as_secs_f64(),
            server_errors: self.summary.server_errors,
            unknown: self.summary.unknown.clone(),
            faults: counts(faults),
            attempts: counts(attempts),
            gaps: gaps.collect(),
        }
    }

    /// What was done last before this moment.
    fn before(&self, moment: Duration) -> String {
        let earlier = self.record.steps.iter().rfind(|done| done.began <= moment + Duration::from_millis(100));
        earlier.map_or_else(String::new, |done| format!("{} (at {:.1} s)", done.step, done.began.as_secs_f64()))
    }

    fn write_faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Faults\n\n| fault | target | times |\n|---|---|---:|")?;
        for ((fault, target), count) in self.counts() {
            writeln!(f, "| {fault} | {target} | {count} |")?;
        }
        writeln!(f, "\nDied without warning: {}.\n", self.record.kills())
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Verdict\n")?;
        writeln!(f, "- violations: {}", self.violations.len())?;
        writeln!(
            f,
            "- balance of the log: {} missing, {} left; {}",
            self.rest.balance["missing"], self.rest.balance["in_log"], self.rest.balance
        )?;
        writeln!(f, "- dead letters: {}", self.rest.dead_letters)?;
        writeln!(f, "- the log was empty {:.1} s after the last request", self.rest.settled_after.as_secs_f64())?;
        for fault in self.faults() {
            writeln!(f, "- **{fault}**")?;
        }
        writeln!(f)
    }

    fn write_schedule(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## Schedule\n\n<details><summary>every step, when it began, and until all was ready again</summary>\n"
        )?;
        for done in &self.record.steps {
            let (began, took) = (done.began.as_secs_f64(), done.took.as_secs_f64());
            writeln!(f, "- {began:.1} s: {}; ready after {took:.1} s", done.step)?;
        }
        writeln!(f, "\n</details>")
    }
}

/// Markdown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Chaos pass, seed {}, {:.0} s\n", self.seed, self.took.as_secs_f64())?;
        writeln!(f, "2 ingresses, 3 workers, 1 broker (`--log-sync always`), PostgreSQL with fsync; {}.\n", machine())?;
        self.write_verdict(f)?;
        self.write_faults(f)?;
        writeln!(f, "## Load\n\n{}", self.summary)?;
        writeln!(f, "Longest gaps between acknowledgements:\n")?;
        for gap in &self.gaps {
            let (length, began) = (gap.length.as_secs_f64(), gap.began.as_secs_f64());
            writeln!(f, "- {length:.2} s from {began:.1} s on, after {}", self.before(gap.began))?;
        }
        writeln!(f)?;
        self.write_schedule(f)
    }
}

/// Where it ran, and how it was built.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory =
        read("/proc/meminfo").lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let memory = memory.unwrap_or_default() / (1024 * 1024);
    let kernel = read("/proc/sys/kernel/osrelease");
    let profile = Path::new(ROSTERD).parent().and_then(Path::file_name).unwrap_or_default();
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{cores} cores, {memory} GiB, {os} {} {arch}, profile {}", kernel.trim(), profile.display())
}
