//! `cargo bench -p rosterd -- groups`: what a large group costs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use reqwest::Method;
use rosterd::cli::output::{self, Format, table};
use rosterd::client::Request;
use rosterd::dev::processes::Role;
use rosterd::servers::postgres;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::load::{Caller, Timing, rounded};
use super::machine::Machine;
use super::memory::{binaries, resident};
use super::people::{self, PORTION};
use super::stage::{Database, Setup, Stage, on_postgresql};

const HOW: &str = "\
For SQLite and PostgreSQL (fsync on): the standalone ingress and worker; people are created by
bulk requests, and groups of nobody, of 10 and of all of them. Then one member is added and
removed again, by one request after the other, in each group in turn; the largest group is
read; and a PUT of half of its members replaces them. Build the binaries first:
cargo build --release -p ingress -p worker

With -o json: {machine, members, rows: [{database, members, add, remove: {per_second, p50_ms,
p99_ms}}], largest: [{database, creates_per_second, read_ms, read_mib, put_ms,
ingress_peak_mib, worker_peak_mib}]}; peaks (VmHWM) are those of a system that was started
again after the group was made.";

/// The settings of `cargo bench -p rosterd -- groups`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// How many members the largest group has.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2_000..=1_000_000))]
    members: u32,

    /// How many times a member is added to each group, and removed.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    times: u32,

    /// The folder of the binaries `ingress` and `worker` [default: that of rosterd itself].
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Serialize)]
struct Figures {
    machine: Machine,
    members: u32,
    rows: Vec<Row>,
    largest: Vec<Largest>,
}

/// One group size.
#[derive(Debug, Serialize)]
struct Row {
    database: Database,
    members: usize,
    add: Timing,
    remove: Timing,
}

/// The group of all.
#[derive(Debug, Serialize)]
struct Largest {
    database: Database,
    /// How fast its members were made, by bulk requests.
    creates_per_second: f64,
    read_ms: f64,
    read_mib: f64,
    put_ms: f64,
    ingress_peak_mib: f64,
    worker_peak_mib: f64,
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::this();
    let binaries = binaries(args.binaries.as_deref())?;
    let (rows, largest) = on_postgresql(async |server| measure_both(&args, &binaries, server).await).await?;
    let figures = Figures { machine, members: args.members, rows, largest };
    output::print(args.output, &figures, || shown(&figures))
}

async fn measure_both(
    args: &Args,
    binaries: &Path,
    server: &postgres::PostgresServer,
) -> anyhow::Result<(Vec<Row>, Vec<Largest>)> {
    let (mut rows, mut largest) = (Vec::new(), Vec::new());
    for database in Database::BOTH {
        let setup = Setup { binaries: Some(binaries.to_owned()), ..Setup::on(database) };
        let stage = Stage::start("groups", &setup, server).await?;
        let directory = Directory::fill(args, &stage, database).await?;
        rosterd::say(&format!("{} users and three groups are there on {database}", args.members));
        // A system that was only asked for the group: what filling it took is not in its memory.
        let stage = stage.again().await?;
        let read = directory.read(&stage).await?;
        rows.extend(directory.change(args, &stage.caller()?, database).await?);
        let put_ms = directory.replace(&stage.caller()?).await?;
        largest.push(Largest { database, creates_per_second: directory.creates_per_second, put_ms, ..read });
        stage.stop().await?;
    }
    Ok((rows, largest))
}

/// People, and groups of none, ten and all of them.
struct Directory {
    database: Database,
    ids: Vec<String>,
    newcomer: String,
    /// Each group's size and path.
    groups: Vec<(usize, String)>,
    creates_per_second: f64,
}

impl Directory {
    async fn fill(args: &Args, stage: &Stage, database: Database) -> anyhow::Result<Self> {
        let (caller, members) = (stage.caller()?, usize::try_from(args.members)?);
        let began = Instant::now();
        let portion = |number| people::bulk("all", number * PORTION, PORTION.min(members - number * PORTION), 0);
        let (_, answers) = caller.many(members.div_ceil(PORTION), 2, portion).await?;
        let creates_per_second = rounded(f64::from(args.members) / began.elapsed().as_secs_f64());
        let mut ids = Vec::with_capacity(members);
        for answer in &answers {
            ids.extend(people::created(answer)?);
        }
        let newcomer = people::id(&caller.send(0, people::create("newcomer", 0)).await?)?;
        let mut groups = Vec::new();
        for size in [0, 10, members] {
            let group = people::group(&format!("of {size}"), ids.get(..size).unwrap_or_default());
            let made = caller.send(0, Request::new(Method::POST, "/Groups").body(group)).await?;
            groups.push((size, format!("/Groups/{}", people::id(&made)?)));
        }
        Ok(Self { database, ids, newcomer, groups, creates_per_second })
    }

