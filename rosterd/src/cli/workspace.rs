//! `rosterd workspace`.

use clap::Subcommand;
use protocol::credential::Token;
use protocol::id::WorkspaceId;
use protocol::message::operator::{
    Workspace, WorkspaceBaseUrl, WorkspaceCreate, WorkspaceDialect, WorkspaceDisable, WorkspaceEnable, WorkspaceList,
    WorkspacePause, WorkspaceResume, WorkspaceShow,
};
use protocol::scim::dialect::{Dialect, UnknownDialect};
use serde_json::{Value, json};

use super::acting::Acting;
use super::confirm::confirm;
use super::connection::{Connection, OperatorCommand};
use super::management::{CallError, Management, new_token};
use super::output::{print, table, with_times};
use super::token::{Expiry, expires_at};

/// The help of a command on one workspace: an example, what else is to be known, and the result for machines.
macro_rules! help {
    ($text:literal) => {
        concat!(
            $text,
            "\n\nWith -o json: {id, name, enabled, paused_at, pause_reason, created_at, dialect, seen_dialect,\n\
             users, groups, base_url}; times are RFC 3339. base_url is null while no ingress runs."
        )
    };
}

const CREATE_HELP: &str = help!("Example:\n  rosterd workspace create acme --name \"Acme Inc.\"");

const LIST_HELP: &str = "\
Example:
  rosterd workspace list -o json

With -o json: {workspaces: […]}, each as `show` prints it, without counts and base_url.";

const SHOW_HELP: &str = help!("Example:\n  rosterd workspace show acme");

const DIALECT_HELP: &str = help!("Example:\n  rosterd workspace dialect acme ping");

const ENABLE_HELP: &str = "\
Example:
  rosterd workspace enable acme --label \"Okta\" --expires 365d

The Base URL is the one that ingresses use (their ROSTERD_PUBLIC_URL).
A workspace that was disabled gets a new token; its old ones stay revoked.
With -o json: {workspace, base_url, token}; base_url is null while no ingress runs.";

const PAUSE_HELP: &str = help!(
    "\
Example:
  rosterd workspace pause acme --reason \"wrong group assigned in Okta\"

From then on every request is answered 503 with Retry-After, deactivations and reads included;
providers send it again later. What was accepted before is still applied. People whom the
provider deactivates meanwhile keep access until `rosterd workspace resume`."
);

const RESUME_HELP: &str = help!("Example:\n  rosterd workspace resume acme");

const DISABLE_HELP: &str = help!(
    "\
Example:
  rosterd workspace disable acme --yes

From then on every request is answered 401, and all tokens are revoked for good; `enable` makes
a new one. Users and groups stay as they are, and what was accepted before is still applied.
To stop for a while and keep the tokens: `rosterd workspace pause`."
);

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add a workspace, SCIM still off.
    #[command(after_help = CREATE_HELP)]
    Create {
        /// Its id, as it stands in the Base URL: a-z, 0-9 and '-'.
        workspace: WorkspaceId,
        /// Its name for people [default: its id].
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        acting: Acting,
    },
    /// List all workspaces.
    #[command(after_help = LIST_HELP)]
    List,
    /// Show one workspace, its Base URL, and how many users and groups it has.
    #[command(after_help = SHOW_HELP)]
    Show {
        /// Which one.
        workspace: WorkspaceId,
    },
    /// Say which provider's dialect a workspace's requests are read by. Needed where the requests do not tell: `ping`.
    #[command(after_help = DIALECT_HELP)]
    Dialect {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// standard, okta, entra, google, jumpcloud, onelogin or ping; `detect` leaves it to the requests.
        #[arg(value_parser = dialect)]
        dialect: Chosen,
        #[command(flatten)]
        acting: Acting,
    },
    /// Turn SCIM on; prints the Base URL, and a token once.
    #[command(after_help = ENABLE_HELP)]
    Enable {
        /// Which workspace.
        workspace: WorkspaceId,
        /// What the token is called in lists.
        #[arg(long, default_value = "first token")]
        label: String,
        /// After how many days the token stops working, for example `365d`; never without it.
        #[arg(long, value_name = "DAYS")]
        expires: Option<Expiry>,
        #[command(flatten)]
        acting: Acting,
    },
    /// Answer every request 503 for a while; nothing is lost.
    #[command(after_help = PAUSE_HELP, mut_arg("reason", |reason| reason.required(true)))]
    Pause {
        /// Which workspace.
        workspace: WorkspaceId,
        #[command(flatten)]
        acting: Acting,
    },
    /// Serve a paused workspace's requests again.
    #[command(after_help = RESUME_HELP)]
    Resume {
        /// Which workspace.
        workspace: WorkspaceId,
        #[command(flatten)]
        acting: Acting,
    },
    /// Turn SCIM off and revoke all tokens; users and groups stay.
    #[command(after_help = DISABLE_HELP)]
    Disable {
        /// Which workspace.
        workspace: WorkspaceId,
        /// Do it without asking.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        acting: Acting,
    },
}

/// A dialect, or none: detection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen(Option<Dialect>);

