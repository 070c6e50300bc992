//! The operator's calls.

use protocol::credential::Token;
use protocol::message::operator::{
    ActedBy, NewToken, OperatorError, TokenCreate, TokenList, TokenRevoke, WorkspaceCreate, WorkspaceEnable,
    WorkspaceList, WorkspaceShow,
};
use protocol::message::query::GetCredential;
use worker::rpc::operator::Operator;

use crate::log::{Log, NOW, new_group, new_user};
use crate::test_database::{TestDatabase, on_both};

pub(crate) fn by() -> ActedBy {
    ActedBy { actor: "ann".to_owned(), reason: None }
}

fn token(n: u8) -> NewToken {
    let token = Token::from_random([n; 9], [n; 32]).unwrap();
    NewToken { id: token.id().clone(), label: format!("token {n}"), hash: token.hash(), expires_at: None }
}

async fn credential_is_known(db: &TestDatabase, workspace: &str, n: u8) -> bool {
    db.ask(workspace, GetCredential { token: token(n).id }).await.is_some()
}

#[tokio::test]
async fn a_workspace_is_created_enabled_once_and_shown() {
    on_both(async |db| {
        let workspace = || "acme".parse().unwrap();
        let create = WorkspaceCreate { workspace: workspace(), name: "Acme".to_owned(), by: by() };
        let enable = WorkspaceEnable { workspace: workspace(), token: token(1), by: by() };
        assert!(matches!(db.call(enable.clone()).await, Err(OperatorError::NotFound { .. })));
        assert!(!db.call(create.clone()).await.unwrap().enabled);
        assert!(matches!(db.call(create).await, Err(OperatorError::Conflict { .. })));
        let early = TokenCreate { workspace: workspace(), token: token(2), by: by() };
        assert!(matches!(db.call(early).await, Err(OperatorError::Conflict { .. })));
        assert!(db.call(enable.clone()).await.unwrap().enabled);
        assert!(matches!(db.call(enable).await, Err(OperatorError::Conflict { .. })));

        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("Admins", &[]))]).await;
        let acme = db.call(WorkspaceShow { workspace: workspace() }).await.unwrap();
        assert_eq!((acme.users, acme.groups), (Some(1), Some(1)));
        assert_eq!(db.call(WorkspaceList {}).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_tokens_live_side_by_side_and_a_revoked_one_is_unknown() {
    on_both(async |db| {
        let workspace = || "acme".parse().unwrap();
        db.call(WorkspaceCreate { workspace: workspace(), name: "Acme".to_owned(), by: by() }).await.unwrap();
        assert!(!credential_is_known(db, "acme", 1).await);
        db.call(WorkspaceEnable { workspace: workspace(), token: token(1), by: by() }).await.unwrap();
        let add = |n| TokenCreate { workspace: workspace(), token: token(n), by: by() };
        db.call(add(2)).await.unwrap();
        let Err(OperatorError::Conflict { detail }) = db.call(add(3)).await else { panic!() };
        assert!(detail.contains(token(1).id.as_str()) || detail.contains(token(2).id.as_str()), "{detail}");

        assert!(credential_is_known(db, "acme", 1).await && !credential_is_known(db, "umbrella", 1).await);
        let revoke = TokenRevoke { workspace: workspace(), token: token(1).id, even_last: false, by: by() };
        for _ in 0..2 {
            let revoked = db.call(revoke.clone()).await.unwrap();
            assert_eq!((revoked.version, revoked.revoked_at), (2, Some(NOW)));
        }
        assert!(!credential_is_known(db, "acme", 1).await);
        let last = TokenRevoke { token: token(2).id, ..revoke.clone() };
        let Err(OperatorError::Conflict { detail }) = db.call(last.clone()).await else { panic!() };
        assert!(detail.contains("the last live token"), "{detail}");
        assert!(credential_is_known(db, "acme", 2).await);
        db.call(add(3)).await.unwrap();
        db.call(last).await.unwrap();
        let tokens = db.call(TokenList { workspace: workspace() }).await.unwrap();
        assert_eq!((tokens.len(), db.store.credentials().await.unwrap().len()), (3, 3));
        // Doing it twice was doing it once: created, enabled, added twice, revoked twice.
        assert_eq!(db.count("audit_log").await, 6);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_not_known_or_not_readable_is_refused_in_words() {
    on_both(async |db| {
        let answer = async |verb, call: &[u8]| Operator::new(&db.store, NOW).answer(verb, call).await.unwrap_err();
        let detail = "no worker knows the call token-frame: do all processes have the same version?".to_owned();
        assert_eq!(answer("token-frame", b"{}").await, OperatorError::Invalid { detail });
        assert!(answer("token-list", b"{}").await.to_string().starts_with("the call cannot be decoded: "));
    })
    .await;
}
