//! Workspaces: create, list, show, enable.

use protocol::id::WorkspaceId;
use protocol::message::operator::{
    OperatorError, Workspace, WorkspaceCreate, WorkspaceEnable, WorkspaceList, WorkspaceShow,
};
use protocol::time::Timestamp;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, Set,
};

use super::{Failure, find_locked, not_found, tokens};
use crate::store::entity::{group, user, workspace};
use crate::store::fence::no_fence;
use crate::store::{Context, Store, StoreError, commit, profiles};

/// Adds a workspace, SCIM still off.
pub(super) async fn create(store: &Store, call: &WorkspaceCreate, now: Timestamp) -> Result<Workspace, Failure> {
    let WorkspaceCreate { workspace: id, name } = call;
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
    };
    let insert = workspace::Entity::insert(row.clone().into_active_model());
    insert.exec_without_returning(&transaction).await.context("creating a workspace")?;
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

/// Turns SCIM on and adds the first token.
pub(super) async fn enable(store: &Store, call: &WorkspaceEnable, now: Timestamp) -> Result<Workspace, Failure> {
    let WorkspaceEnable { workspace: id, token } = call;
    let transaction = store.begin().await?;
    let row = find_locked(&transaction, id).await?.ok_or_else(|| not_found(id))?;
    if row.enabled {
        let detail = format!("workspace {id} is enabled already; `rosterd token create {id}` makes another token");
        return Err(OperatorError::Conflict { detail }.into());
    }
    let (version, updated_at) = (row.version.saturating_add(1), now.as_millis());
    let mut row = row.into_active_model();
    row.enabled = Set(true);
    row.version = Set(version);
    row.updated_at = Set(updated_at);
    let row = row.update(&transaction).await.context("enabling a workspace")?;
    tokens::add(&transaction, id, token, now).await?;
    commit(transaction).await?;
    Ok(read(row)?)
}

/// Reads a row, without counts.
pub(super) fn read(row: workspace::Model) -> Result<Workspace, StoreError> {
    let id = WorkspaceId::try_from(row.id).map_err(|error| StoreError::broken("reading a workspace", error))?;
    let created_at = Timestamp::from_millis(row.created_at);
    let dialect = |word: Option<String>| word.as_deref().map(profiles::dialect).transpose();
    let (dialect, seen_dialect) = (dialect(row.dialect)?, dialect(row.seen_dialect)?);
    let (name, enabled) = (row.name, row.enabled);
    Ok(Workspace { id, name, enabled, created_at, dialect, seen_dialect, users: None, groups: None })
}
