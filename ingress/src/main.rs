//! The ingress by itself, as images and orchestrators run it.

use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    ingress::run(ingress::Config::parse()).await?;
    Ok(())
}
