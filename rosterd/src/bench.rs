//! `rosterd bench`: figures of this machine, each table from one run of one command.

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
use runtime::settings::Secret;

use self::stage::Stage;
use crate::simulate::Options;

/// The settings of `rosterd bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    benchmark: Benchmark,
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

/// A benchmark as it is without any flag.
#[derive(Debug, Parser)]
struct Defaults {
    #[command(subcommand)]
    benchmark: Benchmark,
}

/// Runs a benchmark and prints its figures.
pub async fn run(args: Args) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        crate::say("this is a debug build: only a release build's figures mean anything");
    }
    match args.benchmark {
        Benchmark::All => {
            for name in ALL {
                println!("== rosterd bench {name}\n");
                let defaults = Defaults::try_parse_from(["bench", name]).context("reading the default settings")?;
                Box::pin(run(Args { benchmark: defaults.benchmark })).await?;
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
        seed: 1,
    }
}
