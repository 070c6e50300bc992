//! Members as they are read: rows joined to live users and groups, so that a member that is not known yet, or no more,
//! is not shown.

use std::collections::HashMap;

use protocol::id::{ResourceId, WorkspaceId};
use protocol::scim::members::Member;
use protocol::scim::resource_type::ResourceType;
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, ExprTrait, IntoColumnRef, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, FromQueryResult, IdenStatic, Iterable, QueryResult, Statement, Value,
};
use serde::Deserialize;
use serde_json::json;

use crate::store::bulk_insert::one_of;
use crate::store::entity::{group, group_member, user};
use crate::store::resource_table::ResourceTable;
use crate::store::stored_resource::Key;
use crate::store::{Context, StoreError};

/// The live members of groups of one workspace, each group's in the order of their ids.
pub(crate) async fn of_groups(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    groups: &[ResourceId],
) -> Result<HashMap<ResourceId, Vec<Member>>, StoreError> {
    if groups.is_empty() {
        return Ok(HashMap::new());
    }
    let mut query = members_in::<user::Entity>(workspace, groups);
    query.union(UnionType::All, members_in::<group::Entity>(workspace, groups));
    by_first(&connection.query_all(&query).await.context("reading members")?)
}

/// The live groups that each of these users belongs to directly, in the order of their ids.
pub(crate) async fn groups_of(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    users: &[ResourceId],
) -> Result<HashMap<ResourceId, Vec<Member>>, StoreError> {
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = match connection.get_database_backend() {
        DbBackend::Postgres => connection.query_all_raw(groups_by_document(workspace, users)).await,
        _ => connection.query_all(&groups_by_list(workspace, users)).await,
    };
    by_first(&rows.context("reading the groups of users")?)
}

/// By the id in the first column: what the others say, in the order of its ids.
fn by_first(rows: &[QueryResult]) -> Result<HashMap<ResourceId, Vec<Member>>, StoreError> {
    let mut found: HashMap<ResourceId, Vec<Member>> = HashMap::new();
    for row in rows {
        found.entry(ResourceId(column(row, 0)?)).or_default().push(member(row, 1)?);
    }
    for members in found.values_mut() {
        members.sort_unstable_by_key(|member| member.id);
    }
    Ok(found)
}

/// Joins `groups` to rows called `named`. Each user is looked up by itself: see [`crate::store::lookup`]. `OFFSET 0` keeps
/// the planner from turning it around.
const GROUPS_OF_NAMED: &str = "CROSS JOIN LATERAL (SELECT row.group_id FROM group_members AS row \
     WHERE row.workspace = named.workspace AND row.member_id = named.member_id OFFSET 0) AS found \
     CROSS JOIN LATERAL (SELECT row.id, row.display_name FROM groups AS row \
     WHERE row.workspace = named.workspace AND row.id = found.group_id OFFSET 0) AS groups";

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
    // Named: a plan of `*` fails once a migration has added a column.
    let columns = user::Column::iter().map(|column| format!("found.\"{}\"", column.as_str())).collect::<Vec<_>>();
    let sql = format!(
        "SELECT {}, {groups} AS groups FROM users AS found WHERE found.workspace = $1 AND found.id = $2",
        columns.join(", ")
    );
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
    select::<group::Entity>(&mut query)
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
        let mut query = live_in::<user::Entity>(connection, workspace, &ids);
        query.union(UnionType::All, live_in::<group::Entity>(connection, workspace, &ids));
        for row in connection.query_all(&query).await.context("reading named members")? {
            let member = member(&row, 0)?;
            live.insert(Key { workspace: workspace.clone(), id: member.id }, member);
        }
    }
    Ok(live)
}

fn live_in<E: ResourceTable>(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    ids: &[Uuid],
) -> SelectStatement {
    let [of_workspace, id] = E::KEY;
    let mut query = Query::select();
    select::<E>(&mut query).from(E::default());
    query.and_where(of_workspace.eq(workspace.as_str())).and_where(one_of(connection, id, ids.iter().copied()));
    query
}

/// The members of one kind of these groups.
fn members_in<E: ResourceTable>(workspace: &WorkspaceId, groups: &[ResourceId]) -> SelectStatement {
    use group_member::Column::{GroupId, MemberId, Workspace};
    let [of_workspace, id] = E::KEY.map(|column| column_of(E::default(), column));
    let same = of_workspace.equals((group_member::Entity, Workspace)).and(id.equals((group_member::Entity, MemberId)));
    let mut query = Query::select();
    query.column((group_member::Entity, GroupId));
    select::<E>(&mut query)
        .from(group_member::Entity)
        .inner_join(E::default(), same)
        .and_where(Workspace.eq(workspace.as_str()))
        .and_where(GroupId.is_in(groups.iter().map(|group| group.0)))
        .to_owned()
}

/// Id, kind and display; of no fence.
fn select<E: ResourceTable>(query: &mut SelectStatement) -> &mut SelectStatement {
    let [_, id] = E::KEY;
    let kind = Expr::cust(format!("'{}'", E::KIND.name()));
    query.column((E::default(), id)).expr(kind).expr(E::display()).and_where_option(E::no_fence())
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
