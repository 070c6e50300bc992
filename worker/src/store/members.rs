//! Members as they are read: rows joined to live users and groups, so that a member that is not known yet, or no more,
//! is not shown.

use std::collections::HashMap;

use protocol::id::{ResourceId, WorkspaceId};
use protocol::scim::members::Member;
use protocol::scim::resource_type::ResourceType;
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, ExprTrait, Func, IntoColumnRef, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, FromQueryResult, QueryResult, Statement, Value};
use serde::Deserialize;
use serde_json::json;

use crate::store::bulk_insert::one_of;
use crate::store::entity::{group, group_member, user};
use crate::store::fence::no_fence;
use crate::store::stored_resource::Key;
use crate::store::{Context, StoreError};

/// The live members of groups of one workspace, each group's in the order of their ids.
pub(crate) async fn of_groups(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    groups: &[ResourceId],
) -> Result<HashMap<ResourceId, Vec<Member>>, StoreError> {
    let mut members: HashMap<ResourceId, Vec<Member>> = HashMap::new();
    if groups.is_empty() {
        return Ok(members);
    }
    let mut query = rows_of_users(workspace, groups);
    query.union(UnionType::All, rows_of_groups(workspace, groups));
    for row in connection.query_all(&query).await.context("reading members")? {
        let group: Uuid = column(&row, 0)?;
        members.entry(ResourceId(group)).or_default().push(member(&row, 1)?);
    }
    for members in members.values_mut() {
        members.sort_unstable_by_key(|member| member.id);
    }
    Ok(members)
}

/// The live groups that each of these users belongs to directly, in the order of their ids.
pub(crate) async fn groups_of(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    users: &[ResourceId],
) -> Result<HashMap<ResourceId, Vec<Member>>, StoreError> {
    let mut groups: HashMap<ResourceId, Vec<Member>> = HashMap::new();
    if users.is_empty() {
        return Ok(groups);
    }
    let rows = match connection.get_database_backend() {
        DbBackend::Postgres => connection.query_all_raw(groups_by_document(workspace, users)).await,
        _ => connection.query_all(&groups_by_list(workspace, users)).await,
    };
    for row in rows.context("reading the groups of users")? {
        let user: Uuid = column(&row, 0)?;
        groups.entry(ResourceId(user)).or_default().push(member(&row, 1)?);
    }
    for groups in groups.values_mut() {
        groups.sort_unstable_by_key(|group| group.id);
    }
    Ok(groups)
}

/// Joins `groups` to rows called `named`. Each user is looked up by itself: see [`crate::store::lookup`]. `OFFSET 0` keeps
/// the planner from turning it around.
const GROUPS_OF_NAMED: &str = "CROSS JOIN LATERAL (SELECT row.group_id FROM group_members AS row \
     WHERE row.workspace = named.workspace AND row.member_id = named.member_id OFFSET 0) AS found \
     JOIN groups ON groups.workspace = named.workspace AND groups.id = found.group_id";

/// The groups of the rows called `named` in `from`, as one document that [`groups_in`] reads.
pub(crate) fn groups_as_json(from: &str) -> String {
    format!(
        "(SELECT json_agg(shown) FROM (SELECT named.workspace, named.member_id, groups.id, groups.display_name \
         FROM {from} AS named {GROUPS_OF_NAMED}) AS shown)"
    )
}

/// Reads what [`groups_as_json`] makes: each user's groups, in the order of their ids.
pub(crate) fn groups_in(document: Option<serde_json::Value>) -> Result<HashMap<Key, Vec<Member>>, StoreError> {
    let unreadable = |_| StoreError::unreadable("reading the groups of users", "they have the wrong type");
    let rows: Vec<GroupOfUser> = document.map_or(Ok(Vec::new()), serde_json::from_value).map_err(unreadable)?;
    let mut groups: HashMap<Key, Vec<Member>> = HashMap::new();
    for GroupOfUser { workspace, member_id, id, display_name } in rows {
        let member = Member { id: ResourceId(id), resource_type: ResourceType::Group, display: Some(display_name) };
        groups.entry(Key::of(workspace, member_id)?).or_default().push(member);
    }
    for groups in groups.values_mut() {
        groups.sort_unstable_by_key(|group| group.id);
    }
    Ok(groups)
}

#[derive(Debug, Deserialize)]
struct GroupOfUser {
    workspace: String,
    member_id: Uuid,
    id: Uuid,
    display_name: String,
}

/// A user's row and its groups, in one statement of PostgreSQL: at one moment, and in one round trip.
pub(crate) async fn find_user(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    id: ResourceId,
) -> Result<Option<(user::Model, Vec<Member>)>, StoreError> {
    let doing = "reading a user";
    let groups = groups_as_json("(SELECT found.workspace, found.id AS member_id)");
    let sql =
        format!("SELECT found.*, {groups} AS groups FROM users AS found WHERE found.workspace = $1 AND found.id = $2");
    let key: [Value; 2] = [workspace.as_str().into(), id.0.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, key);
    let Some(row) = connection.query_one_raw(statement).await.context(doing)? else { return Ok(None) };
    let groups = groups_in(row.try_get("", "groups").context(doing)?)?.into_values().next().unwrap_or_default();
    Ok(Some((user::Model::from_query_result(&row, "").context(doing)?, groups)))
}

