//! New and changed users, with their rows of the ledger, in one statement: one round trip, one transaction.

use std::collections::HashMap;
use std::sync::LazyLock;

use protocol::failpoint::Failpoint;
use protocol::scim::members::Member;
use runtime::failpoint;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, IdenStatic, Iterable, Statement, Value};
use serde::Serialize;
use tokio::time::Instant;

use super::bulk_insert::document_of_all;
use super::entity::{operation, user, user_email};
use super::members::{groups_as_json, groups_in};
use super::stored_resource::Key;
use super::{Context, Store, StoreError};
use crate::metrics::METRICS;

const DOING: &str = "writing users at once";

/// Rows that are written together or not at all. PostgreSQL only.
#[derive(Debug)]
pub(crate) struct UserWrites {
    /// The numbering of the log by which the operations are numbered.
    pub(crate) epoch: u32,
    pub(crate) operations: Vec<operation::Model>,
    /// Users as they were read: where one of them has changed since, or is locked, nothing is written.
    pub(crate) read: Vec<ReadUser>,
    /// In the order of their names: two batches that claim the same names wait for each other, they do not deadlock.
    pub(crate) created: Vec<user::Model>,
    /// Of those that were read.
    pub(crate) updated: Vec<user::Model>,
    /// Addresses that come.
    pub(crate) emails: Vec<user_email::Model>,
}

/// A user's row, as far as every change of it shows.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ReadUser {
    pub(crate) workspace: String,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) active_seq: i64,
}

/// The live groups of each user that was read and has any.
pub(crate) type Groups = HashMap<Key, Vec<Member>>;

/// The statement for batches that only create, and for others. What is in the way (another numbering, a known operation,
/// a taken name or id, a fence, a changed row) is looked up row by row, in the index over each (see [`super::lookup`]), and
/// then nothing is written: an INSERT that fails leaves dead rows behind. A race that the look-ups cannot see ends in a
/// unique index, as an error. Rows that were read are locked first, and checked as they are then.
static CREATE: LazyLock<String> = LazyLock::new(|| statement(false));
static WRITE: LazyLock<String> = LazyLock::new(|| statement(true));

impl Store {
    /// Writes the rows, and reads the groups of the users that were read. None if something is in the way, or if they are
    /// too many for one statement: nothing is written.
    pub(crate) async fn write_users(&self, writes: UserWrites) -> Result<Option<Groups>, StoreError> {
        let UserWrites { epoch, mut operations, read, created, updated, emails } = writes;
        operations.sort_unstable_by_key(|row| row.operation);
        let creates_only = read.is_empty();
        let mut values: Vec<Value> = vec![i32::try_from(epoch).unwrap_or(i32::MAX).into()];
        let mut documents = vec![document(operations)?, document(created)?, document(emails)?];
        if !creates_only {
            documents.extend([document(read)?, document(updated)?]);
        }
        for document in documents {
            let Some(document) = document else { return Ok(None) };
            values.push(document.into());
        }
        let sql = if creates_only { &CREATE } else { &WRITE };
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql.as_str(), values);
        failpoint::hit(Failpoint::WorkerCommitBefore).await;
        let began = Instant::now();
        let row = self.writer.query_one_raw(statement).await.context(DOING)?;
        METRICS.commit_duration.took(began.elapsed());
        failpoint::hit(Failpoint::WorkerCommitAfter).await;
        let Some(row) = row else { return Ok(None) };
        if row.try_get::<i64>("", "written").context(DOING)? == 0 {
            return Ok(None);
        }
        groups_in(row.try_get("", "groups").context(DOING)?).map(Some)
    }
}

fn document(rows: Vec<impl Serialize>) -> Result<Option<String>, StoreError> {
    document_of_all(rows).map_err(|_| StoreError::broken(DOING, "a row cannot be written as JSON"))
}