    /// Reads the largest group, in a system that has done nothing else.
    async fn read(&self, stage: &Stage) -> anyhow::Result<Largest> {
        let (_, path) = self.groups.last().context("there is no group")?;
        let began = Instant::now();
        let bytes = stage.caller()?.drain(Request::get(path.clone())).await?;
        let read_ms = rounded(began.elapsed().as_secs_f64() * 1000.0);
        let peak = |role| {
            let process = stage.processes(role).next().context("a process is missing")?;
            resident(process.pid, "VmHWM")
        };
        Ok(Largest {
            database: self.database,
            creates_per_second: 0.0,
            read_ms,
            read_mib: rounded(f64::from(u32::try_from(bytes)?) / 1024.0 / 1024.0),
            put_ms: 0.0,
            ingress_peak_mib: peak(Role::Ingress)?,
            worker_peak_mib: peak(Role::Worker)?,
        })
    }

    /// Adds one member to each group and removes it, in turn, so that a machine that becomes busy harms all.
    async fn change(&self, args: &Args, caller: &Caller, database: Database) -> anyhow::Result<Vec<Row>> {
        let mut took: Vec<[Vec<Duration>; 2]> = self.groups.iter().map(|_| <[Vec<Duration>; 2]>::default()).collect();
        let member = json!([{ "value": self.newcomer }]);
        for _ in 0..args.times {
            for ((_, path), [adds, removes]) in self.groups.iter().zip(&mut took) {
                for (op, times) in [("add", adds), ("remove", removes)] {
                    let began = Instant::now();
                    caller.send(0, people::patch(path.clone(), op, "members", &member)).await?;
                    times.push(began.elapsed());
                }
            }
        }
        let rows = self.groups.iter().zip(took).map(|((members, _), [adds, removes])| Row {
            database,
            members: *members,
            add: Timing::one_by_one(adds),
            remove: Timing::one_by_one(removes),
        });
        Ok(rows.collect())
    }

    /// Replaces the largest group by half of it.
    async fn replace(&self, caller: &Caller) -> anyhow::Result<f64> {
        let (size, path) = self.groups.last().context("there is no group")?;
        let half = people::group("half", self.ids.get(..size / 2).unwrap_or_default());
        let began = Instant::now();
        caller.drain(Request::new(Method::PUT, path.clone()).body(half)).await?;
        Ok(rounded(began.elapsed().as_secs_f64() * 1000.0))
    }
}

fn shown(Figures { machine, members, rows, largest }: &Figures) -> String {
    let header = ["DATABASE", "MEMBERS", "ADD ONE P50 MS", "P99 MS", "REMOVE ONE P50 MS", "P99 MS"];
    let changes = rows.iter().map(|row| {
        let figures = [row.add.p50_ms, row.add.p99_ms, row.remove.p50_ms, row.remove.p99_ms];
        let [add, add_p99, remove, remove_p99] = figures.map(|figure| figure.to_string());
        [row.database.to_string(), row.members.to_string(), add, add_p99, remove, remove_p99]
    });
    let changes = table(header, changes);
    let header = [
        "DATABASE",
        "CREATES/S IN BULK",
        "READ MS",
        "READ MIB",
        "PUT OF HALF MS",
        "INGRESS PEAK MIB",
        "WORKER PEAK MIB",
    ];
    let whole = largest.iter().map(|one| {
        let figures =
            [one.creates_per_second, one.read_ms, one.read_mib, one.put_ms, one.ingress_peak_mib, one.worker_peak_mib];
        let [rate, read, mib, put, ingress, worker] = figures.map(|figure| figure.to_string());
        [one.database.to_string(), rate, read, mib, put, ingress, worker]
    });
    let whole = table(header, whole);
    format!(
        "Groups of nobody, 10 and {members} members; one ingress, one worker, --log-sync interval, PostgreSQL with \
         fsync;\n{machine}\n\n{changes}\n\nThe group of {members}, and the memory of a system that read it once:\n\n{whole}"
    )
}
