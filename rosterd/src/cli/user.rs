//! `rosterd user`: what a person changes in the product.

use clap::Subcommand;
use protocol::id::WorkspaceId;
use protocol::message::operator::{Timezone, UserSetTimezone};

use super::connection::OperatorCommand;
use super::output::print;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Set a person's timezone as their own choice: from then on the provider's value changes nothing.
    #[command(after_help = "With -o json: {user, zone}; user is the id.")]
    SetTimezone {
        /// In which workspace.
        workspace: WorkspaceId,
        /// The person's id or userName.
        user: String,
        /// An IANA name, for example Europe/Paris.
        zone: String,
    },
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    let Action::SetTimezone { workspace, user, zone } = action;
    let set = connection.open().await?.call(UserSetTimezone { workspace, user, zone }).await?;
    let Timezone { user, zone } = &set;
    print(connection.output, &set, || format!("{user}  {zone}"))
}
