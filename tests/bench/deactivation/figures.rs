//! The figures of deactivations: each row, and the goal that follows from the row without load.

use std::fmt;
use std::time::Duration;

use rosterd::cli::output::table;
use rosterd::servers::nats::LogSync;
use serde::{Serialize, Serializer};

use super::super::load::{Timing, rounded};
use super::super::machine::Machine;
use super::super::people::PORTION;
use super::super::stage::{Database, flag};
use super::background::{Count, Load};
use super::sampler::Sample;

/// The goal, where the row without load is fast: milliseconds.
const GOAL_MS: f64 = 150.0;
/// The goal, where it is slow: so many times its p99.
const GOAL_TIMES: f64 = 5.0;

/// What was measured, with what, on what.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    machine: Machine,
    settings: Settings,
    rows: Vec<Row>,
}

/// How it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Settings {
    pub(super) samples: u32,
    pub(super) creates: u32,
    pub(super) in_flight: u16,
    pub(super) operations: u32,
    pub(super) readers: u16,
    #[serde(serialize_with = "as_flag")]
    pub(super) log_sync: LogSync,
}

/// One load on one database. Milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) database: Database,
    pub(super) load: Load,
    pub(super) samples: usize,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// For p99; none without load.
    pub(super) goal_ms: Option<f64>,
    pub(super) patch_p99_ms: f64,
    pub(super) get_p99_ms: f64,
    /// GETs that followed an answered PATCH and showed what was before.
    pub(super) repeated_gets: u32,
    pub(super) load_done: u32,
    pub(super) load_refused: u32,
    pub(super) load_per_second: f64,
}

impl Row {
    /// What samples say that were taken under a load, which ran so long.
    pub(super) fn of(database: Database, load: Load, samples: &[Sample], count: &Count, took: Duration) -> Self {
        let timing = |part: fn(&Sample) -> Duration| Timing::one_by_one(samples.iter().map(part).collect());
        let whole = |sample: &Sample| sample.patch + sample.get;
        let max = samples.iter().map(whole).max().unwrap_or_default();
        let Timing { p50_ms, p99_ms, .. } = timing(|sample| sample.patch + sample.get);
        Self {
            database,
            load,
            samples: samples.len(),
            p50_ms,
            p99_ms,
            max_ms: rounded(max.as_secs_f64() * 1000.0),
            goal_ms: None,
            patch_p99_ms: timing(|sample| sample.patch).p99_ms,
            get_p99_ms: timing(|sample| sample.get).p99_ms,
            repeated_gets: samples.iter().map(|sample| sample.repeated).sum(),
            load_done: count.done(),
            load_refused: count.refused(),
            load_per_second: rounded(f64::from(count.done()) / took.as_secs_f64().max(1e-9)),
        }
    }
}

impl Figures {
    /// Sets each row's goal.
    pub(super) fn new(machine: Machine, settings: Settings, mut rows: Vec<Row>) -> Self {
        let idle: Vec<Row> = rows.iter().filter(|row| row.load == Load::Nothing).cloned().collect();
        for row in rows.iter_mut().filter(|row| row.load != Load::Nothing) {
            let idle = idle.iter().find(|idle| idle.database == row.database);
            row.goal_ms = idle.map(|idle| rounded((GOAL_TIMES * idle.p99_ms).max(GOAL_MS)));
        }
        Self { machine, settings, rows }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { samples, in_flight, operations, readers, log_sync, .. } = self.settings;
        let bulk = operations.div_ceil(u32::try_from(PORTION).map_err(|_| fmt::Error)?);
        writeln!(f, "From sending a PATCH of active until a GET shows it, at least {samples} times in each row;")?;
        writeln!(f, "{in_flight} creates in flight, {bulk} bulk requests of {PORTION}, {readers} readers;")?;
        writeln!(f, "two workers, two ingresses, PostgreSQL with fsync, --log-sync {};", flag(log_sync))?;
        writeln!(f, "{}\n", self.machine)?;
        let header = [
            "DATABASE",
            "MEANWHILE",
            "SAMPLES",
            "P50 MS",
            "P99 MS",
            "MAX MS",
            "GOAL",
            "PATCH P99",
            "GET P99",
            "LOAD/S",
        ];
        write!(f, "{}", table(header, self.rows.iter().map(cells)))?;
        let refused = self.rows.iter().filter(|row| row.load_refused > 0);
        refused.into_iter().try_for_each(|Row { database, load, load_refused, .. }| {
            write!(f, "\n\n{database}, {load}: {load_refused} of the load were refused.")
        })
    }
}

