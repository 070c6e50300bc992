//! `cargo bench -p rosterd -- deactivation`: how soon a GET shows that somebody's access is gone, at rest and under load.

mod background;
mod figures;
mod sampler;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rosterd::cli::output::{self, Format};
use rosterd::servers::nats::LogSync;
use rosterd::servers::postgres;
use tokio::time::{Instant, sleep};

use self::background::{Background, Count, Load};
use self::figures::{Figures, Row, Settings};
use self::sampler::{Sample, Sampler, WARM_UP};
use super::load::Caller;
use super::machine::Machine;
use super::people::{self, PORTION};
use super::stage::{Database, Setup, Stage, on_postgresql};

/// How many users are there for each sample that is asked for: the load may take longer than the samples.
const SPARE: usize = 5;
/// Between the load's first request and the first sample.
const SETTLE: Duration = Duration::from_secs(1);

const HOW: &str = "\
For SQLite and PostgreSQL (fsync on): two ingresses and two workers, new for each row, and
active users, made beforehand. One after the other, with up to 50 ms between them, is deactivated
by a PATCH of one attribute and then read at the other ingress until the GET shows it. MEANWHILE
says what other requests are under way, from a second before the first sample until the last one:
creates in the same workspace or in another, bulk requests of 2,000 creates, lists of 200 users.
A row ends when it has its samples and the load is complete. From sending the PATCH to the answer
of the GET is one sample; PATCH P99 and GET P99 are its parts. The goal for P99 is the larger of
5 times that of the row without load and 150 ms.

With -o json: {machine, settings, rows: [{database, load, samples, p50_ms, p99_ms, max_ms,
goal_ms, patch_p99_ms, get_p99_ms, repeated_gets, load_done, load_refused, load_per_second}]}; loads
count users, bulk operations or lists; load_refused are those without success, such as 503.";

/// The settings of `cargo bench -p rosterd -- deactivation`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// How many deactivations each row has, at least.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    samples: u32,

    /// How many users are created meanwhile, at least.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    creates: u32,

    /// How many of these creates are under way at a time.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,

    /// How many operations the bulk requests have that are sent at a time.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(2_000..=200_000))]
    operations: u32,

    /// How many readers list users, each one list after the other.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    readers: u16,

    /// How long a row may take, in seconds; it has fewer samples then.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    limit: u64,

    /// Which database [default: both, one after the other].
    #[arg(long, value_enum)]
    database: Option<Database>,

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
    let rows = on_postgresql(async |server| measure(&args, server).await).await?;
    let Args { samples, creates, in_flight, operations, readers, log_sync, .. } = args;
    let settings = Settings { samples, creates, in_flight, operations, readers, log_sync };
    let figures = Figures::new(machine, settings, rows);
    output::print(args.output, &figures, || figures.to_string())
}

async fn measure(args: &Args, server: &postgres::PostgresServer) -> anyhow::Result<Vec<Row>> {
    let databases = Database::BOTH.into_iter().filter(|one| args.database.is_none_or(|only| only == *one));
    let mut rows = Vec::new();
    for (place, database) in databases.enumerate() {
        for (number, load) in Load::ALL.into_iter().enumerate() {
            let setup = Setup { ingresses: 2, workers: 2, log_sync: args.log_sync, ..Setup::on(database) };
            let stage = Stage::start(&format!("deactivation-{place}-{number}"), &setup, server).await?;
            let measured = play(args, database, load, &stage).await;
            stage.stop().await?;
            let row = measured.with_context(|| format!("measuring with {load} on {database}"))?;
            rosterd::say(&format!("{database}, {load}: p99 {} ms", row.p99_ms));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// One row, in a system of its own.
async fn play(args: &Args, database: Database, load: Load, stage: &Stage) -> anyhow::Result<Row> {
    let caller = stage.caller()?;
    // What is measured is a system at work, not its first request.
    caller.many(200, 32, |number| people::create("first", number)).await?;
    let ids = leavers(&caller, usize::try_from(args.samples)? * SPARE).await?;
    let caller = if load == Load::CreatesElsewhere { stage.another("globex").await? } else { caller };
    let background = background(args, load)?;
    let count = background.count();
    let provider = Sampler {
        caller: stage.caller()?,
        ids,
        at_least: usize::try_from(args.samples)?,
        load: Arc::clone(&count),
        until: Instant::now() + Duration::from_secs(args.limit),
    };
    let began = Instant::now();
    let samples = tokio::select! {
        failure = background.keep_up(&caller) => return Err(failure.context("keeping up the load")),
        samples = take(provider) => samples?,
    };
    Ok(Row::of(database, load, &samples, &count, began.elapsed()))
}

async fn take(sampler: Sampler) -> anyhow::Result<Vec<Sample>> {
    sleep(SETTLE).await;
    sampler.run().await
}

fn background(args: &Args, load: Load) -> anyhow::Result<Background> {
    let (in_flight, at_least) = match load {
        Load::Nothing => (0, 0),
        Load::CreatesHere | Load::CreatesElsewhere => (usize::from(args.in_flight), args.creates),
        Load::Bulk => (usize::try_from(args.operations)?.div_ceil(PORTION), args.operations),
        Load::Lists => (usize::from(args.readers), 0),
    };
    Ok(Background::new(load, in_flight, Count::up_to(at_least)))
}

/// Active users; their ids.
async fn leavers(caller: &Caller, count: usize) -> anyhow::Result<Vec<String>> {
    let count = count + WARM_UP;
    let portion = |number: usize| people::bulk("leaver", number * PORTION, PORTION.min(count - number * PORTION), 0);
    let (_, answers) = caller.many(count.div_ceil(PORTION), 1, portion).await?;
    let ids: Vec<Vec<String>> = answers.iter().map(people::created).collect::<anyhow::Result<_>>()?;
    Ok(ids.concat())
}