fn dialect(word: &str) -> Result<Chosen, String> {
    match word {
        "detect" => Ok(Chosen(None)),
        word => {
            let unknown = |error: UnknownDialect| format!("{error}; detect leaves it to the requests");
            word.parse().map(|dialect| Chosen(Some(dialect))).map_err(unknown)
        }
    }
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    let management = connection.open().await?;
    let one = match action {
        Action::Enable { workspace, label, expires, acting } => {
            let (token, fresh) = new_token(&label, expires_at(expires))?;
            management.call(WorkspaceEnable { workspace: workspace.clone(), token: fresh, by: acting.by() }).await?;
            return show_access(&connection, &management, workspace, &token).await;
        }
        Action::List => {
            let workspaces = management.call(WorkspaceList {}).await?;
            let list: Vec<Value> = workspaces.iter().map(shown).collect();
            return print(connection.output, &json!({ "workspaces": list }), || table_of(&workspaces));
        }
        Action::Create { workspace, name, acting } => {
            let name = name.unwrap_or_else(|| workspace.to_string());
            management.call(WorkspaceCreate { workspace, name, by: acting.by() }).await?
        }
        Action::Show { workspace } => management.call(WorkspaceShow { workspace }).await?,
        Action::Dialect { workspace, dialect: Chosen(dialect), acting } => {
            management.call(WorkspaceDialect { workspace, dialect, by: acting.by() }).await?
        }
        Action::Pause { workspace, acting } => management.call(WorkspacePause { workspace, by: acting.by() }).await?,
        Action::Resume { workspace, acting } => management.call(WorkspaceResume { workspace, by: acting.by() }).await?,
        Action::Disable { workspace, yes, acting } => {
            let question = format!("This revokes all tokens of workspace {workspace} and answers every request 401.");
            confirm(yes, &question)?;
            management.call(WorkspaceDisable { workspace, by: acting.by() }).await?
        }
    };
    let base_url = base_url(&management, &one.id).await?;
    let mut value = shown(&one);
    if let Some(members) = value.as_object_mut() {
        members.insert("base_url".to_owned(), json!(base_url));
    }
    print(connection.output, &value, || details(&one, base_url.as_deref()))
}

/// What an owner pastes into the provider.
async fn show_access(
    connection: &Connection,
    management: &Management,
    workspace: WorkspaceId,
    token: &Token,
) -> anyhow::Result<()> {
    let (base_url, token) = (base_url(management, &workspace).await?, token.reveal());
    let shown = json!({ "workspace": workspace, "base_url": base_url, "token": token });
    print(connection.output, &shown, || {
        let base_url = base_url_or_why(base_url.as_deref());
        format!("Base URL  {base_url}\nToken     {token}\n\nThe token is shown only now.")
    })
}

/// As ingresses write it; none while no ingress runs.
async fn base_url(management: &Management, workspace: &WorkspaceId) -> Result<Option<String>, CallError> {
    management.call_once(WorkspaceBaseUrl { workspace: workspace.clone() }).await
}

fn base_url_or_why(base_url: Option<&str>) -> &str {
    base_url.unwrap_or("not known while no ingress runs; then `rosterd workspace show` tells it")
}

/// One workspace for people.
fn details(workspace: &Workspace, base_url: Option<&str>) -> String {
    let pause = workspace.paused_at.map(|since| {
        let reason = workspace.pause_reason.as_deref().unwrap_or_default().replace(char::is_control, "\u{fffd}");
        let hint =
            format!("every request gets 503, deactivations too, until `rosterd workspace resume {}`", workspace.id);
        format!("\nPaused    since {since}: {reason}\n          {hint}")
    });
    let (row, pause) = (table_of(std::slice::from_ref(workspace)), pause.unwrap_or_default());
    format!("{row}\n\nBase URL  {}{pause}", base_url_or_why(base_url))
}

/// A workspace for machines; counts only where they were asked for.
fn shown(workspace: &Workspace) -> Value {
    with_times(workspace, &["created_at", "paused_at"])
}

fn table_of(workspaces: &[Workspace]) -> String {
    let count = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    table(
        ["WORKSPACE", "NAME", "SCIM", "DIALECT", "USERS", "GROUPS", "CREATED"],
        workspaces.iter().map(|one| {
            let scim = match (one.enabled, one.paused_at) {
                (true, None) => "on",
                (true, Some(_)) => "paused",
                (false, _) => "off",
            };
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
            paused_at: None,
            pause_reason: None,
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
              "pause_reason": null,
              "paused_at": null,
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

    #[test]
    fn a_pause_is_shown_with_its_reason() {
        let (since, reason) = (Timestamp::from_millis(1_700_000_000_456), "wrong\u{1b} group".to_owned());
        let paused = Workspace { paused_at: Some(since), pause_reason: Some(reason), ..acme() };
        expect![[r"
            WORKSPACE  NAME       SCIM    DIALECT      USERS  GROUPS  CREATED
            acme       Acme Inc.  paused  okta (seen)  3      -       2023-11-14T22:13:20.123Z

            Base URL  https://scim.example.com/scim/v2/acme
            Paused    since 2023-11-14T22:13:20.456Z: wrong� group
                      every request gets 503, deactivations too, until `rosterd workspace resume acme`"]]
        .assert_eq(&details(&paused, Some("https://scim.example.com/scim/v2/acme")));
    }

    #[test]
    fn the_error_for_an_unknown_dialect_names_detect() {
        let refusal =
            "a dialect is standard, okta, entra, google, jumpcloud, onelogin or ping; detect leaves it to the requests";
        assert_eq!(dialect("x").unwrap_err(), refusal);
    }
}
