//! `cargo bench -p rosterd -- …`: figures of this machine, each table from one run of one command.

mod deactivation;
mod group_commit;
mod groups;
mod load;
mod machine;
mod memory;
mod people;
mod processor;
mod requests;
mod slow;
mod stage;
mod workers;

use anyhow::Context;
use clap::{Parser, Subcommand};
use rosterd::simulate::Options;
use runtime::settings::Secret;

use self::stage::Stage;

/// The built binary, which the systems consist of that are measured.
const ROSTERD: &str = env!("CARGO_BIN_EXE_rosterd");

/// Measures on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo bench -p rosterd --")]
pub(crate) struct Cli {
    #[command(subcommand)]
    benchmark: Benchmark,

    /// What cargo adds to the arguments of every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// All of the others, one after the other, each with its own settings' defaults.
    All,
    /// Compare a worker that commits what is ready together with one that commits each command alone.
    GroupCommit(group_commit::Args),
    /// Time single requests and bulk requests, on both databases and with both ways to sync the log.
    Requests(requests::Args),
    /// Time changes of small and large groups, and weigh a system that reads a large one.
    Groups(groups::Args),
    /// Compare one, two and four workers, also with a database that is far away.
    Workers(workers::Args),
    /// Time how soon a GET shows a deactivation, at rest, among creates, bulk requests and lists.
    Deactivation(deactivation::Args),
    /// Weigh the standalone ingress and worker at rest and under load.
    Memory(memory::Args),
}

/// What [`Benchmark::All`] is.
const ALL: [&str; 6] = ["requests", "groups", "workers", "group-commit", "deactivation", "memory"];

/// Runs a benchmark and prints its figures.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        rosterd::say("this is a debug build: only a release build's figures mean anything");
    }
    match cli.benchmark {
        Benchmark::All => {
            for name in ALL {
                println!("== cargo bench -p rosterd -- {name}\n");
                let defaults = Cli::try_parse_from(["bench", name]).context("reading the default settings")?;
                Box::pin(run(defaults)).await?;
                println!();
            }
            Ok(())
        }
        Benchmark::GroupCommit(args) => group_commit::run(args).await,
        Benchmark::Requests(args) => requests::run(args).await,
        Benchmark::Groups(args) => groups::run(args).await,
        Benchmark::Workers(args) => workers::run(args).await,
        Benchmark::Deactivation(args) => deactivation::run(args).await,
        Benchmark::Memory(args) => memory::run(args).await,
    }
}

/// A provider that creates people without looking them up first, and changes some of them afterwards.
fn provider(stage: &Stage, users: usize, in_flight: usize) -> Options {
    Options {
        base_urls: stage.base_urls(),
        token: Secret::new(stage.topology.ready.token.clone()),
        users,
        groups: 0,
        concurrency: in_flight,
        rate: None,
        probe: false,
        stall: None,
        seed: 1,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_benchmark_runs_without_any_setting_and_ignores_what_cargo_adds() {
        Cli::command().debug_assert();
        for name in ALL {
            // Not awaited, so nothing is measured.
            drop(run(Cli::try_parse_from(["bench", name, "--bench"]).unwrap()));
        }
    }
}
