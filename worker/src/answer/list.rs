//! Lists: filter, order and page in SQL (RFC 7644 §3.4.2), all statements of one answer at one moment.

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::query::{Answer, Joined, TypeFilter};
use protocol::scim::list::Page;
use protocol::scim::resource::{Resource, ResourceType};
use protocol::scim::sort::Sort;
use sea_orm::sea_query::{Expr, ExprTrait, Query, UnionType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, Order, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
};

use super::filter::{KeyKind, Scope, condition, sort_key};
use super::members;
use crate::store::entity::{group, user};
use crate::store::row::{Image, set_groups, set_members};
use crate::store::{Doing, Store, StoreError};

/// What a list is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) lists: &'a [TypeFilter],
    pub(super) base_url: &'a str,
    pub(super) sort: Option<&'a Sort>,
    pub(super) page: Page,
    pub(super) joined: Joined,
}

/// The resources that match, in a total order: by what is asked for, then by kind and id.
pub(super) async fn list(store: &Store, workspace: &WorkspaceId, search: Search<'_>) -> Result<Answer, StoreError> {
    let scope = Scope { kind: store.kind(), base_url: search.base_url };
    let snapshot = store.snapshot().await?;
    let reader = Reader { connection: &snapshot, scope, workspace, search };
    let (total, mut resources) = match (search.lists, search.sort) {
        ([one], _) => reader.of_kind(one, search.page.offset(), search.page.count()).await?,
        (_, None) => reader.one_kind_after_another().await?,
        (_, Some(sort)) => reader.sorted_together(sort).await?,
    };
    read_joined(&snapshot, workspace, search.joined, &mut resources).await?;
    Ok(Answer::List { total, resources })
}

/// Reads what is not in the resources' own rows: one statement for all members, one for all groups of users.
pub(super) async fn read_joined(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    joined: Joined,
    resources: &mut [Resource],
) -> Result<(), StoreError> {
    let ids = |kind: ResourceType, wanted: bool| -> Vec<ResourceId> {
        resources.iter().filter(|one| wanted && one.resource_type == kind).map(|one| one.id).collect()
    };
    let mut members = members::of_groups(connection, workspace, &ids(ResourceType::Group, joined.members)).await?;
    let mut groups = members::groups_of(connection, workspace, &ids(ResourceType::User, joined.groups)).await?;
    for resource in resources {
        match resource.resource_type {
            ResourceType::User => set_groups(resource, &groups.remove(&resource.id).unwrap_or_default()),
            ResourceType::Group => set_members(resource, &members.remove(&resource.id).unwrap_or_default()),
        }
    }
    Ok(())
}

struct Reader<'a> {
    connection: &'a DatabaseTransaction,
    scope: Scope<'a>,
    workspace: &'a WorkspaceId,
    search: Search<'a>,
}

