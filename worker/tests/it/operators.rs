//! The operator's calls.

use protocol::credential::Token;
use protocol::message::admin::{AdminCall, AdminError, AdminReply, AdminResult, NewToken};
use protocol::message::query::{Answer, Query};

use crate::log::{Log, NOW, new_group, new_user};
use crate::test_database::{TestDatabase, on_both};

fn token(n: u8) -> NewToken {
    let token = Token::from_random([n; 9], [n; 32]).unwrap();
    NewToken { id: token.id().clone(), label: format!("token {n}"), hash: token.hash(), expires_at: None }
}

async fn call(db: &TestDatabase, call: AdminCall) -> AdminResult {
    worker::rpc::operator::admin(&db.store, call, NOW).await
}

async fn credential_is_known(db: &TestDatabase, workspace: &str, n: u8) -> bool {
    match db.ask(workspace, Query::Credential { token: token(n).id }).await {
        Answer::Credential { credential } => credential.is_some(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_workspace_is_created_enabled_once_and_shown() {
    on_both(async |db| {
        let workspace = || "acme".parse().unwrap();
        let create = AdminCall::WorkspaceCreate { workspace: workspace(), name: "Acme".to_owned() };
        let enable = AdminCall::WorkspaceEnable { workspace: workspace(), token: token(1) };
        assert!(matches!(call(db, enable.clone()).await, Err(AdminError::NotFound { .. })));
        assert!(matches!(call(db, create.clone()).await, Ok(AdminReply::Workspace(acme)) if !acme.enabled));
        assert!(matches!(call(db, create).await, Err(AdminError::Conflict { .. })));
        let early = AdminCall::TokenCreate { workspace: workspace(), token: token(2) };
        assert!(matches!(call(db, early).await, Err(AdminError::Conflict { .. })));
        assert!(matches!(call(db, enable.clone()).await, Ok(AdminReply::Workspace(acme)) if acme.enabled));
        assert!(matches!(call(db, enable).await, Err(AdminError::Conflict { .. })));

        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("Admins", &[]))]).await;
        let show = AdminCall::WorkspaceShow { workspace: workspace() };
        let Ok(AdminReply::Workspace(acme)) = call(db, show).await else { panic!() };
        assert_eq!((acme.users, acme.groups), (Some(1), Some(1)));
        let Ok(AdminReply::Workspaces { workspaces }) = call(db, AdminCall::WorkspaceList).await else { panic!() };
        assert_eq!(workspaces.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_tokens_live_side_by_side_and_a_revoked_one_is_unknown() {
    on_both(async |db| {
        let workspace = || "acme".parse().unwrap();
        call(db, AdminCall::WorkspaceCreate { workspace: workspace(), name: "Acme".to_owned() }).await.unwrap();
        assert!(!credential_is_known(db, "acme", 1).await);
        call(db, AdminCall::WorkspaceEnable { workspace: workspace(), token: token(1) }).await.unwrap();
        let add = |n| AdminCall::TokenCreate { workspace: workspace(), token: token(n) };
        call(db, add(2)).await.unwrap();
        let Err(AdminError::Conflict { detail }) = call(db, add(3)).await else { panic!() };
        assert!(detail.contains(token(1).id.as_str()) || detail.contains(token(2).id.as_str()), "{detail}");

        assert!(credential_is_known(db, "acme", 1).await && !credential_is_known(db, "umbrella", 1).await);
        let revoke = AdminCall::TokenRevoke { workspace: workspace(), token: token(1).id };
        for _ in 0..2 {
            let Ok(AdminReply::Token(revoked)) = call(db, revoke.clone()).await else { panic!() };
            assert_eq!((revoked.version, revoked.revoked_at), (2, Some(NOW)));
        }
        assert!(!credential_is_known(db, "acme", 1).await);
        call(db, add(3)).await.unwrap();
        let list = AdminCall::TokenList { workspace: workspace() };
        let Ok(AdminReply::Tokens { tokens }) = call(db, list).await else { panic!() };
        assert_eq!((tokens.len(), db.store.credentials().await.unwrap().len()), (3, 3));
    })
    .await;
}
