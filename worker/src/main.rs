//! The worker as a process of its own: `worker --help` lists its settings.

use std::process::ExitCode;

use clap::Parser;

/// Applies the log to SQL, each operation exactly once and in order, and answers what is read.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    config: worker::config::Config,
}

#[tokio::main]
async fn main() -> ExitCode {
    runtime::telemetry::exit(worker::run(Arguments::parse().config).await)
}
