//! Walks by cursor (RFC 9865): what comes after a resource, in the very order of pages by index.
//!
//! Where a walk goes on is said by the last resource's sort key, kind and id, not by how many came before it: so no one is
//! missed or shown twice because others come and go. No page counts but the first, and one row beyond the page tells
//! whether there is another one.

use protocol::id::ResourceId;
use protocol::scim::cursor::{Position, SortKey};
use protocol::scim::filter::TypeFilter;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::sort::{KeyKind, Sort};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, Select};

use super::{Place, Reader, number, place, resources};
use crate::store::entity::{group, user};
use crate::store::resource_table::ResourceTable;
use crate::store::{Context, StoreError, to_u64};

/// A page and, if there is another one, the place of its last resource.
type Stretch = (Vec<Resource>, Option<(Place, Option<SortKey>)>);

impl Reader<'_> {
    /// How many match, the page after a position, and the position after which the next page is.
    pub(super) async fn walk(
        &self,
        after: Option<&Position>,
        count: u64,
    ) -> Result<(u64, Vec<Resource>, Option<Position>), StoreError> {
        let (resources, last) = match &self.query.sort {
            // Nothing but `totalResults` is asked for (RFC 9865 §2), and nothing would come of going on.
            _ if count == 0 => (Vec::new(), None),
            None => self.next_by_id(after, count).await?,
            Some(sort) => self.next_by_key(sort, after, count).await?,
        };
        let total = match (after, &last) {
            (Some(after), _) => after.total,
            (None, None) if count > 0 => to_u64(resources.len()),
            (None, None | Some(_)) => self.count().await?,
        };
        let position = |((resource_type, id), key)| Position { total, resource_type, id: ResourceId(id), key };
        Ok((total, resources, last.map(position)))
    }

    /// One kind after another, each by id.
    async fn next_by_id(&self, after: Option<&Position>, count: u64) -> Result<Stretch, StoreError> {
        let came_before = |list: &&TypeFilter| after.is_some_and(|after| list.resource_type != after.resource_type);
        let (mut found, mut room) = (Vec::new(), count.saturating_add(1));
        for list in self.query.lists.iter().skip_while(came_before) {
            let after = after.filter(|after| after.resource_type == list.resource_type);
            let more = self.next_of_kind(list, after, room).await?;
            room = room.saturating_sub(to_u64(more.len()));
            found.extend(more);
        }
        let more = cut(&mut found, count);
        let last = found.last().filter(|_| more).map(|last: &Resource| ((last.resource_type, last.id.0), None));
        Ok((found, last))
    }

    async fn next_of_kind(
        &self,
        list: &TypeFilter,
        after: Option<&Position>,
        limit: u64,
    ) -> Result<Vec<Resource>, StoreError> {
        let doing = "walking through resources";
        match list.resource_type {
            ResourceType::User => {
                let rows = self.after::<user::Entity>(list, after, limit).all(self.connection);
                resources::<user::Entity>(rows.await.context(doing)?)
            }
            ResourceType::Group => {
                let rows = self.after::<group::Entity>(list, after, limit).all(self.connection);
                resources::<group::Entity>(rows.await.context(doing)?)
            }
        }
    }

    pub(super) fn after<E: ResourceTable>(&self, list: &TypeFilter, after: Option<&Position>, limit: u64) -> Select<E> {
        let [_, id] = E::KEY;
        let beyond = after.map(|after| id.gt(after.id.0));
        E::find().filter(self.matching::<E>(list).add_option(beyond)).order_by_asc(id).limit(limit)
    }

    /// All kinds in one order: the places of the page first, then their rows.
    async fn next_by_key(&self, sort: &Sort, after: Option<&Position>, count: u64) -> Result<Stretch, StoreError> {
        let Some(mut page) = self.ordered_places(sort) else { return Ok((Vec::new(), None)) };
        page.column("sort_key").limit(count.saturating_add(1));
        if let Some((after, key)) = after.and_then(|after| Some((after, after.key.as_ref()?))) {
            page.cond_where(beyond(after, key, sort.descending));
        }
        let mut places = self.places_with_keys(&page, sort.key_kind()).await?;
        let more = cut(&mut places, count);
        let page: Vec<Place> = places.iter().map(|(place, _)| *place).collect();
        let last = places.pop().filter(|_| more).map(|(place, key)| (place, Some(key)));
        Ok((self.rows_of(&page).await?, last))
    }

    async fn places_with_keys(
        &self,
        page: &SelectStatement,
        kind: KeyKind,
    ) -> Result<Vec<(Place, SortKey)>, StoreError> {
        let doing = "ordering a page of a walk";
        let read = |row: QueryResult| {
            let key = match kind {
                KeyKind::Text => row.try_get_by_index::<Option<String>>(2).context(doing)?.map(SortKey::Text),
                KeyKind::Number => row.try_get_by_index::<Option<f64>>(2).context(doing)?.map(SortKey::Number),
            };
            Ok((place(&row, doing)?, key.unwrap_or(SortKey::Unassigned)))
        };
        self.connection.query_all(page).await.context(doing)?.into_iter().map(read).collect()
    }
}

/// What comes after a position: RFC 7644 §3.4.2.3 puts what has no value last, in descending order first.
fn beyond(after: &Position, key: &SortKey, descending: bool) -> Condition {
    let (kind, id, sort_key) = (Expr::col("kind"), Expr::col("id"), Expr::col("sort_key"));
    let own = number(after.resource_type);
    let later = kind.clone().gt(own).or(kind.eq(own).and(id.gt(after.id.0)));
    let value = match key {
        SortKey::Unassigned => {
            let rest = sort_key.clone().is_null().and(later);
            return Condition::any().add(rest).add_option(descending.then(|| sort_key.is_not_null()));
        }
        SortKey::Text(text) => Expr::val(text.as_str()),
        SortKey::Number(number) => Expr::val(*number),
    };
    let equal = sort_key.clone().eq(value.clone()).and(later);
    let others = if descending { sort_key.lt(value) } else { sort_key.clone().gt(value).or(sort_key.is_null()) };
    Condition::any().add(equal).add(others)
}

/// Cuts off what was read only to know whether there is more.
fn cut<T>(found: &mut Vec<T>, count: u64) -> bool {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let more = found.len() > count;
    found.truncate(count);
    more
}
