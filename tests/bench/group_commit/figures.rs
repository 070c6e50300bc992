//! The figures of group commit: each run, the medians, and how they compare.

use std::collections::BTreeMap;
use std::fmt;

use rosterd::cli::output::table;
use rosterd::servers::nats::LogSync;
use serde::{Serialize, Serializer};

use super::super::machine::Machine;
use super::super::processor::Who;
use super::super::stage::flag;

/// The batch of a worker that is not told otherwise.
pub(super) const GROUPED: usize = worker::apply::MAX_BATCH;
/// The batch of a worker that commits each command alone.
pub(super) const SINGLE: usize = 1;

/// What was measured, with what, on what.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    machine: Machine,
    settings: Settings,
    runs: Vec<Run>,
    medians: Medians,
    /// Of the medians.
    ratio: f64,
    /// Of each round.
    ratios: Vec<f64>,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) users: u32,
    pub(super) in_flight: u16,
    pub(super) ingresses: u8,
    pub(super) rounds: u8,
    #[serde(serialize_with = "as_flag")]
    pub(super) log_sync: LogSync,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Run {
    pub(super) round: u8,
    /// The most commands in one transaction.
    pub(super) batch: usize,
    pub(super) creates_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// Processor time for each create.
    pub(super) processor_ms: BTreeMap<Who, f64>,
}

#[derive(Debug, Serialize)]
struct Medians {
    grouped: Median,
    single: Median,
}

#[derive(Debug, Serialize)]
struct Median {
    creates_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// All processes together.
    processor_ms: f64,
}

impl Figures {
    /// Compares the runs.
    pub(super) fn new(machine: Machine, settings: Settings, runs: Vec<Run>) -> Self {
        let medians = Medians { grouped: Median::of(&runs, GROUPED), single: Median::of(&runs, SINGLE) };
        let ratio = ratio(medians.grouped.creates_per_second, medians.single.creates_per_second);
        let rates = |batch| runs.iter().filter(move |run| run.batch == batch).map(|run| run.creates_per_second);
        let ratios = rates(GROUPED).zip(rates(SINGLE)).map(|(grouped, single)| self::ratio(grouped, single)).collect();
        Self { machine, settings, runs, medians, ratio, ratios }
    }
}

impl Median {
    fn of(runs: &[Run], batch: usize) -> Self {
        let of = |figure: fn(&Run) -> f64| median(runs.iter().filter(|run| run.batch == batch).map(figure).collect());
        Self {
            creates_per_second: of(|run| run.creates_per_second),
            p50_ms: of(|run| run.p50_ms),
            p99_ms: of(|run| run.p99_ms),
            processor_ms: of(|run| run.processor_ms.values().sum()),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { users, in_flight, ingresses, log_sync, .. } = self.settings;
        writeln!(
            f,
            "{users} creates at {in_flight} in flight; one worker on PostgreSQL with fsync, {ingresses} ingresses,"
        )?;
        writeln!(f, "--log-sync {}; {}\n", flag(log_sync), self.machine)?;
        let header =
            ["ROUND", "BATCH", "CREATES/S", "P50 MS", "P99 MS", "CLIENT", "INGRESS", "BROKER", "WORKER", "SQL"];
        let medians = [(GROUPED, &self.medians.grouped), (SINGLE, &self.medians.single)];
        let medians = medians.map(|(batch, Median { creates_per_second, p50_ms, p99_ms, .. })| {
            row("median".to_owned(), batch, [*creates_per_second, *p50_ms, *p99_ms], &BTreeMap::new())
        });
        let runs = self.runs.iter().map(|run| {
            let latencies = [run.creates_per_second, run.p50_ms, run.p99_ms];
            row(run.round.to_string(), run.batch, latencies, &run.processor_ms)
        });
        writeln!(f, "{}\n", table(header, runs.chain(medians)))?;
        writeln!(f, "From CLIENT to SQL: milliseconds of processor time for each create.")?;
        let ratios: Vec<String> = self.ratios.iter().map(|ratio| format!("{ratio:.1}")).collect();
        writeln!(f, "Group commit is {:.1} times as fast (by round: {}),", self.ratio, ratios.join(", "))?;
        let [grouped, single] = [&self.medians.grouped, &self.medians.single].map(|median| median.processor_ms);
        write!(f, "and a create needs {grouped:.2} instead of {single:.2} ms of processor time in all.")
    }
}

fn row(round: String, batch: usize, [rate, p50, p99]: [f64; 3], processor: &BTreeMap<Who, f64>) -> [String; 10] {
    let [client, ingress, broker, worker, database] =
        Who::ALL.map(|who| processor.get(&who).map_or_else(String::new, |ms| format!("{ms:.2}")));
    let (rate, p50, p99) = (format!("{rate:.0}"), format!("{p50:.1}"), format!("{p99:.1}"));
    [round, batch.to_string(), rate, p50, p99, client, ingress, broker, worker, database]
}

/// The middle value, or the mean of the two in the middle; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied().unwrap_or_default();
    let lower = if values.len().is_multiple_of(2) { middle.checked_sub(1) } else { Some(middle) };
    f64::midpoint(lower.and_then(|index| values.get(index)).copied().unwrap_or_default(), upper)
}

