//! `rosterd token`.

use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use protocol::credential::Credential;
use protocol::id::{TokenId, WorkspaceId};
use protocol::message::operator::{TokenCreate, TokenList, TokenRevoke};
use protocol::time::Timestamp;
use serde_json::{Value, json};

use super::connection::{Connection, OperatorCommand};
use super::management::{Management, new_token};
use super::output::{print, table};
use runtime::clock;

const ONE_AS_JSON: &str = "\
With -o json: {id, workspace, label, created_at, expires_at, revoked_at}; times are RFC 3339.";

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add a token beside the one in use; prints it once.
    #[command(after_help = "With -o json: {workspace, id, label, expires_at, token}.")]
    Create {
        /// For which workspace.
        workspace: WorkspaceId,
        /// What it is called in lists.
        #[arg(long, default_value = "token")]
        label: String,
        /// After how many days it stops working, for example `365d`; never without it.
        #[arg(long, value_name = "DAYS")]
        expires: Option<Expiry>,
    },
    /// List a workspace's tokens, newest first.
    #[command(after_help = "With -o json: {tokens: […]}, each as `revoke` prints it; never the token itself.")]
    List {
        /// Of which workspace.
        workspace: WorkspaceId,
    },
    /// End a token at once.
    #[command(after_help = ONE_AS_JSON)]
    Revoke {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The token's id, as in the list.
        token: TokenId,
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
        Action::Create { workspace, label, expires } => {
            create(&connection, &management, workspace, &label, expires_at(expires)).await
        }
        Action::List { workspace } => {
            let tokens = management.call(TokenList { workspace }).await?;
            let list: Vec<Value> = tokens.iter().map(shown).collect();
            print(connection.output, &json!({ "tokens": list }), || table_of(&tokens))
        }
        Action::Revoke { workspace, token } => {
            let one = management.call(TokenRevoke { workspace, token }).await?;
            print(connection.output, &shown(&one), || table_of(std::slice::from_ref(&one)))
        }
    }
}

async fn create(
    connection: &Connection,
    management: &Management,
    workspace: WorkspaceId,
    label: &str,
    expires_at: Option<Timestamp>,
) -> anyhow::Result<()> {
    let (token, fresh) = new_token(label, expires_at)?;
    let (id, secret) = (token.id().clone(), token.reveal());
    management.call(TokenCreate { workspace: workspace.clone(), token: fresh }).await?;
    let expires_at = expires_at.map(|time| time.to_string());
    let shown = json!({ "workspace": workspace, "id": id, "label": label, "expires_at": expires_at, "token": secret });
    print(connection.output, &shown, || format!("Token     {secret}\n\nThe token is shown only now."))
}

/// A token for machines: not even its hash.
fn shown(token: &Credential) -> Value {
    json!({
        "id": token.id,
        "workspace": token.workspace,
        "label": token.label,
        "created_at": token.created_at.to_string(),
        "expires_at": token.expires_at.map(|time| time.to_string()),
        "revoked_at": token.revoked_at.map(|time| time.to_string()),
    })
}

fn table_of(tokens: &[Credential]) -> String {
    let time = |time: Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |time| time.to_string());
    table(
        ["ID", "LABEL", "CREATED", "EXPIRES", "REVOKED"],
        tokens.iter().map(|one| {
            let created = one.created_at.to_string();
            [one.id.to_string(), one.label.clone(), created, time(one.expires_at), time(one.revoked_at)]
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
            revoked_at: Some(Timestamp::from_millis(1_700_000_000_456)),
            profile: protocol::profile::Profile::default(),
        };
        expect![[r#"
            {
              "created_at": "2023-11-14T22:13:20.123Z",
              "expires_at": null,
              "id": "abc123",
              "label": "Okta",
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
