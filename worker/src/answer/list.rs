//! Lists: filter, order and page in SQL (RFC 7644 §3.4.2), all statements of one answer at one moment.

mod keyset;
pub(super) mod plan;

use protocol::id::WorkspaceId;
use protocol::message::query::{ListResources, ResourcePage};
use protocol::scim::filter::TypeFilter;
use protocol::scim::list::{Page, Paging};
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::sort::{KeyKind, Sort};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, Order, QueryFilter, QueryOrder,
    QueryResult, QuerySelect, QueryTrait, Select,
};

use super::filter::{Scope, condition, narrowing, nothing, sort_key};
use super::member_pages;
use crate::store::entity::{group, user};
use crate::store::resource_table::ResourceTable;
use crate::store::resources::read_joined;
use crate::store::{Context, Store, StoreError, sequence, to_u64};

/// The resources that match, in a total order: by what is asked for, then by kind and id.
pub(super) async fn list(
    store: &Store,
    workspace: &WorkspaceId,
    query: &ListResources,
) -> Result<ResourcePage, StoreError> {
    let scope = Scope { kind: store.kind(), base_url: &query.base_url };
    let snapshot = store.snapshot().await?;
    let reader = Reader { connection: &snapshot, scope, workspace, query };
    let (total, mut resources, next) = match &query.paging {
        Paging::Index(page) => {
            let (total, resources) = reader.page(*page).await?;
            (total, resources, None)
        }
        Paging::Cursor { after, count } => reader.walk(after.as_ref(), *count).await?,
    };
    member_pages::mark_paged(&snapshot, workspace, query.joined, &mut resources).await?;
    read_joined(&snapshot, workspace, query.joined, &mut resources).await?;
    Ok(ResourcePage { total, resources, next })
}

struct Reader<'a> {
    connection: &'a DatabaseTransaction,
    scope: Scope<'a>,
    workspace: &'a WorkspaceId,
    query: &'a ListResources,
}

impl Reader<'_> {
    fn matching<E: ResourceTable>(&self, list: &TypeFilter) -> Condition {
        let own = Condition::all().add(in_workspace::<E>(self.workspace)).add_option(E::no_fence());
        let Some(filter) = &list.filter else { return own };
        let narrowing = narrowing(self.scope, self.workspace, filter).into_iter();
        let narrowed = narrowing.fold(own, Condition::add);
        narrowed.add(condition(self.scope, list.resource_type, filter))
    }

    /// How many resources of one kind match, and some of them.
    async fn of_kind(&self, list: &TypeFilter, offset: u64, count: u64) -> Result<(u64, Vec<Resource>), StoreError> {
        match list.resource_type {
            ResourceType::User => part(self.connection, self.all::<user::Entity>(list), offset, count).await,
            ResourceType::Group => part(self.connection, self.all::<group::Entity>(list), offset, count).await,
        }
    }

    fn all<E: ResourceTable>(&self, list: &TypeFilter) -> Select<E> {
        let [_, id] = E::KEY;
        let order = self.order(E::KIND).into_iter();
        let matching = E::find().filter(self.matching::<E>(list));
        order.fold(matching, |select, (key, order)| select.order_by(key, order)).order_by_asc(id)
    }

    /// What rows of one kind are sorted by, before their ids: whether there is a value, and the value.
    fn order(&self, resource_type: ResourceType) -> Vec<(Expr, Order)> {
        let Some(sort) = &self.query.sort else { return Vec::new() };
        let Some(path) = sort.of(resource_type) else { return Vec::new() };
        let key = sort_key(self.scope, resource_type, path);
        by(key, sort.descending)
    }

    async fn page(&self, page: Page) -> Result<(u64, Vec<Resource>), StoreError> {
        match (self.query.lists.as_slice(), &self.query.sort) {
            ([one], _) => self.of_kind(one, page.offset(), page.count()).await,
            (_, None) => self.one_kind_after_another(page).await,
            (_, Some(sort)) => Ok((self.count().await?, self.sorted_together(sort, page).await?)),
        }
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let mut total = 0_u64;
        for list in &self.query.lists {
            total = total.saturating_add(self.of_kind(list, 0, 0).await?.0);
        }
        Ok(total)
    }

    async fn one_kind_after_another(&self, page: Page) -> Result<(u64, Vec<Resource>), StoreError> {
        let (mut total, mut found) = (0_u64, Vec::new());
        for list in &self.query.lists {
            let offset = page.offset().saturating_sub(total);
            let room = page.count().saturating_sub(to_u64(found.len()));
            let (of_kind, resources) = self.of_kind(list, offset, room).await?;
            total = total.saturating_add(of_kind);
            found.extend(resources);
        }
        Ok((total, found))
    }

    /// Several kinds in one order: the places on the page first, then their rows.
    async fn sorted_together(&self, sort: &Sort, page: Page) -> Result<Vec<Resource>, StoreError> {
        let Some(mut places) = self.ordered_places(sort) else { return Ok(Vec::new()) };
        places.offset(page.offset()).limit(page.count());
        let doing = "ordering a page";
        let rows = self.connection.query_all(&places).await.context(doing)?;
        let places: Result<Vec<Place>, StoreError> = rows.iter().map(|row| place(row, doing)).collect();
        self.rows_of(&places?).await
    }

    async fn rows_of(&self, page: &[Place]) -> Result<Vec<Resource>, StoreError> {
        let mut found = self.rows_of_kind::<user::Entity>(page).await?;
        found.extend(self.rows_of_kind::<group::Entity>(page).await?);
        let place = |one: &Resource| page.iter().position(|place| *place == (one.resource_type, one.id.0));
        found.sort_by_cached_key(place);
        Ok(found)
    }

    async fn rows_of_kind<E: ResourceTable>(&self, page: &[Place]) -> Result<Vec<Resource>, StoreError> {
        let [_, id] = E::KEY;
        let ids = page.iter().filter(|(kind, _)| *kind == E::KIND).map(|(_, id)| *id);
        let rows = E::find().filter(in_workspace::<E>(self.workspace)).filter(id.is_in(ids));
        resources::<E>(rows.all(self.connection).await.context("reading a page")?)
    }

    /// The places of all that match, in order: `kind` and `id`. `sort_key` may be asked for, too.
    fn ordered_places(&self, sort: &Sort) -> Option<SelectStatement> {
        let mut parts = self.query.lists.iter().map(|list| match list.resource_type {
            ResourceType::User => self.keys::<user::Entity>(list, sort),
            ResourceType::Group => self.keys::<group::Entity>(list, sort),
        });
        let mut all = parts.next()?;
        for part in parts {
            all.union(UnionType::All, part);
        }
        let mut places = Query::select();
        places.columns(["kind", "id"]).from_subquery(all, "a");
        for (key, order) in by(Expr::col("sort_key"), sort.descending) {
            places.order_by_expr(key, order);
        }
        places.order_by("kind", Order::Asc).order_by("id", Order::Asc);
        Some(places)
    }

    /// What of one kind matches, each with its sort key.
    fn keys<E: ResourceTable>(&self, list: &TypeFilter, sort: &Sort) -> SelectStatement {
        let (kind, [_, id]) = (sort.key_kind(), E::KEY);
        let path = sort.of(E::KIND).filter(|path| KeyKind::of(path) == kind);
        let key = path.map_or_else(|| nothing(kind, self.scope.kind), |path| sort_key(self.scope, E::KIND, path));
        let mut part = Query::select();
        part.expr_as(Expr::val(number(E::KIND)), "kind")
            .expr_as(Expr::col((E::default(), id)), "id")
            .from(E::default())
            .expr_as(key, "sort_key")
            .cond_where(self.matching::<E>(list));
        part
    }
}

