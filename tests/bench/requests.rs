//! `cargo bench -p rosterd -- requests`: how fast single requests and bulk requests are answered.

use rosterd::cli::output::{self, Format, table};
use rosterd::client::Request;
use rosterd::servers::nats::LogSync;
use rosterd::servers::postgres;
use serde::Serialize;
use serde_json::json;

use super::load::{Caller, Timing};
use super::machine::Machine;
use super::people;
use super::stage::{Database, Setup, Stage, on_postgresql};

const HOW: &str = "\
For SQLite and PostgreSQL (fsync on), and for a log that is synced every two minutes and one
that is synced before each acknowledgement: a broker, two ingresses and one worker, all new;
then, one after the other, creates at 1, 32 and 256 in flight, bulk requests of 100 creates,
one bulk request of 1,000 users and 20 groups that refer to them, reads by id, lookups by
userName, and changes. Rates count users, not requests.

With -o json: {machine, users, rows: [{database, log_sync, what, in_flight, per_second,
p50_ms, p99_ms}]}; latencies are those of requests.";

/// The settings of `cargo bench -p rosterd -- requests`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// How many users each measurement is about; a tenth of them where only one is in flight.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    users: u32,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Serialize)]
struct Figures {
    machine: Machine,
    users: u32,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    database: Database,
    log_sync: &'static str,
    what: &'static str,
    in_flight: usize,
    #[serde(flatten)]
    timing: Timing,
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::this();
    let rows = on_postgresql(async |server| measure(&args, server).await).await?;
    let figures = Figures { machine, users: args.users, rows };
    output::print(args.output, &figures, || shown(&figures))
}

async fn measure(args: &Args, server: &postgres::PostgresServer) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for database in Database::BOTH {
        for (log_sync, word) in [(LogSync::Interval, "interval"), (LogSync::Always, "always")] {
            let setup = Setup { ingresses: 2, log_sync, ..Setup::on(database) };
            let stage = Stage::start(&format!("requests-{word}"), &setup, server).await?;
            let timings = play(&stage.caller()?, usize::try_from(args.users)?).await;
            stage.stop().await?;
            let row = |(what, in_flight, timing)| Row { database, log_sync: word, what, in_flight, timing };
            rows.extend(timings?.into_iter().map(row));
            rosterd::say(&format!("measured {database} with --log-sync {word}"));
        }
    }
    Ok(rows)
}

async fn play(caller: &Caller, users: usize) -> anyhow::Result<Vec<(&'static str, usize, Timing)>> {
    let mut timings = Vec::new();
    let mut ids = Vec::new();
    // What is measured is a system at work, not its first request.
    caller.many(200, 32, |number| people::create("first", number)).await?;
    for (series, in_flight, count) in [("one", 1, users / 10), ("some", 32, users), ("many", 256, users)] {
        let (timing, created) = caller.many(count, in_flight, |number| people::create(series, number)).await?;
        timings.push(("create", in_flight, timing));
        ids.extend(created.iter().map(people::id).collect::<anyhow::Result<Vec<_>>>()?);
    }
    let (timing, answers) = caller.many(users / 100, 2, |number| people::bulk("bulk", number * 100, 100, 0)).await?;
    answers.iter().try_for_each(|answer| people::created(answer).map(drop))?;
    timings.push(("create, in bulk of 100", 2, timing.each(100)));
    let (timing, answers) = caller.many(1, 1, |_| people::bulk("company", 0, 1000, 20)).await?;
    answers.iter().try_for_each(|answer| people::created(answer).map(drop))?;
    timings.push(("create, in bulk of 1,000 with 20 groups", 1, timing.each(1000)));

    let path = |number: usize| {
        let id = ids.get(number * 7919 % ids.len().max(1));
        format!("/Users/{}", id.map_or("", String::as_str))
    };
    let (timing, _) = caller.many(users, 32, |number| Request::get(path(number))).await?;
    timings.push(("read by id", 32, timing));
    let lookup = |number: usize| {
        let name = format!("many-{}%40example.com", number % users);
        Request::get(format!("/Users?filter=userName%20eq%20%22{name}%22"))
    };
    let (timing, _) = caller.many(users, 32, lookup).await?;
    timings.push(("look up by userName", 32, timing));
    let change = |number: usize| people::patch(path(number), "replace", "title", &json!(format!("Title {number}")));
    let (timing, _) = caller.many(users, 32, change).await?;
    timings.push(("change one attribute", 32, timing));
    Ok(timings)
}

fn shown(Figures { machine, users, rows }: &Figures) -> String {
    let header = ["DATABASE", "LOG SYNC", "WHAT", "IN FLIGHT", "PER SECOND", "P50 MS", "P99 MS"];
    let rows = rows.iter().map(|row| {
        let Row { database, log_sync, what, in_flight, timing } = row;
        let figures = [timing.per_second, timing.p50_ms, timing.p99_ms].map(|figure| figure.to_string());
        let [rate, p50, p99] = figures;
        [database.to_string(), (*log_sync).to_owned(), (*what).to_owned(), in_flight.to_string(), rate, p50, p99]
    });
    format!(
        "{users} users in each measurement, one worker, two ingresses, PostgreSQL with fsync;\n{machine}\n\n{}",
        table(header, rows)
    )
}
