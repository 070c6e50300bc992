//! The command line: what there is, what it exits with.

mod acting;
mod audit;
mod check;
mod confirm;
mod connection;
mod dead_letters;
mod failure;
mod lane;
mod letter_filter;
pub mod management;
mod message;
mod migrate;
pub mod output;
mod replay;
mod schema;
mod status;
mod statuses;
mod token;
mod user;
mod worker;
mod workspace;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use futures::future::LocalBoxFuture;
use runtime::telemetry::error_chain;

use self::connection::OperatorCommand;
use crate::{demo, dev, servers, simulate};

const EXAMPLES: &str = "\
Examples:
  rosterd demo                       watch a company arrive, in ten seconds
  rosterd dev                        keep a system running, with a curl to try
  rosterd workspace create acme --name Acme
  rosterd workspace enable acme      prints the Base URL, and the token once
  rosterd token list acme -o json

Broker and database are found through ROSTERD_NATS_URL and ROSTERD_DATABASE_URL.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 unreachable.";

/// The version, and the commit that was built.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ROSTERD_COMMIT"), ")");

/// SCIM 2.0 provisioning that loses nothing: HTTP edge, durable log, workers, SQL.
#[derive(Debug, Parser)]
#[command(name = "rosterd", version = VERSION, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show everything at once, in a temporary folder.
    Demo(demo::DemoArgs),
    /// Keep a whole system running on this machine.
    Dev(dev::DevArgs),
    Simulate(simulate::SimulateArgs),
    /// Say how the whole system is.
    Status(status::Args),
    /// Say whether the system is set up as it has to be.
    Check(check::Args),
    /// List the lanes of the log, pause one, let it go on.
    Lane(OperatorCommand<lane::Action>),
    /// List what the log holds, and why it waits.
    Message(OperatorCommand<message::Action>),
    /// Create, list, show, enable, pause and disable workspaces.
    Workspace(OperatorCommand<workspace::Action>),
    /// Create, list and revoke bearer tokens.
    Token(OperatorCommand<token::Action>),
    /// Add a workspace's own schemas and list them.
    Schema(OperatorCommand<schema::Action>),
    /// Change people as the product does.
    User(OperatorCommand<user::Action>),
    /// Look at messages that could not be applied, and apply them again.
    DeadLetters(OperatorCommand<dead_letters::Action>),
    /// Follow, pause and stop replays of dead letters.
    Replay(OperatorCommand<replay::Action>),
    /// Prove that nothing was lost, and show who did what.
    Audit(OperatorCommand<audit::Action>),
    /// Bring the database's schema to a state.
    Migrate(migrate::Args),
    Ingress(Box<ingress::Config>),
    /// Run one worker; list them, drain one.
    Worker(Box<worker::Args>),
    /// Run a command that ends when standard input closes.
    #[command(name = "__guard", hide = true)]
    Guard(Guard),
}

#[derive(Debug, clap::Args)]
struct Guard {
    #[arg(long, requires = "gid")]
    uid: Option<u32>,

    #[arg(long, requires = "uid")]
    gid: Option<u32>,

    #[arg(long)]
    remove: Option<PathBuf>,

    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Carries out a command line.
#[inline(never)]
pub fn run(cli: Cli) -> LocalBoxFuture<'static, ExitCode> {
    Box::pin(async move {
        carry_out(cli.command).await.unwrap_or_else(|error| {
            crate::say(&format!("error: {}", error_chain(&*error)));
            ExitCode::from(failure::exit_code(&error))
        })
    })
}

async fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(args) => return demo::run(args).await,
        Command::Simulate(args) => return Ok(args.execute().await?),
        Command::Replay(args) => {
            return Ok(if replay::run(args).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Status(args) => {
            return Ok(if status::run(args).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Check(args) => return Ok(if check::run(args).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Audit(args) => return Ok(if audit::run(args).await? { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        Command::Guard(Guard { uid, gid, remove, command }) => {
            return Ok(servers::guard::main(&command, uid.zip(gid), remove.as_deref()));
        }
        Command::Lane(args) => lane::run(args).await?,
        Command::Message(args) => message::run(args).await?,
        Command::Dev(args) => dev::run(args).await?,
        Command::Workspace(args) => workspace::run(args).await?,
        Command::Token(args) => token::run(args).await?,
        Command::Schema(args) => schema::run(args).await?,
        Command::User(args) => user::run(args).await?,
        Command::DeadLetters(args) => dead_letters::run(args).await?,
        Command::Migrate(args) => migrate::run(args).await?,
        Command::Ingress(config) => ingress::run(*config).await?,
        Command::Worker(args) => worker::run(*args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// The commands by which operators see and steer a running system.
    #[test]
    fn the_help_of_each_command_for_a_running_system_has_an_example() {
        for path in [
            &["status"][..],
            &["check"],
            &["lane", "list"],
            &["lane", "pause"],
            &["lane", "resume"],
            &["message", "list"],
            &["worker"],
            &["worker", "list"],
            &["worker", "drain"],
        ] {
            let mut command = Cli::command();
            for name in path {
                command = command.find_subcommand(name).unwrap().clone();
            }
            let help = command.render_long_help().to_string();
            let example = format!("  rosterd {}", path.join(" "));
            assert!(help.contains("Example") && help.contains(&example), "{help}");
        }
    }

    #[test]
    fn every_command_shows_an_example() {
        fn leaves(command: &clap::Command) -> Vec<&clap::Command> {
            let below: Vec<_> = command.get_subcommands().flat_map(leaves).collect();
            if below.is_empty() { vec![command] } else { below }
        }
        let command = Cli::command();
        let open = ["__guard", "dead-letters", "replay", "audit", "migrate"];
        for command in command.get_subcommands().filter(|command| !open.contains(&command.get_name())) {
            for leaf in leaves(command) {
                let help = leaf.clone().render_long_help().to_string();
                assert!(help.contains("Example"), "{} {}: {help}", command.get_name(), leaf.get_name());
            }
        }
    }

    #[test]
    fn the_help_fits_on_one_screen() {
        let help = Cli::command().render_help().to_string();
        assert!(help.lines().count() <= 40 && help.lines().all(|line| line.len() <= 80), "{help}");
        expect![[r"
            SCIM 2.0 provisioning that loses nothing: HTTP edge, durable log, workers, SQL

            Usage: rosterd <COMMAND>

            Commands:
              demo          Show everything at once, in a temporary folder
              dev           Keep a whole system running on this machine
              simulate      Plays an identity provider and verifies the result
              status        Say how the whole system is
              check         Say whether the system is set up as it has to be
              lane          List the lanes of the log, pause one, let it go on
              message       List what the log holds, and why it waits
              workspace     Create, list, show, enable, pause and disable workspaces
              token         Create, list and revoke bearer tokens
              schema        Add a workspace's own schemas and list them
              user          Change people as the product does
              dead-letters  Look at messages that could not be applied, and apply them again
              replay        Follow, pause and stop replays of dead letters
              audit         Prove that nothing was lost, and show who did what
              migrate       Bring the database's schema to a state
              ingress       Speaks SCIM over HTTP and appends every change to the log
              worker        Run one worker; list them, drain one
              help          Print this message or the help of the given subcommand(s)

            Options:
              -h, --help     Print help
              -V, --version  Print version

            Examples:
              rosterd demo                       watch a company arrive, in ten seconds
              rosterd dev                        keep a system running, with a curl to try
              rosterd workspace create acme --name Acme
              rosterd workspace enable acme      prints the Base URL, and the token once
              rosterd token list acme -o json

            Broker and database are found through ROSTERD_NATS_URL and ROSTERD_DATABASE_URL.
            Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 unreachable.
        "]]
        .assert_eq(&help);
    }
}
