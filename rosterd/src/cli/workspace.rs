//! `rosterd workspace`.

use clap::Subcommand;
use protocol::id::WorkspaceId;
use protocol::message::operator::{
    Workspace, WorkspaceCreate, WorkspaceDialect, WorkspaceEnable, WorkspaceList, WorkspaceShow,
};
use protocol::scim::dialect::{Dialect, UnknownDialect};
use serde_json::{Value, json};

use super::connection::{Connection, OperatorCommand};
use super::management::{Management, new_token};
use super::output::{print, table, with_times};
use super::token::{Expiry, expires_at};

const ONE_AS_JSON: &str =
    "With -o json: {id, name, enabled, created_at, dialect, seen_dialect, users, groups}; times are RFC 3339.";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add a workspace, SCIM still off.
    #[command(after_help = ONE_AS_JSON)]
    Create {
        /// Its id, as it stands in the Base URL: a-z, 0-9 and '-'.
        workspace: WorkspaceId,
        /// Its name for people [default: its id].
        #[arg(long)]
        name: Option<String>,
    },
    /// List all workspaces.
    #[command(after_help = "With -o json: {workspaces: […]}, each as `show` prints it, without counts.")]
    List,
    /// Show one workspace and how many users and groups it has.
    #[command(after_help = ONE_AS_JSON)]
    Show {
        /// Which one.
        workspace: WorkspaceId,
    },
    /// Say which provider's dialect a workspace's requests are read by. Needed where the requests do not tell: `ping`.
    #[command(after_help = ONE_AS_JSON)]
    Dialect {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// standard, okta, entra, google, jumpcloud, onelogin or ping; `detect` leaves it to the requests.
        #[arg(value_parser = dialect)]
        dialect: Chosen,
    },
    /// Turn SCIM on; prints the Base URL, and the first token once.
    #[command(after_help = "With -o json: {workspace, base_url, token}.")]
    Enable(Enable),
}

#[derive(Debug, clap::Args)]
pub(super) struct Enable {
    /// Which workspace.
    workspace: WorkspaceId,

    /// What the token is called in lists.
    #[arg(long, default_value = "first token")]
    label: String,

    /// After how many days the token stops working, for example `365d`; never without it.
    #[arg(long, value_name = "DAYS")]
    expires: Option<Expiry>,

    /// What the Base URL begins with, as providers reach the ingress [default: `http://127.0.0.1:8080`].
    #[arg(long, env = "ROSTERD_PUBLIC_URL")]
    public_url: Option<String>,
}

/// A dialect, or none: detection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen(Option<Dialect>);

fn dialect(word: &str) -> Result<Chosen, String> {
    match word {
        "detect" => Ok(Chosen(None)),
        word => word.parse().map(|dialect| Chosen(Some(dialect))).map_err(|error: UnknownDialect| error.to_string()),
    }
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    let management = connection.open().await?;
    let one = match action {
        Action::Enable(enable) => return enable_workspace(&connection, &management, enable).await,
        Action::Create { workspace, name } => {
            let name = name.unwrap_or_else(|| workspace.to_string());
            management.call(WorkspaceCreate { workspace, name }).await?
        }
        Action::List => {
            let workspaces = management.call(WorkspaceList {}).await?;
            let list: Vec<Value> = workspaces.iter().map(shown).collect();
            return print(connection.output, &json!({ "workspaces": list }), || table_of(&workspaces));
        }
        Action::Show { workspace } => management.call(WorkspaceShow { workspace }).await?,
        Action::Dialect { workspace, dialect: Chosen(dialect) } => {
            management.call(WorkspaceDialect { workspace, dialect }).await?
        }
    };
    print(connection.output, &shown(&one), || table_of(std::slice::from_ref(&one)))
}

async fn enable_workspace(connection: &Connection, management: &Management, enable: Enable) -> anyhow::Result<()> {
    let Enable { workspace, label, expires, public_url } = enable;
    let (token, fresh) = new_token(&label, expires_at(expires))?;
    management.call(WorkspaceEnable { workspace: workspace.clone(), token: fresh }).await?;
    if public_url.is_none() {
        crate::say("ROSTERD_PUBLIC_URL is not set: the Base URL below is right on this machine at most");
    }
    let public_url = public_url.unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let base_url = format!("{}/scim/v2/{workspace}", public_url.trim_end_matches('/'));
    let shown = json!({ "workspace": workspace, "base_url": base_url, "token": token.reveal() });
    print(connection.output, &shown, || {
        format!("Base URL  {base_url}\nToken     {}\n\nThe token is shown only now.", token.reveal())
    })
}

/// A workspace for machines; counts only where they were asked for.
fn shown(workspace: &Workspace) -> Value {
    with_times(workspace, &["created_at"])
}

fn table_of(workspaces: &[Workspace]) -> String {
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    table(
        ["WORKSPACE", "NAME", "SCIM", "DIALECT", "USERS", "GROUPS", "CREATED"],
        workspaces.iter().map(|one| {
            let scim = if one.enabled { "on" } else { "off" };
            let created = one.created_at.to_string();
            let (users, groups) = (count(one.users), count(one.groups));
            [one.id.to_string(), one.name.clone(), scim.to_owned(), spoken(one), users, groups, created]
        }),
    )
}

/// The dialect that holds, and where it comes from.
fn spoken(workspace: &Workspace) -> String {
    match (workspace.dialect, workspace.seen_dialect) {
        (Some(chosen), _) => format!("{chosen} (chosen)"),
        (None, Some(seen)) => format!("{seen} (seen)"),
        (None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use protocol::scim::dialect::Dialect;
    use protocol::time::Timestamp;

    use super::*;

    fn acme() -> Workspace {
        Workspace {
            id: "acme".parse().unwrap(),
            name: "Acme Inc.".to_owned(),
            enabled: true,
            created_at: Timestamp::from_millis(1_700_000_000_123),
            dialect: None,
            seen_dialect: Some(Dialect::Okta),
            users: Some(3),
            groups: None,
        }
    }

    #[test]
    fn a_workspace_for_machines_has_times_that_people_can_read() {
        expect![[r#"
            {
              "created_at": "2023-11-14T22:13:20.123Z",
              "dialect": null,
              "enabled": true,
              "groups": null,
              "id": "acme",
              "name": "Acme Inc.",
              "seen_dialect": "okta",
              "users": 3
            }"#]]
        .assert_eq(&format!("{:#}", shown(&acme())));
    }

    #[test]
    fn a_workspace_for_people_is_one_line() {
        expect![[r"
            WORKSPACE  NAME       SCIM  DIALECT      USERS  GROUPS  CREATED
            acme       Acme Inc.  on    okta (seen)  3      -       2023-11-14T22:13:20.123Z"]]
        .assert_eq(&table_of(&[acme()]));
    }
}