fn cells(row: &Row) -> [String; 10] {
    let Row { p50_ms, p99_ms, max_ms, patch_p99_ms, get_p99_ms, load_per_second, .. } = *row;
    let [p50, p99, max, patch, get] = [p50_ms, p99_ms, max_ms, patch_p99_ms, get_p99_ms].map(|ms| ms.to_string());
    let (database, load, samples) = (row.database.to_string(), row.load.to_string(), row.samples.to_string());
    let goal = row.goal_ms.map_or_else(String::new, |goal| goal.to_string());
    let rate = if row.load == Load::Nothing { String::new() } else { load_per_second.to_string() };
    [database, load, samples, p50, p99, max, goal, patch, get, rate]
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_flag<S: Serializer>(log_sync: &LogSync, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(flag(*log_sync))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn row(database: Database, load: Load, milliseconds: u64) -> Row {
        let sample = |number| Sample {
            patch: Duration::from_millis(milliseconds),
            get: Duration::from_millis(number),
            repeated: u32::from(number == 200),
        };
        let samples: Vec<Sample> = (1..=200).map(sample).collect();
        Row::of(database, load, &samples, &Count::default(), Duration::from_secs(1))
    }

    #[test]
    fn the_goal_follows_from_the_row_without_load_on_the_same_database() {
        let rows = vec![
            row(Database::Sqlite, Load::Nothing, 5),
            row(Database::Sqlite, Load::Bulk, 20),
            row(Database::Postgresql, Load::CreatesHere, 30),
        ];
        let settings = Settings {
            samples: 200,
            creates: 10_000,
            in_flight: 256,
            operations: 50_000,
            readers: 64,
            log_sync: LogSync::Interval,
        };
        let figures = Figures::new(Machine::this(), settings, rows);
        let shown = figures.to_string();
        let table: Vec<&str> = shown.lines().skip(5).collect();
        expect![[r"
            DATABASE    MEANWHILE                SAMPLES  P50 MS  P99 MS  MAX MS  GOAL  PATCH P99  GET P99  LOAD/S
            SQLite      nothing                  200      105     203     205           5          198
            SQLite      bulk requests            200      120     218     220     1015  20         198      0
            PostgreSQL  creates, same workspace  200      130     228     230           30         198      0"]]
        .assert_eq(&table.join("\n"));
        let json = serde_json::to_value(&figures).unwrap();
        assert_eq!((&json["rows"][0]["goal_ms"], &json["rows"][1]["goal_ms"]), (&().into(), &1015.0.into()));
        assert_eq!((&json["rows"][1]["repeated_gets"], &json["settings"]["log_sync"]), (&1.into(), &"interval".into()));
    }

    #[test]
    fn a_fast_system_has_150_ms() {
        let idle = Row { p99_ms: 10.0, ..row(Database::Sqlite, Load::Nothing, 1) };
        let settings =
            Settings { samples: 1, creates: 1, in_flight: 1, operations: 1, readers: 1, log_sync: LogSync::Always };
        let figures = Figures::new(Machine::this(), settings, vec![idle, row(Database::Sqlite, Load::Lists, 1)]);
        assert_eq!(figures.rows.last().and_then(|row| row.goal_ms), Some(150.0));
    }
}
