//! Where the system is that a command talks to.

use runtime::settings::BrokerSettings;

use clap::Subcommand;

use crate::cli::management::{CallError, Management};
use crate::cli::output::Format;

/// A command that calls a running system: where that is, and which action was chosen.
#[derive(Debug, clap::Args)]
pub(super) struct OperatorCommand<A: Subcommand> {
    #[command(flatten)]
    pub(super) connection: Connection,

    #[command(subcommand)]
    pub(super) action: A,
}

/// Settings of every command that calls a running system.
#[derive(Debug, clap::Args)]
pub(super) struct Connection {
    /// Where the broker is.
    #[command(flatten)]
    broker: BrokerSettings,

    /// How the result is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table, global = true)]
    pub(super) output: Format,
}

impl Connection {
    /// Connects to the broker.
    pub(super) async fn open(&self) -> Result<Management, CallError> {
        Management::connect(&self.broker).await
    }
}
