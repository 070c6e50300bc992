//! `cargo bench -p rosterd -- memory`: what the standalone `ingress` and `worker` hold in memory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rosterd::cli::output::{self, Format, table};
use rosterd::dev::processes::{Process, Role};
use rosterd::servers::postgres;
use rosterd::simulate;
use serde::Serialize;
use tokio::time::sleep;

use super::ROSTERD;
use super::machine::Machine;
use super::stage::{Database, Setup, Stage, on_postgresql};

/// How many requests are under way at a time.
const IN_FLIGHT: usize = 256;

const HOW: &str = "\
Starts a broker, one ingress and one worker as binaries of their own, on SQLite and then
on PostgreSQL; lets them rest, plays a provider, lets them rest again. Build the binaries
first: cargo build --release -p ingress -p worker

With -o json: {machine, users, rest_seconds, processes: [{database, process, rest_mib,
peak_mib, afterwards_mib}]}; the resident set in MiB, as /proc says (VmRSS and VmHWM).";

/// The settings of `cargo bench -p rosterd -- memory`.
#[derive(Debug, clap::Args)]
#[command(after_help = HOW)]
pub(super) struct Args {
    /// The folder of the binaries `ingress` and `worker` [default: that of rosterd itself].
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,

    /// How many people are created as the load.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    users: u32,

    /// How long they rest before they are weighed, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    rest: u64,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Serialize)]
struct Figures {
    machine: Machine,
    users: u32,
    rest_seconds: u64,
    processes: Vec<Weights>,
}

/// What one process held, in MiB.
#[derive(Debug, Serialize)]
struct Weights {
    database: Database,
    process: String,
    /// After its start and a rest.
    rest_mib: f64,
    /// The most that it ever held.
    peak_mib: f64,
    /// After the load and another rest.
    afterwards_mib: f64,
}

/// Measures and prints.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let machine = Machine::this();
    let binaries = binaries(args.binaries.as_deref())?;
    let processes = on_postgresql(async |server| weigh_on_both(&args, &binaries, server).await).await?;
    let figures = Figures { machine, users: args.users, rest_seconds: args.rest, processes };
    output::print(args.output, &figures, || shown(&figures))
}

pub(super) fn binaries(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = given.or_else(|| Path::new(ROSTERD).parent()).context("rosterd lies in no folder")?;
    for name in ["ingress", "worker"] {
        if !folder.join(name).is_file() {
            bail!("no {name} in {}: cargo build --release -p ingress -p worker", folder.display());
        }
    }
    folder.canonicalize().with_context(|| format!("finding {}", folder.display()))
}

async fn weigh_on_both(
    args: &Args,
    binaries: &Path,
    server: &postgres::PostgresServer,
) -> anyhow::Result<Vec<Weights>> {
    let mut weights = Vec::new();
    for database in Database::BOTH {
        let setup = Setup { binaries: Some(binaries.to_owned()), ..Setup::on(database) };
        let stage = Stage::start("bench", &setup, server).await?;
        let weighed = rest_and_load(args, &stage, database).await;
        stage.stop().await?;
        weights.extend(weighed?);
    }
    Ok(weights)
}

async fn rest_and_load(args: &Args, stage: &Stage, database: Database) -> anyhow::Result<Vec<Weights>> {
    let rest = Duration::from_secs(args.rest);
    sleep(rest).await;
    let at_rest = parts(stage).map(|process| resident(process.pid, "VmRSS")).collect::<anyhow::Result<Vec<_>>>()?;
    rosterd::say(&format!("weighed at rest on {database}, playing a provider"));
    let options = super::provider(stage, usize::try_from(args.users)?, IN_FLIGHT);
    let report = simulate::run(options, |_| ()).await?;
    if !report.is_clean() {
        bail!("the load went wrong, so the figures mean nothing:\n{report}");
    }
    sleep(rest).await;
    let weights = parts(stage).zip(at_rest).map(|(process, rest_mib)| {
        Ok(Weights {
            database,
            rest_mib,
            peak_mib: resident(process.pid, "VmHWM")?,
            afterwards_mib: resident(process.pid, "VmRSS")?,
            process: process.name,
        })
    });
    weights.collect()
}

fn parts(stage: &Stage) -> impl Iterator<Item = Process> {
    stage.topology.processes.processes().into_iter().filter(|process| process.role != Role::Broker)
}

/// A line of `/proc/<pid>/status`, in MiB.
pub(super) fn resident(pid: u32, line: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    mebibytes(&status, line).with_context(|| format!("{path} has no {line}"))
}

fn mebibytes(status: &str, line: &str) -> Option<f64> {
    let value = status.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'))?;
    let kibibytes: u32 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((f64::from(kibibytes) / 1024.0 * 10.0).round() / 10.0)
}

fn shown(figures: &Figures) -> String {
    let Figures { machine, users, rest_seconds, processes } = figures;
    let header = ["DATABASE", "PROCESS", "AT REST", "PEAK", "AFTERWARDS"];
    let rows = processes.iter().map(|one| {
        let [rest, peak, afterwards] =
            [one.rest_mib, one.peak_mib, one.afterwards_mib].map(|mebibytes| format!("{mebibytes:.1}"));
        [one.database.to_string(), one.process.clone(), rest, peak, afterwards]
    });
    format!(
        "Resident memory in MiB: {rest_seconds} s after the start, at most, and {rest_seconds} s after {users} \
         creates at {IN_FLIGHT} in flight;\n{machine}\n\n{}",
        table(header, rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_mebibytes() {
        let status = "Name:\tworker\nVmHWM:\t   30720 kB\nVmRSS:\t   20531 kB\n";
        assert_eq!(mebibytes(status, "VmRSS"), Some(20.0));
        assert_eq!(mebibytes(status, "VmHWM"), Some(30.0));
        assert_eq!(mebibytes(status, "Vm"), None);
    }
}
