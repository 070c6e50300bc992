//! The worker as a process of its own: `worker --help` lists its settings.

use clap::Parser;

/// Applies the log to SQL, each operation exactly once and in order, and answers what is read.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    config: worker::config::Config,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Ok(worker::run(Arguments::parse().config).await?)
}
