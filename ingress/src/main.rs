//! The ingress by itself, as images and orchestrators run it.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    runtime::telemetry::exit(ingress::run(ingress::Config::parse()).await)
}
