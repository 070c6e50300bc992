//! `rosterd bench workers`: what further workers bring, with a database nearby and one far away.

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::load::Timing;
use super::machine::Machine;
use super::people;
use super::processor::ticks_of;
use super::stage::{Database, Setup, Stage};
use crate::cli::output::{self, Format, table};
use crate::dev::board::Role;
use crate::servers::postgres;

/// How many workers are compared.
const WORKERS: [usize; 3] = [1, 2, 4];

const HOW: &str = "\
For 1, 2 and 4 workers on PostgreSQL (fsync on), as it is and behind a link on which every
message to it takes longer: creates, all in an empty system each time. SHARES says how much of
the workers' processor time each of them used; none should be idle.

With -o json: {machine, users, in_flight, latency_ms, rows: [{latency_ms, workers, per_second,
p50_ms, p99_ms, shares}]}; shares are fractions.";

/// The settings of `rosterd bench workers`.
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
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    latency_ms: u64,
    workers: usize,
    #[serde(flatten)]
    timing: Timing,
    shares: Vec<f64>,
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::this();
    let guard = std::env::current_exe().context("finding the rosterd binary")?;
    let server = postgres::start(&postgres::Settings { guard, fsync: true }, crate::say).await?;
    let rows = measure(&args, &server).await;
    server.stop().await.context("stopping PostgreSQL")?;
    let Args { users, in_flight, ingresses, .. } = args;
    let figures = Figures { machine, users, in_flight, ingresses, rows: rows? };
    output::print(args.output, &figures, || shown(&figures))
}

async fn measure(args: &Args, server: &postgres::Server) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for latency_ms in [0, args.latency] {
        for workers in WORKERS {
            let latency = (latency_ms > 0).then(|| Duration::from_millis(latency_ms));
            let on = Setup::on(Database::Postgresql);
            let setup = Setup { ingresses: usize::from(args.ingresses), workers, latency, ..on };
            let stage = Stage::start(&format!("workers-{latency_ms}-{workers}"), &setup, server).await?;
            let played = play(args, &stage).await;
            stage.stop().await?;
            let (timing, shares) = played?;
            crate::say(&format!("{workers} workers, {latency_ms} ms: {} creates/s", timing.per_second));
            rows.push(Row { latency_ms, workers, timing, shares });
        }
    }
    Ok(rows)
}

async fn play(args: &Args, stage: &Stage) -> anyhow::Result<(Timing, Vec<f64>)> {
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
    Ok((timing, used.into_iter().map(share).collect()))
}

fn shown(Figures { machine, users, in_flight, ingresses, rows }: &Figures) -> String {
    let header = ["LATENCY MS", "WORKERS", "CREATES/S", "P50 MS", "P99 MS", "SHARES"];
    let rows = rows.iter().map(|row| {
        let [rate, p50, p99] =
            [row.timing.per_second, row.timing.p50_ms, row.timing.p99_ms].map(|figure| figure.to_string());
        let shares: Vec<String> = row.shares.iter().map(ToString::to_string).collect();
        [row.latency_ms.to_string(), row.workers.to_string(), rate, p50, p99, shares.join(" ")]
    });
    format!(
        "{users} creates at {in_flight} in flight, {ingresses} ingresses, PostgreSQL with fsync, --log-sync interval;\n\
         {machine}\n\n{}",
        table(header, rows)
    )
}