fn in_workspace<E: ResourceTable>(workspace: &WorkspaceId) -> Expr {
    let [of_workspace, _] = E::KEY;
    of_workspace.eq(workspace.as_str())
}

/// Which resource of a workspace.
type Place = (ResourceType, Uuid);

/// How the kinds are ordered among equals, and told apart.
const fn number(kind: ResourceType) -> i32 {
    match kind {
        ResourceType::User => 0,
        ResourceType::Group => 1,
    }
}

fn place(row: &QueryResult, doing: &'static str) -> Result<Place, StoreError> {
    let of: i32 = row.try_get_by_index(0).context(doing)?;
    let kind = ResourceType::ALL.into_iter().find(|kind| number(*kind) == of);
    let kind = kind.ok_or_else(|| StoreError::broken(doing, "a row is of no kind"))?;
    Ok((kind, row.try_get_by_index(1).context(doing)?))
}

/// Without a value last, in descending order first (RFC 7644 §3.4.2.3).
fn by(key: Expr, descending: bool) -> Vec<(Expr, Order)> {
    let order = || if descending { Order::Desc } else { Order::Asc };
    vec![(key.clone().is_null(), order()), (key, order())]
}

/// How many rows there are, and some of them. What shows its own end need not be counted.
async fn part<E: ResourceTable>(
    connection: &DatabaseTransaction,
    select: Select<E>,
    offset: u64,
    limit: u64,
) -> Result<(u64, Vec<Resource>), StoreError> {
    let doing = "listing resources";
    let rows = if limit == 0 {
        Vec::new()
    } else {
        paged(select.clone(), offset, limit).all(connection).await.context(doing)?
    };
    let found = to_u64(rows.len());
    if found < limit && (found > 0 || offset == 0) {
        return Ok((offset.saturating_add(found), resources::<E>(rows)?));
    }
    let counted = connection.query_one(&counted(select)).await.context(doing)?;
    let total = counted.map(|row| row.try_get_by_index::<i64>(0)).transpose().context(doing)?;
    Ok((total.map_or(0, sequence), resources::<E>(rows)?))
}

fn paged<E: EntityTrait>(select: Select<E>, offset: u64, count: u64) -> Select<E> {
    // No table has more rows than an offset can say in SQL.
    select.offset(Ord::min(offset, i64::MAX.unsigned_abs())).limit(count)
}

/// No column is read, so that an index alone can answer.
fn counted<E: EntityTrait>(select: Select<E>) -> SelectStatement {
    let mut counted = select.into_query();
    counted.clear_selects().clear_order_by().expr(Expr::cust("COUNT(*)"));
    counted
}

fn resources<E: ResourceTable>(rows: Vec<E::Model>) -> Result<Vec<Resource>, StoreError> {
    rows.into_iter().map(|row| E::read(row).map(|stored| stored.resource)).collect()
}