fn ratio(grouped: f64, single: f64) -> f64 {
    if single > 0.0 { (grouped / single * 100.0).round() / 100.0 } else { 0.0 }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_flag<S: Serializer>(log_sync: &LogSync, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(flag(*log_sync))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn run(round: u8, batch: usize, creates_per_second: f64) -> Run {
        let processor_ms = BTreeMap::from([(Who::Client, 0.1), (Who::Worker, 0.25)]);
        Run { round, batch, creates_per_second, p50_ms: 100.0, p99_ms: 200.0, processor_ms }
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let rates = [(2000.0, 400.0), (1000.0, 500.0), (2400.0, 100.0)];
        let runs = (1..)
            .zip(rates)
            .flat_map(|(round, (grouped, single))| [run(round, GROUPED, grouped), run(round, SINGLE, single)]);
        let settings = Settings { users: 10, in_flight: 256, ingresses: 2, rounds: 3, log_sync: LogSync::Interval };
        let figures = Figures::new(Machine::this(), settings, runs.collect());
        let shown = figures.to_string();
        let table: Vec<&str> = shown.lines().skip(3).collect();
        expect![[r"
            ROUND   BATCH  CREATES/S  P50 MS  P99 MS  CLIENT  INGRESS  BROKER  WORKER  SQL
            1       256    2000       100.0   200.0   0.10                     0.25
            1       1      400        100.0   200.0   0.10                     0.25
            2       256    1000       100.0   200.0   0.10                     0.25
            2       1      500        100.0   200.0   0.10                     0.25
            3       256    2400       100.0   200.0   0.10                     0.25
            3       1      100        100.0   200.0   0.10                     0.25
            median  256    2000       100.0   200.0
            median  1      400        100.0   200.0

            From CLIENT to SQL: milliseconds of processor time for each create.
            Group commit is 5.0 times as fast (by round: 5.0, 2.0, 24.0),
            and a create needs 0.35 instead of 0.35 ms of processor time in all."]]
        .assert_eq(&table.join("\n"));
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!((&json["ratio"], &json["settings"]["log_sync"]), (&5.0.into(), &"interval".into()));
        assert_eq!(json["runs"][0]["processor_ms"]["worker"], 0.25);
    }

    #[test]
    fn a_median_of_two_is_their_mean() {
        assert_eq!(median(vec![4.0, 1.0]).to_string(), "2.5");
        assert_eq!(median(vec![4.0, 1.0, 2.0]).to_string(), "2");
        assert_eq!(median(Vec::new()).to_string(), "0");
    }
}