impl Reader<'_> {
    fn matching(&self, list: &TypeFilter) -> Condition {
        let own = match list.resource_type {
            ResourceType::User => user::Column::Workspace.eq(self.workspace.as_str()),
            ResourceType::Group => group::Column::Workspace.eq(self.workspace.as_str()),
        };
        let filter = list.filter.as_ref().map(|filter| condition(self.scope, list.resource_type, filter));
        Condition::all().add(own).add_option(filter)
    }

    /// How many resources of one kind match, and some of them.
    async fn of_kind(&self, list: &TypeFilter, offset: u64, count: u64) -> Result<(u64, Vec<Resource>), StoreError> {
        let matching = self.matching(list);
        let order = self.order(list.resource_type);
        match list.resource_type {
            ResourceType::User => {
                let users = ordered(user::Entity::find().filter(matching), order).order_by_asc(user::Column::Id);
                let (total, rows) = part(self.connection, users, offset, count, "listing users").await?;
                Ok((total, resources(rows, Image::of_user)?))
            }
            ResourceType::Group => {
                let groups = ordered(group::Entity::find().filter(matching), order).order_by_asc(group::Column::Id);
                let (total, rows) = part(self.connection, groups, offset, count, "listing groups").await?;
                Ok((total, resources(rows, Image::of_group)?))
            }
        }
    }

    /// What rows of one kind are sorted by, before their ids: whether there is a value, and the value.
    fn order(&self, resource_type: ResourceType) -> Vec<(Expr, Order)> {
        let Some(sort) = self.search.sort else { return Vec::new() };
        let Some(path) = sort.of(resource_type) else { return Vec::new() };
        let key = sort_key(self.scope, resource_type, path);
        by(key, sort.descending)
    }

    async fn one_kind_after_another(&self) -> Result<(u64, Vec<Resource>), StoreError> {
        let (mut total, mut found) = (0_u64, Vec::new());
        for list in self.search.lists {
            let offset = self.search.page.offset().saturating_sub(total);
            let room = self.search.page.count().saturating_sub(u64::try_from(found.len()).unwrap_or(u64::MAX));
            let (of_kind, resources) = self.of_kind(list, offset, room).await?;
            total = total.saturating_add(of_kind);
            found.extend(resources);
        }
        Ok((total, found))
    }

    /// Several kinds in one order: the ids of the page first, then their rows.
    async fn sorted_together(&self, sort: &Sort) -> Result<(u64, Vec<Resource>), StoreError> {
        let mut total = 0_u64;
        for list in self.search.lists {
            total = total.saturating_add(self.of_kind(list, 0, 0).await?.0);
        }
        let page = self.page_of_all(sort).await?;
        let (users, groups): (Vec<_>, Vec<_>) = page.iter().partition(|(number, _)| *number == USERS);
        let ids = |part: Vec<&(i32, sea_orm::prelude::Uuid)>| part.into_iter().map(|(_, id)| *id).collect::<Vec<_>>();
        let users = user::Entity::find()
            .filter(user::Column::Workspace.eq(self.workspace.as_str()))
            .filter(user::Column::Id.is_in(ids(users)));
        let groups = group::Entity::find()
            .filter(group::Column::Workspace.eq(self.workspace.as_str()))
            .filter(group::Column::Id.is_in(ids(groups)));
        let doing = "reading a page";
        let mut found = resources(users.all(self.connection).await.doing(doing)?, Image::of_user)?;
        found.extend(resources(groups.all(self.connection).await.doing(doing)?, Image::of_group)?);
        let place = |one: &Resource| page.iter().position(|(_, id)| *id == one.id.0);
        found.sort_by_cached_key(place);
        Ok((total, found))
    }

    async fn page_of_all(&self, sort: &Sort) -> Result<Vec<(i32, sea_orm::prelude::Uuid)>, StoreError> {
        let kind = sort.by.first().map_or(KeyKind::Text, KeyKind::of);
        let mut parts = self.search.lists.iter().map(|list| {
            let key = sort.of(list.resource_type).filter(|path| KeyKind::of(path) == kind);
            let key = key
                .map_or_else(|| kind.nothing(self.scope.kind), |path| sort_key(self.scope, list.resource_type, path));
            let mut part = Query::select();
            match list.resource_type {
                ResourceType::User => {
                    part.expr_as(Expr::val(USERS), "kind").expr_as(Expr::col((user::Entity, user::Column::Id)), "id");
                    part.from(user::Entity);
                }
                ResourceType::Group => {
                    part.expr_as(Expr::val(GROUPS), "kind")
                        .expr_as(Expr::col((group::Entity, group::Column::Id)), "id");
                    part.from(group::Entity);
                }
            }
            part.expr_as(key, "sort_key").cond_where(self.matching(list)).to_owned()
        });
        let Some(mut all) = parts.next() else { return Ok(Vec::new()) };
        for part in parts {
            all.union(UnionType::All, part);
        }
        let mut page = Query::select();
        page.columns(["kind", "id"]).from_subquery(all, "a");
        for (key, order) in by(Expr::col("sort_key"), sort.descending) {
            page.order_by_expr(key, order);
        }
        page.order_by("kind", Order::Asc).order_by("id", Order::Asc);
        page.offset(self.search.page.offset()).limit(self.search.page.count());
        let doing = "ordering a page";
        let rows = self.connection.query_all(&page).await.doing(doing)?;
        let read = |row: sea_orm::QueryResult| {
            Ok((row.try_get_by_index(0).doing(doing)?, row.try_get_by_index(1).doing(doing)?))
        };
        rows.into_iter().map(read).collect()
    }
}

/// How the kinds are ordered among equals, and told apart.
const USERS: i32 = 0;
const GROUPS: i32 = 1;

/// Without a value last, in descending order first (RFC 7644 §3.4.2.3).
fn by(key: Expr, descending: bool) -> Vec<(Expr, Order)> {
    let order = || if descending { Order::Desc } else { Order::Asc };
    vec![(key.clone().is_null(), order()), (key, order())]
}

fn ordered<E: EntityTrait>(select: Select<E>, order: Vec<(Expr, Order)>) -> Select<E> {
    order.into_iter().fold(select, |select, (key, order)| select.order_by(key, order))
}

/// How many rows there are, and some of them. What shows its own end need not be counted.
async fn part<E>(
    connection: &DatabaseTransaction,
    select: Select<E>,
    offset: u64,
    count: u64,
    doing: &'static str,
) -> Result<(u64, Vec<E::Model>), StoreError>
where
    E: EntityTrait,
    E::Model: Send + Sync,
{
    let rows = if count == 0 {
        Vec::new()
    } else {
        // No table has more rows than an offset can say in SQL.
        let offset = Ord::min(offset, i64::MAX.unsigned_abs());
        select.clone().offset(offset).limit(count).all(connection).await.doing(doing)?
    };
    let found = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if found < count && (found > 0 || offset == 0) {
        return Ok((offset.saturating_add(found), rows));
    }
    Ok((select.count(connection).await.doing(doing)?, rows))
}

fn resources<M>(rows: Vec<M>, read: fn(M) -> Result<Image, StoreError>) -> Result<Vec<Resource>, StoreError> {
    rows.into_iter().map(|row| read(row).map(|image| image.resource)).collect()
}