fn groups_by_document(workspace: &WorkspaceId, users: &[ResourceId]) -> Statement {
    let sql = format!(
        "SELECT named.member_id, groups.id, 'Group', groups.display_name \
         FROM json_populate_recordset(NULL::group_members, $1::json) AS named {GROUPS_OF_NAMED}"
    );
    let named = users.iter().map(|user| json!({"workspace": workspace.as_str(), "member_id": user.0}));
    let document = serde_json::Value::Array(named.collect()).to_string();
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [document.into()])
}

fn groups_by_list(workspace: &WorkspaceId, users: &[ResourceId]) -> SelectStatement {
    let same = column_of(group::Entity, group::Column::Workspace)
        .equals((group_member::Entity, group_member::Column::Workspace))
        .and(column_of(group::Entity, group::Column::Id).equals((group_member::Entity, group_member::Column::GroupId)));
    let mut query = Query::select();
    query.column((group_member::Entity, group_member::Column::MemberId));
    select_group(&mut query)
        .from(group_member::Entity)
        .inner_join(group::Entity, same)
        .and_where(group_member::Column::Workspace.eq(workspace.as_str()))
        .and_where(group_member::Column::MemberId.is_in(users.iter().map(|user| user.0)));
    query
}

/// Those of the keys that are live users or groups.
pub(crate) async fn find_live(
    connection: &impl ConnectionTrait,
    keys: &[Key],
) -> Result<HashMap<Key, Member>, StoreError> {
    let mut live = HashMap::new();
    let mut by_workspace: HashMap<&WorkspaceId, Vec<Uuid>> = HashMap::new();
    for key in keys {
        by_workspace.entry(&key.workspace).or_default().push(key.id.0);
    }
    for (workspace, ids) in by_workspace {
        let mut users = Query::select();
        select_user(&mut users).from(user::Entity);
        users.and_where(user::Column::Workspace.eq(workspace.as_str())).and_where(one_of(
            connection,
            user::Column::Id,
            ids.clone(),
        ));
        let mut groups = Query::select();
        select_group(&mut groups).from(group::Entity);
        groups.and_where(group::Column::Workspace.eq(workspace.as_str())).and_where(one_of(
            connection,
            group::Column::Id,
            ids,
        ));
        let query = users.union(UnionType::All, groups);
        for row in connection.query_all(query).await.context("reading named members")? {
            let member = member(&row, 0)?;
            live.insert(Key { workspace: workspace.clone(), id: member.id }, member);
        }
    }
    Ok(live)
}

fn rows_of_users(workspace: &WorkspaceId, groups: &[ResourceId]) -> SelectStatement {
    let same = column_of(user::Entity, user::Column::Workspace)
        .equals((group_member::Entity, group_member::Column::Workspace))
        .and(column_of(user::Entity, user::Column::Id).equals((group_member::Entity, group_member::Column::MemberId)));
    let mut query = Query::select();
    query.column((group_member::Entity, group_member::Column::GroupId));
    select_user(&mut query).from(group_member::Entity).inner_join(user::Entity, same);
    of_these(&mut query, workspace, groups)
}

fn rows_of_groups(workspace: &WorkspaceId, groups: &[ResourceId]) -> SelectStatement {
    let same = column_of(group::Entity, group::Column::Workspace)
        .equals((group_member::Entity, group_member::Column::Workspace))
        .and(
            column_of(group::Entity, group::Column::Id).equals((group_member::Entity, group_member::Column::MemberId)),
        );
    let mut query = Query::select();
    query.column((group_member::Entity, group_member::Column::GroupId));
    select_group(&mut query).from(group_member::Entity).inner_join(group::Entity, same);
    of_these(&mut query, workspace, groups)
}

fn of_these(query: &mut SelectStatement, workspace: &WorkspaceId, groups: &[ResourceId]) -> SelectStatement {
    let ids = groups.iter().map(|group| group.0);
    query
        .and_where(group_member::Column::Workspace.eq(workspace.as_str()))
        .and_where(group_member::Column::GroupId.is_in(ids))
        .to_owned()
}

/// Id, kind and display of a user; of no fence.
fn select_user(query: &mut SelectStatement) -> &mut SelectStatement {
    let names = [user::Column::DisplayName, user::Column::UserName].map(|name| column_of(user::Entity, name));
    query.column((user::Entity, user::Column::Id)).expr(Expr::cust("'User'")).expr(Func::coalesce(names));
    query.and_where(no_fence(user::Entity))
}

/// Id, kind and display of a group.
fn select_group(query: &mut SelectStatement) -> &mut SelectStatement {
    query
        .column((group::Entity, group::Column::Id))
        .expr(Expr::cust("'Group'"))
        .column((group::Entity, group::Column::DisplayName))
}

pub(crate) fn column_of<T: sea_orm::sea_query::IntoIden, C: sea_orm::sea_query::IntoIden>(table: T, column: C) -> Expr {
    Expr::col((table, column).into_column_ref())
}

/// Reads id, kind and display, from column `first` on.
fn member(row: &QueryResult, first: usize) -> Result<Member, StoreError> {
    let kind: String = column(row, first + 1)?;
    let resource_type = if kind == "User" { ResourceType::User } else { ResourceType::Group };
    Ok(Member { id: ResourceId(column(row, first)?), resource_type, display: column(row, first + 2)? })
}

pub(crate) fn column<T: sea_orm::TryGetable>(row: &QueryResult, index: usize) -> Result<T, StoreError> {
    row.try_get_by_index(index).context("reading a member")
}
