//! `rosterd user`: what a person changes in the product.

use clap::Subcommand;
use protocol::id::WorkspaceId;
use protocol::message::operator::{OperatorError, Timezone, UserSetTimezone, WorkspaceShow};

use super::connection::OperatorCommand;
use super::management::CallError;
use super::output::print;

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Set a person's timezone as their own choice: from then on the provider's value changes nothing.
    #[command(after_help = "\
Example:\n  rosterd user set-timezone acme bjensen@example.com Europe/Paris\n\nWith -o json: {user, zone}; user is the id.")]
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
    let management = connection.open().await?;
    let call = UserSetTimezone { workspace: workspace.clone(), user, zone };
    let set = match management.call(call).await {
        // An ingress knows of no workspace: it may be that, not the person, which is not there.
        Err(missing @ CallError::Refused(OperatorError::NotFound { .. })) => {
            management.call(WorkspaceShow { workspace }).await?;
            return Err(missing.into());
        }
        set => set?,
    };
    let Timezone { user, zone } = &set;
    print(connection.output, &set, || format!("{user}  {zone}"))
}
