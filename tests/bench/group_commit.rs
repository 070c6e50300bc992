//! `cargo bench -p rosterd -- group-commit`: how much faster a worker is that commits what is ready together.

mod figures;

use std::cell::OnceCell;
use std::ffi::OsString;

use anyhow::bail;
use rosterd::cli::output::{self, Format};
use rosterd::servers::nats::LogSync;
use rosterd::servers::postgres;
use rosterd::simulate::measure::Operation;
use rosterd::simulate::{self, Progress, Report};

use super::machine::Machine;
use super::processor::Used;
use super::stage::{Database, Setup, Stage, on_postgresql};
use figures::{Figures, Run, Settings};

const HOW: &str = "\
Starts a broker, PostgreSQL (fsync on), ingresses and one worker in temporary folders,
and plays a provider that creates people without looking them up first. Only the creates
are rated; the changes that follow them are verified, not rated. Each round plays twice,
on an empty database each time: with the worker as it is, and with --batch 1.

With -o json: {machine, settings, runs: [{round, batch, creates_per_second, p50_ms,
p99_ms, processor_ms}], medians: {grouped, single}, ratio, ratios}; processor_ms is
processor time for each create, by who used it, and in the medians that of all.";

/// The settings of `cargo bench -p rosterd -- group-commit`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// How many people are created in each run.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,

    /// How many requests are under way at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,

    /// How many ingresses share the requests; each has a bounded number of a workspace's commands in the log.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    ingresses: u8,

    /// How often both are measured, one after the other.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,

    /// When the broker syncs its log to disk: before each acknowledgement, or every two minutes.
    #[arg(long, value_enum, default_value = "interval")]
    log_sync: LogSync,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::this();
    let runs = on_postgresql(async |server| measure(&args, server).await).await?;
    let Args { users, in_flight, ingresses, rounds, log_sync, output } = args;
    let figures = Figures::new(machine, Settings { users, in_flight, ingresses, rounds, log_sync }, runs);
    output::print(output, &figures, || figures.to_string())
}

/// Grouped and single in turn, so that a machine that becomes busy harms both.
async fn measure(args: &Args, database: &postgres::PostgresServer) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for round in 1..=args.rounds {
        for batch in [figures::GROUPED, figures::SINGLE] {
            let run = play(args, database, round, batch).await?;
            rosterd::say(&format!("round {round}, batch {batch}: {:.0} creates/s", run.creates_per_second));
            runs.push(run);
        }
    }
    Ok(runs)
}

/// One run on an empty database and an empty log.
async fn play(args: &Args, database: &postgres::PostgresServer, round: u8, batch: usize) -> anyhow::Result<Run> {
    let setup = Setup {
        ingresses: usize::from(args.ingresses),
        log_sync: args.log_sync,
        worker_environment: vec![("ROSTERD_BATCH".to_owned(), OsString::from(batch.to_string()))],
        ..Setup::on(Database::Postgresql)
    };
    let stage = Stage::start(&format!("bench-{round}-{batch}"), &setup, database).await?;
    let played = create(args, &stage, database).await;
    stage.stop().await?;
    let (report, used) = played?;
    let Some(creates) = report.operations.iter().find(|one| one.operation == Operation::CreateUser) else {
        bail!("nobody was created")
    };
    let [before, after] = used;
    Ok(Run {
        round,
        batch,
        creates_per_second: creates.rate.round(),
        p50_ms: creates.p50_ms,
        p99_ms: creates.p99_ms,
        processor_ms: after.since(&before, args.users),
    })
}

/// Plays the provider; what was used of the processor at the first create's answer and at the last one's.
async fn create(
    args: &Args,
    stage: &Stage,
    database: &postgres::PostgresServer,
) -> anyhow::Result<(Report, [Used; 2])> {
    let users = usize::try_from(args.users)?;
    let options = super::provider(stage, users, usize::from(args.in_flight));
    let (first, last) = (OnceCell::new(), OnceCell::new());
    let used = || Used::now(&stage.topology.processes, &database.processes());
    let report = simulate::run(options, |Progress { answered, .. }| {
        first.get_or_init(used);
        if answered == users {
            last.get_or_init(used);
        }
    });
    let report = report.await?;
    if !report.is_clean() {
        bail!("the run went wrong, so its figures mean nothing:\n{report}");
    }
    Ok((report, [first, last].map(|cell| cell.into_inner().unwrap_or_default())))
}
