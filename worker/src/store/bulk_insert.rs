//! Statements over many rows whose text does not depend on how many there are.
//!
//! PostgreSQL prepares a statement, in a round trip of its own, whenever its connection has not seen the text before. Lists
//! of values are a text for each length; here they are one parameter: an array, or one document that holds all rows.
//! SQLite is in the process, knows neither, and gets lists.

use sea_orm::sea_query::{Alias, Expr, Func, InsertStatement, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, Iterable, ModelTrait, Value,
    sea_query::postgres_array::NotU8,
};
use serde::Serialize;

use super::{Context, MAX_ROWS, StoreError};

/// A document that is at least so long is written before the next row is added to it, in bytes.
const DOCUMENT: usize = 4 * 1024 * 1024;

/// `column` is one of the values.
pub(crate) fn one_of<V>(
    connection: &impl ConnectionTrait,
    column: impl ColumnTrait,
    values: impl IntoIterator<Item = V>,
) -> Expr
where
    V: Into<Value> + NotU8,
{
    match connection.get_database_backend() {
        DbBackend::Postgres => column.eq_any(values),
        _ => column.is_in(values),
    }
}

/// Inserts rows, or does with them what `on_conflict` says; returns how many were written.
pub(crate) async fn insert<E>(
    connection: &impl ConnectionTrait,
    rows: Vec<E::Model>,
    on_conflict: Option<OnConflict>,
    doing: &'static str,
) -> Result<u64, StoreError>
where
    E: EntityTrait,
    E::Model: ModelTrait<Entity = E> + IntoActiveModel<E::ActiveModel> + Serialize,
{
    match connection.get_database_backend() {
        DbBackend::Postgres => insert_document::<E>(connection, rows, on_conflict, doing).await,
        _ => insert_values::<E>(connection, rows, on_conflict, doing).await,
    }
}

async fn insert_values<E>(
    connection: &impl ConnectionTrait,
    mut rows: Vec<E::Model>,
    on_conflict: Option<OnConflict>,
    doing: &'static str,
) -> Result<u64, StoreError>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    let mut written = 0;
    while !rows.is_empty() {
        let some = rows.drain(..rows.len().min(MAX_ROWS)).map(IntoActiveModel::into_active_model);
        let insert = E::insert_many(some);
        let inserted = match on_conflict.clone() {
            Some(on_conflict) => insert.on_conflict(on_conflict).exec_without_returning(connection).await,
            None => insert.exec_without_returning(connection).await,
        };
        written += inserted.context(doing)?;
    }
    Ok(written)
}

async fn insert_document<E>(
    connection: &impl ConnectionTrait,
    rows: Vec<E::Model>,
    on_conflict: Option<OnConflict>,
    doing: &'static str,
) -> Result<u64, StoreError>
where
    E: EntityTrait,
    E::Model: Serialize,
{
    let mut written = 0;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let document = document(&mut rows).map_err(|_| StoreError::broken(doing, "a row cannot be written as JSON"))?;
        let insert = document_statement::<E>(document, on_conflict.clone(), doing)?;
        written += connection.execute(&insert).await.context(doing)?.rows_affected();
    }
    Ok(written)
}

/// All rows as one JSON array; none if it would be too long for one statement.
pub(crate) fn document_of_all(rows: Vec<impl Serialize>) -> serde_json::Result<Option<String>> {
    let mut rows = rows.into_iter();
    let whole = document(&mut rows)?;
    Ok(rows.next().is_none().then_some(whole))
}

/// The next rows as one JSON array.
fn document(rows: &mut impl Iterator<Item = impl Serialize>) -> serde_json::Result<String> {
    let mut document = String::from("[");
    for row in rows {
        if document.len() > 1 {
            document.push(',');
        }
        document.push_str(&serde_json::to_string(&row)?);
        if document.len() >= DOCUMENT {
            break;
        }
    }
    document.push(']');
    Ok(document)
}

/// `INSERT INTO t (…) SELECT … FROM json_populate_recordset(NULL::t, $1::json)`: the table itself says of what type each
/// column is.
fn document_statement<E: EntityTrait>(
    document: String,
    on_conflict: Option<OnConflict>,
    doing: &'static str,
) -> Result<InsertStatement, StoreError> {
    let table = E::default();
    let row = Expr::cust(format!("NULL::\"{}\"", table.unquoted()));
    let rows = Func::cust("json_populate_recordset").args([row, Expr::cust_with_values("$1::json", [document])]);
    let mut select = Query::select();
    select.columns(E::Column::iter()).from_function(rows, Alias::new("new"));
    let mut insert = Query::insert();
    insert.into_table(table).columns(E::Column::iter());
    insert.select_from(select).map_err(|_| StoreError::broken(doing, "the statement cannot be made"))?;
    if let Some(on_conflict) = on_conflict {
        insert.on_conflict(on_conflict);
    }
    Ok(insert)
}
