//! Groups that are too large for one message: their members are answered by pages, each a statement and a moment of its
//! own. Any worker answers any page.

use std::collections::HashMap;

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::query::{ListMembers, MemberPage};
use protocol::scim::list::Include;
use protocol::scim::members::{Member, Members};
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, ExprTrait, Func, IntoIden, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryResult, QuerySelect};

use crate::store::entity::{group, group_member, user};
use crate::store::fence::no_fence;
use crate::store::members::{column, column_of};
use crate::store::resources::MAX_TOGETHER;
use crate::store::{Context, Store, StoreError, sequence, to_u64};

/// The most member rows of a page, whatever is asked for.
const MAX_OF_A_PAGE: u64 = 5_000;

/// Marks those groups as paged whose members would make the answer too large, in its order.
pub(super) async fn mark_paged(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    joined: Include,
    resources: &mut [Resource],
) -> Result<(), StoreError> {
    let is_shown = |one: &Resource| joined.members && one.resource_type == ResourceType::Group;
    let ids: Vec<Uuid> = resources.iter().filter(|one| is_shown(one)).map(|one| one.id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let counts = group::Entity::find()
        .select_only()
        .columns([group::Column::Id, group::Column::MemberCount])
        .filter(group::Column::Workspace.eq(workspace.as_str()))
        .filter(group::Column::Id.is_in(ids))
        .into_tuple::<(Uuid, i64)>();
    let counts = counts.all(connection).await.context("counting members")?;
    let counts: HashMap<ResourceId, u64> =
        counts.into_iter().map(|(id, count)| (ResourceId(id), sequence(count))).collect();
    let mut room = MAX_TOGETHER;
    for resource in resources {
        let Some(count) = counts.get(&resource.id) else { continue };
        match room.checked_sub(*count) {
            Some(left) => room = left,
            None => resource.members = Members::Paged,
        }
    }
    Ok(())
}

/// A page of live members. Its end is that of the rows: who is not live is passed over, and counts.
pub(super) async fn page(
    store: &Store,
    workspace: &WorkspaceId,
    query: &ListMembers,
) -> Result<MemberPage, StoreError> {
    let (count, display) = (query.count.clamp(1, MAX_OF_A_PAGE), query.display);
    let page = joined(workspace, rows(workspace, query, count), display);
    let rows = store.reader().query_all(&page).await.context("reading a page of members")?;
    let is_full = to_u64(rows.len()) == count;
    let last = rows.last().filter(|_| is_full).map(|row| column(row, 0)).transpose()?;
    let mut members = Vec::with_capacity(rows.len());
    for row in &rows {
        members.extend(member(row, display)?);
    }
    Ok(MemberPage { members, next: last.map(ResourceId) })
}

/// The member rows of the page.
fn rows(workspace: &WorkspaceId, query: &ListMembers, count: u64) -> SelectStatement {
    let mut rows = Query::select();
    rows.column(group_member::Column::MemberId)
        .from(group_member::Entity)
        .and_where(group_member::Column::Workspace.eq(workspace.as_str()))
        .and_where(group_member::Column::GroupId.eq(query.group.0))
        .and_where_option(query.after.map(|after| group_member::Column::MemberId.gt(after.0)))
        .order_by(group_member::Column::MemberId, Order::Asc)
        .limit(count);
    rows
}

/// Each row with the live user or group that it names, if there is one.
fn joined(workspace: &WorkspaceId, rows: SelectStatement, display: bool) -> SelectStatement {
    let id = || column_of("m", group_member::Column::MemberId);
    let same = |key: Expr, place: Expr| key.eq(id()).and(place.eq(workspace.as_str()));
    let of_user = |column: user::Column| column_of(user::Entity, column);
    let of_group = |column: group::Column| column_of(group::Entity, column);
    let mut query = Query::select();
    query.expr(id()).expr(of_user(user::Column::Id)).expr(of_group(group::Column::Id));
    if display {
        let names = [user::Column::DisplayName, user::Column::UserName].map(of_user);
        query.expr(Func::coalesce(names.into_iter().chain([of_group(group::Column::DisplayName)])));
    }
    query
        .from_subquery(rows, "m".into_iden())
        .left_join(
            user::Entity,
            same(of_user(user::Column::Id), of_user(user::Column::Workspace)).and(no_fence(user::Entity)),
        )
        .left_join(group::Entity, same(of_group(group::Column::Id), of_group(group::Column::Workspace)))
        .order_by_expr(id(), Order::Asc);
    query
}

fn member(row: &QueryResult, display: bool) -> Result<Option<Member>, StoreError> {
    let (user, group): (Option<Uuid>, Option<Uuid>) = (column(row, 1)?, column(row, 2)?);
    let found = user.map(|id| (id, ResourceType::User)).or_else(|| group.map(|id| (id, ResourceType::Group)));
    let Some((id, resource_type)) = found else { return Ok(None) };
    let display = if display { column(row, 3)? } else { None };
    Ok(Some(Member { id: ResourceId(id), resource_type, display }))
}
