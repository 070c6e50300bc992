//! The figures of a history, for a report.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{History, Outcome};

/// How much was tried, and what it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// By operation and outcome.
    pub(crate) attempts: BTreeMap<(&'static str, &'static str), u64>,
    /// Answers that were no outcome: `503`, `timeout`, `the connection broke` …
    pub(crate) unknown: BTreeMap<String, u64>,
    /// Writes that were answered with a 2xx.
    pub(crate) acknowledged_writes: u64,
    /// 5xx that a client saw.
    pub(crate) server_errors: u64,
    /// The longest time, from the first attempt on, in which no write was acknowledged.
    pub(crate) longest_gap: Duration,
}

impl Summary {
    pub(crate) fn of(history: &History) -> Self {
        let mut summary = Self::default();
        let mut acknowledged = Vec::new();
        for attempt in &history.attempts {
            *summary.attempts.entry((attempt.operation.name(), attempt.outcome.name())).or_default() += 1;
            match &attempt.outcome {
                Outcome::Ok { .. } if attempt.operation.is_write() => acknowledged.extend(attempt.end),
                Outcome::Unknown { status, why } => {
                    summary.server_errors += u64::from(status.is_some());
                    *summary.unknown.entry(why.clone()).or_default() += 1;
                }
                Outcome::Ok { .. } | Outcome::Fail { .. } | Outcome::Pending => {}
            }
        }
        acknowledged.sort_unstable();
        summary.acknowledged_writes = acknowledged.len().try_into().unwrap();
        let first = history.attempts.first().map(|attempt| attempt.start);
        let times: Vec<u64> = first.into_iter().chain(acknowledged).collect();
        let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        summary.longest_gap = Duration::from_micros(gaps.max().unwrap_or_default());
        summary
    }
}

/// Markdown.
impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut operations: Vec<&str> = self.attempts.keys().map(|(operation, _)| *operation).collect();
        operations.dedup();
        writeln!(formatter, "| operation | ok | fail | unknown | pending |\n|---|---:|---:|---:|---:|")?;
        for operation in operations {
            let count = |outcome| self.attempts.get(&(operation, outcome)).copied().unwrap_or_default();
            let [ok, fail, unknown, pending] = ["ok", "fail", "unknown", "pending"].map(count);
            writeln!(formatter, "| {operation} | {ok} | {fail} | {unknown} | {pending} |")?;
        }
        let reasons: Vec<String> = self.unknown.iter().map(|(why, count)| format!("{count} × {why}")).collect();
        writeln!(formatter, "\n- acknowledged writes: {}", self.acknowledged_writes)?;
        writeln!(formatter, "- longest gap between acknowledgements: {:.2} s", self.longest_gap.as_secs_f64())?;
        writeln!(formatter, "- 5xx that a client saw: {}", self.server_errors)?;
        writeln!(
            formatter,
            "- unknown outcomes: {}",
            if reasons.is_empty() { "none".to_owned() } else { reasons.join(", ") }
        )
    }
}
