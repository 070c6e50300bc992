//! Measures what rosterd costs: `cargo bench -p rosterd -- --help` says what there is.

#[expect(dead_code, unused_imports, reason = "this target has no harness: the tests of these files belong to `it`")]
#[path = "benchmarks.rs"]
mod benchmarks;

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // reqwest and rustls panic without a provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    benchmarks::run(benchmarks::Cli::parse()).await
}
