//! Workspaces: create, list, show, enable, pause, resume, disable.

use protocol::id::WorkspaceId;
use protocol::message::operator::{
    ActedBy, OperatorCall, OperatorError, Workspace, WorkspaceCreate, WorkspaceDisable, WorkspaceEnable, WorkspaceList,
    WorkspacePause, WorkspaceResume, WorkspaceShow,
};
use protocol::time::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, Set,
};

use super::{Failure, audited, find_locked, not_found, tokens};
use crate::store::audit::{Act, record};
use crate::store::entity::{group, user, workspace};
use crate::store::fence::no_fence;
use crate::store::{Context, Store, StoreError, commit, profiles};

/// Adds a workspace, SCIM still off.
pub(super) async fn create(
    store: &Store,
    WorkspaceCreate { workspace: id, name, by }: &WorkspaceCreate,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    let transaction = store.begin().await?;
    if find_locked(&transaction, id).await?.is_some() {
        return Err(OperatorError::Conflict { detail: format!("workspace {id} exists already") }.into());
    }
    let row = workspace::Model {
        id: id.to_string(),
        name: name.clone(),
        enabled: false,
        version: 1,
        created_at: now.as_millis(),
        updated_at: now.as_millis(),
        dialect: None,
        seen_dialect: None,
        paused_at: None,
        pause_reason: None,
    };
    let insert = workspace::Entity::insert(row.clone().into_active_model());
    insert.exec_without_returning(&transaction).await.context("creating a workspace")?;
    audited::<WorkspaceCreate>(&transaction, by, id, id.as_str(), now).await?;
    commit(transaction).await?;
    Ok(read(row)?)
}

/// All workspaces, by id.
pub(super) async fn list(store: &Store, _: &WorkspaceList, _: Timestamp) -> Result<Vec<Workspace>, Failure> {
    let rows = workspace::Entity::find().order_by_asc(workspace::Column::Id);
    let rows = rows.all(store.reader()).await.context("listing workspaces")?;
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// One workspace with its counts.
pub(super) async fn show(store: &Store, call: &WorkspaceShow, _: Timestamp) -> Result<Workspace, Failure> {
    let id = &call.workspace;
    let doing = "reading a workspace";
    let row = workspace::Entity::find_by_id(id.as_str()).one(store.reader()).await.context(doing)?;
    let mut workspace = read(row.ok_or_else(|| not_found(id))?)?;
    let users = user::Entity::find().filter(user::Column::Workspace.eq(id.as_str())).filter(no_fence(user::Entity));
    workspace.users = Some(users.count(store.reader()).await.context(doing)?);
    let groups = group::Entity::find().filter(group::Column::Workspace.eq(id.as_str()));
    workspace.groups = Some(groups.count(store.reader()).await.context(doing)?);
    Ok(workspace)
}

/// Turns SCIM on and adds a token: the first, or the first since SCIM was turned off.
pub(super) async fn enable(
    store: &Store,
    WorkspaceEnable { workspace: id, token, by }: &WorkspaceEnable,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    let transaction = store.begin().await?;
    let row = find_locked(&transaction, id).await?.ok_or_else(|| not_found(id))?;
    if row.enabled {
        let detail = format!("workspace {id} is enabled already; `rosterd token create {id}` makes another token");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let mut row = changed(row, now);
    row.enabled = Set(true);
    let row = row.update(&transaction).await.context("enabling a workspace")?;
    tokens::add(&transaction, id, token, now).await?;
    audited::<WorkspaceEnable>(&transaction, by, id, token.id.as_str(), now).await?;
    commit(transaction).await?;
    Ok(read(row)?)
}

/// Answers every request 503 from now on. What the log has is applied all the same.
pub(super) async fn pause(
    store: &Store,
    WorkspacePause { workspace: id, by }: &WorkspacePause,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    let reason = by.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    let needed = || OperatorError::Invalid { detail: "a pause needs a reason, for other operators".to_owned() };
    set_pause::<WorkspacePause>(store, id, Some(reason.ok_or_else(needed)?), by, now).await
}

/// Serves requests again.
pub(super) async fn resume(
    store: &Store,
    WorkspaceResume { workspace: id, by }: &WorkspaceResume,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    set_pause::<WorkspaceResume>(store, id, None, by, now).await
}

/// Doing it twice is doing it once, with the newer reason.
async fn set_pause<C: OperatorCall>(
    store: &Store,
    id: &WorkspaceId,
    reason: Option<&str>,
    by: &ActedBy,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    let transaction = store.begin().await?;
    let row = find_locked(&transaction, id).await?.ok_or_else(|| not_found(id))?;
    if !row.enabled {
        let detail = format!("SCIM of workspace {id} is off; `rosterd workspace enable {id}` turns it on");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let paused_at = reason.map(|_| row.paused_at.unwrap_or_else(|| now.as_millis()));
    let mut row = changed(row, now);
    row.paused_at = Set(paused_at);
    row.pause_reason = Set(reason.map(str::to_owned));
    let row = row.update(&transaction).await.context("pausing or resuming a workspace")?;
    super::announce(&transaction, id).await?;
    audited::<C>(&transaction, by, id, id.as_str(), now).await?;
    commit(transaction).await?;
    Ok(read(row)?)
}

/// Turns SCIM off, and ends every token: who is given a new one may write again.
pub(super) async fn disable(
    store: &Store,
    WorkspaceDisable { workspace: id, by }: &WorkspaceDisable,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    let transaction = store.begin().await?;
    let row = find_locked(&transaction, id).await?.ok_or_else(|| not_found(id))?;
    let mut row = changed(row, now);
    row.enabled = Set(false);
    row.paused_at = Set(None);
    row.pause_reason = Set(None);
    let row = row.update(&transaction).await.context("disabling a workspace")?;
    let tokens = tokens::revoke_all(&transaction, id, now).await?;
    let counts = [("tokens", tokens)];
    let act = Act { by, verb: WorkspaceDisable::VERB, workspace: Some(id), target: id.as_str(), counts: &counts };
    record(&transaction, act, now).await?;
    commit(transaction).await?;
    Ok(read(row)?)
}

/// The row under its next version.
fn changed(row: workspace::Model, now: Timestamp) -> workspace::ActiveModel {
    let version = row.version.saturating_add(1);
    let mut row = row.into_active_model();
    row.version = Set(version);
    row.updated_at = Set(now.as_millis());
    row
}

/// Reads a row, without counts.
pub(super) fn read(row: workspace::Model) -> Result<Workspace, StoreError> {
    let id = WorkspaceId::try_from(row.id).map_err(|error| StoreError::broken("reading a workspace", error))?;
    let created_at = Timestamp::from_millis(row.created_at);
    let dialect = |word: Option<String>| word.as_deref().map(profiles::dialect).transpose();
    let (dialect, seen_dialect) = (dialect(row.dialect)?, dialect(row.seen_dialect)?);
    Ok(Workspace {
        id,
        name: row.name,
        enabled: row.enabled,
        paused_at: row.paused_at.map(Timestamp::from_millis),
        pause_reason: row.pause_reason,
        created_at,
        dialect,
        seen_dialect,
        users: None,
        groups: None,
    })
}
