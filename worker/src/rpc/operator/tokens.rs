//! Tokens: create, list, revoke, last use. Only hashes come here.

use protocol::credential::Credential;
use protocol::id::WorkspaceId;
use protocol::message::operator::{NewToken, OperatorError, TokenCreate, TokenList, TokenRevoke, TokenUse, TokensUsed};
use protocol::profile::Profile;
use protocol::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, Set,
};

use super::{Failure, audited, find_locked, not_found};
use crate::store::credentials::{read, row};
use crate::store::entity::{credential, workspace};
use crate::store::{Context, Store, StoreError, commit};

/// The most live tokens of one workspace: the one in use, and the one that replaces it.
const MAX_LIVE: usize = 2;

/// Adds a token beside the one in use.
pub(super) async fn create(
    store: &Store,
    TokenCreate { workspace: id, token, by }: &TokenCreate,
    now: Timestamp,
) -> Result<Credential, Failure> {
    let transaction = store.begin().await?;
    let workspace = find_locked(&transaction, id).await?.ok_or_else(|| not_found(id))?;
    if !workspace.enabled {
        let detail = format!("workspace {id} is not enabled; `rosterd workspace enable {id}` makes its first token");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let live: Vec<Credential> =
        of_workspace(&transaction, id).await?.into_iter().filter(|known| known.is_live(now)).collect();
    if let Some(oldest) = live.last()
        && live.len() >= MAX_LIVE
    {
        let (oldest, label) = (&oldest.id, &oldest.label);
        let detail = format!("workspace {id} has two live tokens; revoke the older first: {oldest} ({label})");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let created = add(&transaction, id, token, now).await?;
    audited::<TokenCreate>(&transaction, by, id, token.id.as_str(), now).await?;
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

/// Ends a token at once, the last that opens the workspace only if asked to. Doing it twice is doing it once.
pub(super) async fn revoke(
    store: &Store,
    TokenRevoke { workspace: id, token, even_last, by }: &TokenRevoke,
    now: Timestamp,
) -> Result<Credential, Failure> {
    let doing = "revoking a token";
    let no_such_token = || OperatorError::NotFound { what: format!("token {token} of workspace {id}") };
    let transaction = store.begin().await?;
    // The workspace's lock: of two that revoke one token each, the second sees which is the last.
    find_locked(&transaction, id).await?.ok_or_else(no_such_token)?;
    let found = credential::Entity::find_by_id(token.as_str())
        .filter(credential::Column::Workspace.eq(id.as_str()))
        .lock_exclusive();
    let found = found.one(&transaction).await.context(doing)?.ok_or_else(no_such_token)?;
    if found.revoked_at.is_some() {
        return Ok(read(found)?);
    }
    let mut live = of_workspace(&transaction, id).await?;
    live.retain(|known| known.is_live(now));
    if !even_last && live.iter().any(|known| known.id == *token) && live.len() == 1 {
        let detail = format!(
            "{token} is the last live token of workspace {id}: without it every request is answered 401; create another \
             first (`rosterd token create {id}`), or give --yes"
        );
        return Err(OperatorError::Conflict { detail }.into());
    }
    let version = found.version.saturating_add(1);
    let mut revoked = found.into_active_model();
    revoked.revoked_at = Set(Some(now.as_millis()));
    revoked.version = Set(version);
    let revoked = revoked.update(&transaction).await.context(doing)?;
    audited::<TokenRevoke>(&transaction, by, id, token.as_str(), now).await?;
    commit(transaction).await?;
    Ok(read(revoked)?)
}

/// Ends every token of a workspace, in a transaction; how many there were.
pub(super) async fn revoke_all(
    transaction: &DatabaseTransaction,
    id: &WorkspaceId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let revoke = credential::Entity::update_many()
        .col_expr(credential::Column::RevokedAt, Expr::value(now.as_millis()))
        .col_expr(credential::Column::Version, Expr::col(credential::Column::Version).add(1))
        .filter(credential::Column::Workspace.eq(id.as_str()))
        .filter(credential::Column::RevokedAt.is_null());
    let revoked = revoke.exec(transaction).await.context("revoking a workspace's tokens")?;
    Ok(revoked.rows_affected)
}

/// Notes when tokens were last used. That is no change of a credential: nothing is projected.
pub(super) async fn note_uses(store: &Store, TokensUsed { uses }: &TokensUsed, _: Timestamp) -> Result<(), Failure> {
    let transaction = store.begin().await?;
    // Two reports lock the rows in one order.
    let mut uses: Vec<&TokenUse> = uses.iter().collect();
    uses.sort_unstable_by(|one, other| one.token.as_str().cmp(other.token.as_str()));
    for TokenUse { token, at } in uses {
        let column = credential::Column::LastUsedAt;
        let note = credential::Entity::update_many()
            .col_expr(column, Expr::value(at.as_millis()))
            .filter(credential::Column::Id.eq(token.as_str()))
            .filter(column.is_null().or(column.lt(at.as_millis())));
        note.exec(&transaction).await.context("noting the last use of a token")?;
    }
    commit(transaction).await?;
    Ok(())
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
        last_used_at: None,
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
