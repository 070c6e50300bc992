//! Tokens: create, list, revoke. Only hashes come here.

use protocol::credential::Credential;
use protocol::id::WorkspaceId;
use protocol::message::operator::{NewToken, OperatorError, TokenCreate, TokenList, TokenRevoke};
use protocol::profile::Profile;
use protocol::time::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Set,
};

use super::{Failure, find_locked, not_found};
use crate::store::credentials::{read, row};
use crate::store::entity::{credential, workspace};
use crate::store::{Context, Store, StoreError, commit};

/// The most live tokens of one workspace: the one in use, and the one that replaces it.
const MAX_LIVE: usize = 2;

/// Adds a token beside the one in use.
pub(super) async fn create(store: &Store, call: &TokenCreate, now: Timestamp) -> Result<Credential, Failure> {
    let TokenCreate { workspace: id, token } = call;
    let transaction = store.begin().await?;
    let workspace = find_locked(&transaction, id).await?.ok_or_else(|| not_found(id))?;
    if !workspace.enabled {
        let detail = format!("workspace {id} is not enabled; `rosterd workspace enable {id}` makes its first token");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let live: Vec<Credential> =
        of_workspace(&transaction, id).await?.into_iter().filter(|known| live(known, now)).collect();
    if let Some(oldest) = live.last()
        && live.len() >= MAX_LIVE
    {
        let (oldest, label) = (&oldest.id, &oldest.label);
        let detail = format!("workspace {id} has two live tokens; revoke the older first: {oldest} ({label})");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let created = add(&transaction, id, token, now).await?;
    commit(transaction).await?;
    Ok(created)
}

/// A workspace's tokens, newest first.
pub(super) async fn list(store: &Store, call: &TokenList, _: Timestamp) -> Result<Vec<Credential>, Failure> {
    let id = &call.workspace;
    let known = workspace::Entity::find_by_id(id.as_str()).one(store.reader()).await.context("reading a workspace")?;
    known.ok_or_else(|| not_found(id))?;
    Ok(of_workspace(store.reader(), id).await?)
}

/// Ends a token at once. Doing it twice is doing it once.
pub(super) async fn revoke(store: &Store, call: &TokenRevoke, now: Timestamp) -> Result<Credential, Failure> {
    let TokenRevoke { workspace: id, token } = call;
    let doing = "revoking a token";
    let transaction = store.begin().await?;
    let found = credential::Entity::find_by_id(token.as_str())
        .filter(credential::Column::Workspace.eq(id.as_str()))
        .lock_exclusive();
    let not_found = || OperatorError::NotFound { what: format!("token {token} of workspace {id}") };
    let found = found.one(&transaction).await.context(doing)?.ok_or_else(not_found)?;
    if found.revoked_at.is_some() {
        return Ok(read(found)?);
    }
    let version = found.version.saturating_add(1);
    let mut revoked = found.into_active_model();
    revoked.revoked_at = Set(Some(now.as_millis()));
    revoked.version = Set(version);
    let revoked = revoked.update(&transaction).await.context(doing)?;
    commit(transaction).await?;
    Ok(read(revoked)?)
}

/// Adds a token in a transaction.
pub(super) async fn add(
    transaction: &DatabaseTransaction,
    workspace: &WorkspaceId,
    token: &NewToken,
    now: Timestamp,
) -> Result<Credential, StoreError> {
    let NewToken { id, label, hash, expires_at } = token.clone();
    let workspace = workspace.clone();
    let added = Credential {
        id,
        workspace,
        label,
        hash,
        version: 1,
        created_at: now,
        expires_at,
        revoked_at: None,
        profile: Profile::default(),
    };
    let insert = credential::Entity::insert(row(&added).into_active_model());
    insert.exec_without_returning(transaction).await.context("adding a token")?;
    Ok(added)
}

async fn of_workspace(connection: &impl ConnectionTrait, id: &WorkspaceId) -> Result<Vec<Credential>, StoreError> {
    let rows = credential::Entity::find()
        .filter(credential::Column::Workspace.eq(id.as_str()))
        .order_by_desc(credential::Column::CreatedAt)
        .order_by_desc(credential::Column::Id);
    rows.all(connection).await.context("reading a workspace's tokens")?.into_iter().map(read).collect()
}

fn live(credential: &Credential, now: Timestamp) -> bool {
    credential.revoked_at.is_none() && credential.expires_at.is_none_or(|end| now < end)
}
