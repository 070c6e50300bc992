//! `cargo bench -p rosterd -- workers`: what further workers bring, with a database nearby and one far away.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use rosterd::cli::output::{self, Format, table};
use rosterd::dev::processes::Role;
use rosterd::servers::postgres;
use serde::Serialize;

use super::load::Timing;
use super::machine::Machine;
use super::people;
use super::processor::ticks_of;
use super::stage::{Database, Setup, Stage, on_postgresql};

/// How many workers are compared.
const WORKERS: [usize; 3] = [1, 2, 4];

const HOW: &str = "\
For 1, 2 and 4 workers on PostgreSQL (fsync on), as it is and behind a link on which every
message to it takes longer: creates, all in an empty system each time. The round in the middle
is shown. LEAST SHARE says how much of the workers' processor time the least busy one of them
used in any round; none should be idle.

With -o json: {machine, users, in_flight, ingresses, slots, batch, rows: [{latency_ms, workers,
per_second, p50_ms, p99_ms, rates, least_share}]}; rates are those of the rounds.";

/// The settings of `cargo bench -p rosterd -- workers`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// How many users are created in each run.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,

    /// How many requests are under way at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,

    /// How many ingresses share the requests; each has a bounded number of a workspace's commands in the log.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    ingresses: u8,

    /// How much longer each message to the database takes in the second half, in milliseconds.
    #[arg(long, default_value_t = 5, value_name = "MS")]
    latency: u64,

    /// How often everything is measured, one after the other; the medians are compared.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,

    /// How many transactions each worker runs at a time [default: as many as it runs by itself].
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=64))]
    slots: Option<u8>,

    /// How many commands each transaction takes at most [default: as many as a worker takes by itself].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: Option<u16>,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Serialize)]
struct Figures {
    machine: Machine,
    users: u32,
    in_flight: u16,
    ingresses: u8,
    slots: Option<u8>,
    batch: Option<u16>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    latency_ms: u64,
    workers: usize,
    #[serde(flatten)]
    timing: Timing,
    /// Of each round.
    rates: Vec<f64>,
    /// What the least busy worker of all rounds used of the workers' processor time.
    least_share: f64,
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::this();
    let rows = on_postgresql(async |server| measure(&args, server).await).await?;
    let Args { users, in_flight, ingresses, slots, batch, .. } = args;
    let figures = Figures { machine, users, in_flight, ingresses, slots, batch, rows };
    output::print(args.output, &figures, || shown(&figures))
}

async fn measure(args: &Args, server: &postgres::PostgresServer) -> anyhow::Result<Vec<Row>> {
    let mut runs: BTreeMap<(u64, usize), Vec<Run>> = BTreeMap::new();
    for round in 1..=args.rounds {
        for latency_ms in [0, args.latency] {
            for workers in WORKERS {
                let setup = setup(args, latency_ms, workers);
                let stage = Stage::start(&format!("workers-{round}-{latency_ms}-{workers}"), &setup, server).await?;
                let played = play(args, &stage).await;
                stage.stop().await?;
                let run = played?;
                let rate = run.timing.per_second;
                rosterd::say(&format!("round {round}, {workers} workers, {latency_ms} ms: {rate} creates/s"));
                runs.entry((latency_ms, workers)).or_default().push(run);
            }
        }
    }
    Ok(runs.into_iter().map(|((latency_ms, workers), runs)| Row::of(latency_ms, workers, runs)).collect())
}

fn setup(args: &Args, latency_ms: u64, workers: usize) -> Setup {
    let slots = args.slots.map(|slots| ("ROSTERD_SLOTS".to_owned(), OsString::from(slots.to_string())));
    let batch = args.batch.map(|batch| ("ROSTERD_BATCH".to_owned(), OsString::from(batch.to_string())));
    Setup {
        ingresses: usize::from(args.ingresses),
        workers,
        latency: (latency_ms > 0).then(|| Duration::from_millis(latency_ms)),
        worker_environment: slots.into_iter().chain(batch).collect(),
        ..Setup::on(Database::Postgresql)
    }
}

/// One run: how fast, and each worker's share of the workers' processor time.
struct Run {
    timing: Timing,
    shares: Vec<f64>,
}

impl Row {
    /// The run in the middle of several.
    fn of(latency_ms: u64, workers: usize, mut runs: Vec<Run>) -> Self {
        let rates = runs.iter().map(|run| run.timing.per_second).collect();
        let least_share = runs.iter().flat_map(|run| &run.shares).copied().fold(1.0, f64::min);
        runs.sort_by(|one, other| one.timing.per_second.total_cmp(&other.timing.per_second));
        let middle = runs.get(runs.len() / 2).map(|run| run.timing).unwrap_or_default();
        Self { latency_ms, workers, timing: middle, rates, least_share }
    }
}

async fn play(args: &Args, stage: &Stage) -> anyhow::Result<Run> {
    let caller = stage.caller()?;
    caller.many(200, 32, |number| people::create("first", number)).await?;
    let used = || -> Vec<u32> { stage.processes(Role::Worker).map(|process| ticks_of(process.pid)).collect() };
    let before = used();
    let in_flight = usize::from(args.in_flight);
    let (timing, _) =
        caller.many(usize::try_from(args.users)?, in_flight, |number| people::create("many", number)).await?;
    let used: Vec<f64> =
        used().into_iter().zip(before).map(|(after, before)| f64::from(after.saturating_sub(before))).collect();
    let all: f64 = used.iter().sum();
    let share = |used: f64| (used / all.max(1.0) * 100.0).round() / 100.0;
    Ok(Run { timing, shares: used.into_iter().map(share).collect() })
}

fn shown(Figures { machine, users, in_flight, ingresses, slots, batch, rows }: &Figures) -> String {
    let header = ["LATENCY MS", "WORKERS", "CREATES/S", "P50 MS", "P99 MS", "LEAST SHARE", "ROUNDS"];
    let rows = rows.iter().map(|row| {
        let figures = [row.timing.per_second, row.timing.p50_ms, row.timing.p99_ms, row.least_share];
        let [rate, p50, p99, share] = figures.map(|figure| figure.to_string());
        let rates: Vec<String> = row.rates.iter().map(ToString::to_string).collect();
        [row.latency_ms.to_string(), row.workers.to_string(), rate, p50, p99, share, rates.join(" ")]
    });
    let slots = slots.map_or_else(String::new, |slots| format!(", {slots} transactions a worker"));
    let batch = batch.map_or_else(String::new, |batch| format!(", {batch} commands a transaction"));
    format!(
        "{users} creates at {in_flight} in flight, {ingresses} ingresses{slots}{batch}, PostgreSQL with fsync, \
         --log-sync interval;\n{machine}\n\n{}",
        table(header, rows)
    )
}