fn statement(with_updates: bool) -> String {
    let known = looked_up::<operation::Entity>("new_operations", &[operation::Column::Operation], "");
    let names = looked_up::<user::Entity>("created", &NAME, "");
    let ids = looked_up::<user::Entity>("created", &[user::Column::Workspace, user::Column::Id], "");
    let operations = (rows::<operation::Entity>(2), insert::<operation::Entity>("new_operations"));
    let created = (rows::<user::Entity>(3), insert::<user::Entity>("created"));
    let emails = (rows::<user_email::Entity>(4), insert::<user_email::Entity>("emails"));
    let updates = if with_updates { Updates::some() } else { Updates::default() };
    let groups = if with_updates { groups_as_json("read") } else { "NULL".to_owned() };
    format!(
        "WITH new_operations AS MATERIALIZED ({}), created AS MATERIALIZED ({}), emails AS MATERIALIZED ({}){}, \
         clear AS MATERIALIZED (SELECT FROM (SELECT COALESCE(MAX(epoch), 0) AS epoch FROM log_numbering) AS numbering \
         WHERE epoch = $1 AND NOT EXISTS ({known}) AND NOT EXISTS ({names}) AND NOT EXISTS ({ids}){}), \
         operations_written AS ({} RETURNING 1), created_written AS ({}), emails_written AS ({} ON CONFLICT DO NOTHING){} \
         SELECT (SELECT COUNT(*) FROM operations_written) AS written, {groups} AS groups",
        operations.0,
        created.0,
        emails.0,
        updates.tables,
        updates.clear,
        operations.1,
        created.1,
        emails.1,
        updates.writes,
    )
}

/// What the statement has more for rows that change.
#[derive(Default)]
struct Updates {
    tables: String,
    clear: String,
    writes: String,
}

impl Updates {
    fn some() -> Self {
        let assigned = user::Column::iter()
            .filter(|column| !matches!(column, user::Column::Workspace | user::Column::Id))
            .map(|column| format!("\"{0}\" = excluded.\"{0}\"", column.as_str()));
        let assigned = assigned.collect::<Vec<_>>().join(", ");
        let (updated, insert) = (rows::<user::Entity>(6), insert::<user::Entity>("updated"));
        let taken = looked_up::<user::Entity>("updated", &NAME, " AND row.\"id\" <> new.\"id\"");
        Self {
            tables: format!(
                ", read AS MATERIALIZED (SELECT workspace, id, id AS member_id, version, active_seq \
                 FROM json_populate_recordset(NULL::\"users\", $5::json)), \
                 unchanged AS MATERIALIZED (SELECT FROM read CROSS JOIN LATERAL (SELECT FROM \"users\" AS row \
                 WHERE row.workspace = read.workspace AND row.id = read.id AND row.version = read.version \
                 AND row.active_seq = read.active_seq LIMIT 1 FOR UPDATE SKIP LOCKED) AS found), \
                 updated AS MATERIALIZED ({updated})"
            ),
            clear: format!(
                " AND (SELECT COUNT(*) FROM unchanged) = (SELECT COUNT(*) FROM read) AND NOT EXISTS ({taken})"
            ),
            writes: format!(", updated_written AS ({insert} ON CONFLICT (workspace, id) DO UPDATE SET {assigned})"),
        }
    }
}

/// The columns of the index over names.
const NAME: [user::Column; 2] = [user::Column::Workspace, user::Column::UserNameKey];

/// The rows of the document that is this parameter.
fn rows<E: EntityTrait>(parameter: usize) -> String {
    let table = E::default().table_name();
    format!("SELECT {} FROM json_populate_recordset(NULL::\"{table}\", ${parameter}::json)", columns::<E>())
}

fn insert<E: EntityTrait>(new: &str) -> String {
    let (table, columns) = (E::default().table_name(), columns::<E>());
    format!("INSERT INTO \"{table}\" ({columns}) SELECT {columns} FROM {new} WHERE EXISTS (SELECT FROM clear)")
}

/// The new rows for which there is a row with the same key.
fn looked_up<E: EntityTrait>(new: &str, key: &[E::Column], and: &str) -> String {
    let table = E::default().table_name();
    let same = key.iter().map(|column| format!("row.\"{0}\" = new.\"{0}\"", column.as_str()));
    let same = same.collect::<Vec<_>>().join(" AND ");
    format!(
        "SELECT FROM {new} AS new CROSS JOIN LATERAL (SELECT FROM \"{table}\" AS row WHERE {same}{and} LIMIT 1) AS found"
    )
}

fn columns<E: EntityTrait>() -> String {
    E::Column::iter().map(|column| format!("\"{}\"", column.as_str())).collect::<Vec<_>>().join(", ")
}
