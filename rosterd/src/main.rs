//! `rosterd`: the operator's command.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    // One TLS provider in the whole tree. Set before any client is built; a second setting changes nothing.
    drop(rustls::crypto::ring::default_provider().install_default());
    rosterd::cli::run(rosterd::cli::Cli::parse()).await
}
