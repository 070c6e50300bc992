//! Rows found by their keys, each by a look-up of its own in the index over the key.
//!
//! To PostgreSQL's planner a workspace that is new since the table was last analyzed is one without rows: it reads all of it
//! rather than look up a few keys, for each batch of an onboarding again. So the keys come as rows of one document, whose
//! values it does not know, and each is looked up in a subquery that it cannot turn around.

use sea_orm::sea_query::{Query, SelectStatement, sea_value_to_json_value};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, IdenStatic, Iterable,
    QueryResult, Statement, Value,
};
use serde_json::Map;

use super::{MAX_GROUPS, MAX_VALUES};

/// Whether the rows are locked until the transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Others may change them.
    None,
    /// Others wait, in the order of the keys. SQLite has one writer anyway.
    Exclusive,
    /// The same, but rows that others have locked are left out instead of being waited for.
    Free,
}

/// The rows that have one of the keys in the columns `key`, which are unique together.
pub(crate) async fn look_up_rows<E: EntityTrait, const N: usize>(
    connection: &impl ConnectionTrait,
    key: [E::Column; N],
    keys: &[[Value; N]],
    lock: Lock,
) -> Result<Vec<E::Model>, DbErr> {
    let columns: Vec<_> = E::Column::iter().collect();
    let rows = look_up::<E, N>(connection, &columns, key, keys, lock).await?;
    rows.iter().map(|row| E::Model::from_query_result(row, "")).collect()
}

/// Reads `columns` of the rows that have one of the keys in the columns `key`, which are unique together.
pub(crate) async fn look_up<E: EntityTrait, const N: usize>(
    connection: &impl ConnectionTrait,
    columns: &[E::Column],
    key: [E::Column; N],
    keys: &[[Value; N]],
    lock: Lock,
) -> Result<Vec<QueryResult>, DbErr> {
    let backend = connection.get_database_backend();
    let most = if backend == DbBackend::Postgres { MAX_VALUES } else { MAX_GROUPS };
    let mut rows = Vec::with_capacity(keys.len().min(most));
    for some in keys.chunks(most) {
        let found = match backend {
            DbBackend::Postgres => connection.query_all_raw(by_document::<E, N>(columns, key, some, lock)).await,
            _ => connection.query_all(&by_lists::<E, N>(columns, key, some)).await,
        };
        rows.extend(found?);
    }
    Ok(rows)
}

fn by_document<E: EntityTrait, const N: usize>(
    columns: &[E::Column],
    key: [E::Column; N],
    keys: &[[Value; N]],
    lock: Lock,
) -> Statement {
    let (sql, document) = document_query::<E, N>(columns, key, keys, lock, 1);
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [document])
}

/// What PostgreSQL is asked, and the value of its one parameter, which has that number.
pub(crate) fn document_query<E: EntityTrait, const N: usize>(
    columns: &[E::Column],
    key: [E::Column; N],
    keys: &[[Value; N]],
    lock: Lock,
    parameter: usize,
) -> (String, Value) {
    let table = E::default().table_name();
    let columns = columns.iter().map(|column| format!("row.\"{}\"", column.as_str())).collect::<Vec<_>>().join(", ");
    let same = key.map(|column| format!("row.\"{0}\" = named.\"{0}\"", column.as_str())).join(" AND ");
    let lock = match lock {
        Lock::None => "",
        Lock::Exclusive => " FOR UPDATE",
        Lock::Free => " FOR UPDATE SKIP LOCKED",
    };
    let sql = format!(
        "SELECT found.* FROM json_populate_recordset(NULL::\"{table}\", ${parameter}::json) AS named \
         CROSS JOIN LATERAL (SELECT {columns} FROM \"{table}\" AS row WHERE {same} LIMIT 1{lock}) AS found"
    );
    let named = |values: &[Value; N]| {
        let fields = key.iter().zip(values);
        let fields = fields.map(|(column, value)| (column.as_str().to_owned(), sea_value_to_json_value(value)));
        serde_json::Value::Object(fields.collect::<Map<_, _>>())
    };
    (sql, serde_json::Value::Array(keys.iter().map(named).collect()).to_string().into())
}

/// `a = … AND b IN (…) OR …`: a list for all keys beside each other that differ in their last value only.
fn by_lists<E: EntityTrait, const N: usize>(
    columns: &[E::Column],
    key: [E::Column; N],
    keys: &[[Value; N]],
) -> SelectStatement {
    let mut any = Condition::any();
    for alike in keys.chunk_by(|one, other| first(one) == first(other)) {
        let Some((last, rest)) = key.split_last() else { continue };
        let values = alike.iter().filter_map(|values| values.last().cloned());
        let all = Condition::all().add(last.is_in(values));
        let shared = rest.iter().zip(alike.iter().take(1).flatten());
        any = any.add(shared.fold(all, |all, (column, value)| all.add(column.eq(value.clone()))));
    }
    Query::select().columns(columns.iter().copied()).from(E::default()).cond_where(any).to_owned()
}

/// All values of a key but the last.
fn first<const N: usize>(key: &[Value; N]) -> Option<&[Value]> {
    key.split_last().map(|(_, first)| first)
}
