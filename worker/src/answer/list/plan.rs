//! How the database would go about a list: for the operator who asks why one is slow, and for the tests that say which index serves
//! which filter.

use protocol::id::WorkspaceId;
use protocol::message::query::ListResources;
use protocol::scim::filter::TypeFilter;
use protocol::scim::list::Paging;
use protocol::scim::resource_type::ResourceType;
use sea_orm::{ConnectionTrait, QueryTrait, Statement};

use super::{Reader, counted, paged};
use crate::answer::filter::Scope;
use crate::store::entity::{group, user};
use crate::store::resource_table::ResourceTable;
use crate::store::{Context, DatabaseKind, Store, StoreError};

/// The database's plan for the resources of one kind, in its own words, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// For the rows of the page.
    pub rows: Vec<String>,
    /// For their number, which is asked for where the page does not show it.
    pub count: Vec<String>,
}

/// A plan for each kind of resource that is listed, as if it were listed alone. Of the very statements that answer the
/// query, which are not carried out. A walk by cursor is explained in its own order, by id, whatever it is sorted by.
pub async fn plan(store: &Store, workspace: &WorkspaceId, query: &ListResources) -> Result<Vec<Plan>, StoreError> {
    let ListResources { lists, base_url, .. } = query;
    let scope = Scope { kind: store.kind(), base_url };
    let snapshot = store.snapshot().await?;
    let reader = Reader { connection: &snapshot, scope, workspace, query };
    let mut plans = Vec::with_capacity(lists.len());
    for list in lists {
        let [rows, count] = match list.resource_type {
            ResourceType::User => reader.statements::<user::Entity>(list),
            ResourceType::Group => reader.statements::<group::Entity>(list),
        };
        plans.push(Plan { rows: reader.explained(rows).await?, count: reader.explained(count).await? });
    }
    Ok(plans)
}

impl Reader<'_> {
    /// The rows of a page, and how many there are in all.
    fn statements<E: ResourceTable>(&self, list: &TypeFilter) -> [Statement; 2] {
        let page = match &self.query.paging {
            Paging::Index(page) => paged(self.all::<E>(list), page.offset(), page.count()),
            Paging::Cursor { after, count } => self.after::<E>(list, after.as_ref(), count.saturating_add(1)),
        };
        let backend = self.connection.get_database_backend();
        [page.build(backend), backend.build(&counted(self.all::<E>(list)))]
    }

    async fn explained(&self, statement: Statement) -> Result<Vec<String>, StoreError> {
        let doing = "explaining a list";
        let (explain, line) = match self.scope.kind {
            DatabaseKind::Postgres => ("EXPLAIN", "QUERY PLAN"),
            DatabaseKind::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        };
        let statement = Statement { sql: format!("{explain} {}", statement.sql), ..statement };
        let lines = self.connection.query_all_raw(statement).await.context(doing)?;
        lines.iter().map(|row| row.try_get("", line).context(doing)).collect()
    }
}
