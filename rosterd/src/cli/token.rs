//! `rosterd token`.

use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use protocol::credential::Credential;
use protocol::id::{TokenId, WorkspaceId};
use protocol::message::operator::{TokenCreate, TokenList, TokenRevoke};
use protocol::time::Timestamp;
use serde_json::{Value, json};

use super::acting::Acting;
use super::confirm::confirm;
use super::connection::OperatorCommand;
use super::management::{Management, new_token};
use super::output::{print, table};
use runtime::clock;

const CREATE_HELP: &str = "\
Example:
  rosterd token create acme --label \"Okta 2027\" --expires 365d

With -o json: {workspace, id, label, expires_at, token}.";

const LIST_HELP: &str = "\
Example:
  rosterd token list acme

LAST USED is exact to a minute: ingresses report it at most once a minute for each token.
With -o json: {tokens: […]}, each as `revoke` prints it; never the token itself.";

const REVOKE_HELP: &str = "\
Example:
  rosterd token revoke acme 0Y29qFcM1cRzh

Without the last live token every request is answered 401, so that one is revoked only with a
yes on the terminal or with --yes.
With -o json: {id, workspace, label, created_at, expires_at, last_used_at, revoked_at}; times
are RFC 3339.";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add a token beside the one in use; prints it once.
    #[command(after_help = CREATE_HELP)]
    Create {
        /// For which workspace.
        workspace: WorkspaceId,
        /// What it is called in lists.
        #[arg(long, default_value = "token")]
        label: String,
        /// After how many days it stops working, for example `365d`; never without it.
        #[arg(long, value_name = "DAYS")]
        expires: Option<Expiry>,
        #[command(flatten)]
        acting: Acting,
    },
    /// List a workspace's tokens, newest first.
    #[command(after_help = LIST_HELP)]
    List {
        /// Of which workspace.
        workspace: WorkspaceId,
    },
    /// End a token at once.
    #[command(after_help = REVOKE_HELP)]
    Revoke {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The token's id, as in the list.
        token: TokenId,
        /// Revoke also the last live token, without asking.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        acting: Acting,
    },
}

/// A number of days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry(Duration);

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok()) {
            Some(days @ 1..) => Ok(Self(Duration::from_hours(24 * u64::from(days)))),
            Some(0) | None => Err("a number of days is needed, for example 365d".to_owned()),
        }
    }
}

/// When a token made now stops working.
pub(super) fn expires_at(expiry: Option<Expiry>) -> Option<Timestamp> {
    expiry.map(|Expiry(span)| clock::now().after(span))
}

pub(super) async fn run(OperatorCommand { connection, action }: OperatorCommand<Action>) -> anyhow::Result<()> {
    let management = connection.open().await?;
    match action {
        Action::Create { workspace, label, expires, acting } => {
            let (token, fresh) = new_token(&label, expires_at(expires))?;
            let (id, expires_at) = (fresh.id.clone(), fresh.expires_at.map(|time| time.to_string()));
            management.call(TokenCreate { workspace: workspace.clone(), token: fresh, by: acting.by() }).await?;
            let secret = token.reveal();
            let shown = json!({
                "workspace": workspace, "id": id, "label": label, "expires_at": expires_at, "token": secret,
            });
            print(connection.output, &shown, || format!("Token     {secret}\n\nThe token is shown only now."))
        }
        Action::List { workspace } => {
            let tokens = management.call(TokenList { workspace }).await?;
            let list: Vec<Value> = tokens.iter().map(shown).collect();
            print(connection.output, &json!({ "tokens": list }), || table_of(&tokens))
        }
        Action::Revoke { workspace, token, yes, acting } => {
            let even_last = yes || confirm_last(&management, &workspace, &token).await?;
            let one = management.call(TokenRevoke { workspace, token, even_last, by: acting.by() }).await?;
            print(connection.output, &shown(&one), || table_of(std::slice::from_ref(&one)))
        }
    }
}

/// True if the token is the last live one, and shall be revoked all the same.
async fn confirm_last(management: &Management, workspace: &WorkspaceId, token: &TokenId) -> anyhow::Result<bool> {
    let now = clock::now();
    let tokens = management.call(TokenList { workspace: workspace.clone() }).await?;
    let mut live = tokens.iter().filter(|known| known.is_live(now));
    let is_last = live.next().is_some_and(|known| known.id == *token) && live.next().is_none();
    if is_last {
        let question = format!(
            "{token} is the last live token of workspace {workspace}: without it every request is answered 401."
        );
        confirm(false, &question)?;
    }
    Ok(is_last)
}

/// A token for machines: not even its hash.
fn shown(token: &Credential) -> Value {
    json!({
        "id": token.id,
        "workspace": token.workspace,
        "label": token.label,
        "created_at": token.created_at.to_string(),
        "expires_at": token.expires_at.map(|time| time.to_string()),
        "last_used_at": token.last_used_at.map(|time| time.to_string()),
        "revoked_at": token.revoked_at.map(|time| time.to_string()),
    })
}

fn table_of(tokens: &[Credential]) -> String {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    table(
        ["ID", "LABEL", "CREATED", "LAST USED", "EXPIRES", "REVOKED"],
        tokens.iter().map(|one| {
            let created = one.created_at.to_string();
            let (used, expires, revoked) = (time(one.last_used_at), time(one.expires_at), time(one.revoked_at));
            [one.id.to_string(), one.label.clone(), created, used, expires, revoked]
        }),
    )
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_token_is_listed_without_its_hash() {
        let listed = Credential {
            id: "abc123".parse().unwrap(),
            workspace: "acme".parse().unwrap(),
            label: "Okta".to_owned(),
            hash: protocol::credential::TokenHash::from_hex("f00d".to_owned()),
            version: 1,
            created_at: Timestamp::from_millis(1_700_000_000_123),
            expires_at: None,
            last_used_at: Some(Timestamp::from_millis(1_700_000_000_400)),
            revoked_at: Some(Timestamp::from_millis(1_700_000_000_456)),
            profile: protocol::profile::Profile::default(),
        };
        expect![[r#"
            {
              "created_at": "2023-11-14T22:13:20.123Z",
              "expires_at": null,
              "id": "abc123",
              "label": "Okta",
              "last_used_at": "2023-11-14T22:13:20.400Z",
              "revoked_at": "2023-11-14T22:13:20.456Z",
              "workspace": "acme"
            }"#]]
        .assert_eq(&format!("{:#}", shown(&listed)));
        assert!(!table_of(&[listed]).contains("f00d"));
    }

    #[test]
    fn an_expiry_is_a_number_of_days() {
        assert_eq!("365d".parse(), Ok(Expiry(Duration::from_hours(365 * 24))));
        for text in ["", "365", "0d", "-1d", "1h", "70000d"] {
            assert!(text.parse::<Expiry>().is_err(), "{text}");
        }
    }
}
