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

async fn call(bed: &TestDatabase, call: AdminCall) -> AdminResult {
    worker::admin::admin(&bed.store, call, NOW).await
}

async fn credential_is_known(bed: &TestDatabase, workspace: &str, n: u8) -> bool {
    match bed.ask(workspace, Query::Credential { token: token(n).id }).await {
        Answer::Credential { credential } => credential.is_some(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_workspace_is_created_enabled_once_and_shown() {
    on_both(async |bed| {
        let workspace = || "acme".parse().unwrap();
        let create = AdminCall::WorkspaceCreate { workspace: workspace(), name: "Acme".to_owned() };
        let enable = AdminCall::WorkspaceEnable { workspace: workspace(), token: token(1) };
        assert!(matches!(call(bed, enable.clone()).await, Err(AdminError::NotFound { .. })));
        assert!(matches!(call(bed, create.clone()).await, Ok(AdminReply::Workspace(acme)) if !acme.enabled));
        assert!(matches!(call(bed, create).await, Err(AdminError::Conflict { .. })));
        let early = AdminCall::TokenCreate { workspace: workspace(), token: token(2) };
        assert!(matches!(call(bed, early).await, Err(AdminError::Conflict { .. })));
        assert!(matches!(call(bed, enable.clone()).await, Ok(AdminReply::Workspace(acme)) if acme.enabled));
        assert!(matches!(call(bed, enable).await, Err(AdminError::Conflict { .. })));

        let mut log = Log::of("acme");
        bed.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("Admins", &[]))]).await;
        let show = AdminCall::WorkspaceShow { workspace: workspace() };
        let Ok(AdminReply::Workspace(acme)) = call(bed, show).await else { panic!() };
        assert_eq!((acme.users, acme.groups), (Some(1), Some(1)));
        let Ok(AdminReply::Workspaces { workspaces }) = call(bed, AdminCall::WorkspaceList).await else { panic!() };
        assert_eq!(workspaces.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_tokens_live_side_by_side_and_a_revoked_one_is_unknown() {
    on_both(async |bed| {
        let workspace = || "acme".parse().unwrap();
        call(bed, AdminCall::WorkspaceCreate { workspace: workspace(), name: "Acme".to_owned() }).await.unwrap();
        assert!(!credential_is_known(bed, "acme", 1).await);
        call(bed, AdminCall::WorkspaceEnable { workspace: workspace(), token: token(1) }).await.unwrap();
        let add = |n| AdminCall::TokenCreate { workspace: workspace(), token: token(n) };
        call(bed, add(2)).await.unwrap();
        let Err(AdminError::Conflict { detail }) = call(bed, add(3)).await else { panic!() };
        assert!(detail.contains(token(1).id.as_str()) || detail.contains(token(2).id.as_str()), "{detail}");

        assert!(credential_is_known(bed, "acme", 1).await && !credential_is_known(bed, "umbrella", 1).await);
        let revoke = AdminCall::TokenRevoke { workspace: workspace(), token: token(1).id };
        for _ in 0..2 {
            let Ok(AdminReply::Token(revoked)) = call(bed, revoke.clone()).await else { panic!() };
            assert_eq!((revoked.version, revoked.revoked_at), (2, Some(NOW)));
        }
        assert!(!credential_is_known(bed, "acme", 1).await);
        call(bed, add(3)).await.unwrap();
        let list = AdminCall::TokenList { workspace: workspace() };
        let Ok(AdminReply::Tokens { tokens }) = call(bed, list).await else { panic!() };
        assert_eq!((tokens.len(), bed.store.credentials().await.unwrap().len()), (3, 3));
    })
    .await;
}
