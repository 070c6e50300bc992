//! The ledger: one row for each operation that ended.

use std::collections::BTreeSet;

use protocol::message::outcome::Outcome;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::resource::Version;
use protocol::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, Query, SelectStatement};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, Iterable, QueryFilter, Statement, Value,
};
use uuid::Uuid;

use super::bulk_insert::{self, one_of};
use super::entity::{log_numbering, operation};
use super::lookup::{Lock, document_query};
use super::{Context, Store, StoreError, column, with_timeout};
use crate::accepted::Accepted;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Applied,
    Rejected,
    Superseded,
    Dead,
}

impl Store {
    /// Whether a command has ended, or a replayed one this time.
    pub(crate) async fn knows(&self, accepted: &Accepted) -> Result<bool, StoreError> {
        let rows = with_timeout("reading the ledger", find(self.reader(), &[accepted.envelope.operation.0])).await?;
        Ok(rows.iter().any(|row| !is_next_replay(row, accepted)))
    }
}

/// The rows of those operations that the ledger knows.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    operations: &[Uuid],
) -> Result<Vec<operation::Model>, StoreError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let known = one_of(connection, operation::Column::Operation, operations.iter().copied());
    operation::Entity::find().filter(known).all(connection).await.context("reading the ledger")
}

/// The rows of creates of these requests, by their fingerprints.
pub(crate) async fn find_creates(
    connection: &impl ConnectionTrait,
    fingerprints: &BTreeSet<String>,
) -> Result<Vec<operation::Model>, StoreError> {
    if fingerprints.is_empty() {
        return Ok(Vec::new());
    }
    let same = one_of(connection, operation::Column::Fingerprint, fingerprints.iter().cloned());
    // The condition of the index, word for word.
    let creates = operation::Entity::find().filter(Expr::cust("kind = 'create'")).filter(same);
    creates.all(connection).await.context("reading creates that were held")
}

/// What a batch begins with: how often the log was renumbered, and the rows of those operations and sequences that the
/// ledger knows. A row that is named in both ways may come twice.
pub(crate) async fn claim(
    transaction: &impl ConnectionTrait,
    operations: &[Uuid],
    sequences: &[i64],
) -> Result<(u32, Vec<operation::Model>), StoreError> {
    let doing = "reading the ledger";
    let found = match transaction.get_database_backend() {
        DbBackend::Postgres => transaction.query_all_raw(claim_by_document(operations, sequences)).await,
        _ => transaction.query_all(&claim_by_list(operations, sequences)).await,
    };
    let (mut epoch, mut rows) = (None, Vec::new());
    for row in found.context(doing)? {
        epoch = row.try_get::<Option<i32>>("", "epoch").context(doing)?;
        if row.try_get::<Option<Uuid>>("", "operation").context(doing)?.is_some() {
            rows.push(operation::Model::from_query_result(&row, "").context(doing)?);
        }
    }
    Ok((epoch.and_then(|epoch| u32::try_from(epoch).ok()).unwrap_or(0), rows))
}

fn claim_by_document(operations: &[Uuid], sequences: &[i64]) -> Statement {
    use operation::Column::{Operation, Sequence};
    let columns: Vec<_> = operation::Column::iter().collect();
    let query = |key, keys: &[[Value; 1]], parameter| {
        document_query::<operation::Entity, 1>(&columns, [key], keys, Lock::None, parameter)
    };
    let operations: Vec<_> = operations.iter().map(|operation| [(*operation).into()]).collect();
    let sequences: Vec<_> = sequences.iter().map(|sequence| [(*sequence).into()]).collect();
    let (by_operation, operations) = query(Operation, &operations, 1);
    let (by_sequence, sequences) = query(Sequence, &sequences, 2);
    let sql = format!(
        "SELECT numbering.epoch, known.* FROM (SELECT MAX(epoch) AS epoch FROM log_numbering) AS numbering \
         LEFT JOIN ({by_operation} UNION ALL {by_sequence}) AS known ON TRUE"
    );
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [operations, sequences])
}

fn claim_by_list(operations: &[Uuid], sequences: &[i64]) -> SelectStatement {
    let mut numbering = Query::select();
    numbering.expr_as(Expr::col(log_numbering::Column::Epoch).max(), "epoch").from(log_numbering::Entity);
    let mut known = operation::Column::Operation.is_in(operations.iter().copied());
    if !sequences.is_empty() {
        known = known.or(operation::Column::Sequence.is_in(sequences.iter().copied()));
    }
    let mut query = Query::select();
    query
        .column(("numbering", "epoch"))
        .columns(operation::Column::iter().map(|column| (operation::Entity, column)))
        .from_subquery(numbering, "numbering")
        .left_join(operation::Entity, known);
    query
}

/// Inserts plainly: a conflict says that another worker was faster.
pub(crate) async fn insert(
    transaction: &impl ConnectionTrait,
    mut rows: Vec<operation::Model>,
) -> Result<(), StoreError> {
    rows.sort_unstable_by_key(|row| row.operation);
    bulk_insert::insert::<operation::Entity>(transaction, rows, None, "writing the ledger").await?;
    Ok(())
}

/// The row of an operation that ended with an outcome. One that `yielded` was not heard on access.
pub(crate) fn row_of(accepted: &Accepted, outcome: &Outcome, yielded: bool, now: Timestamp) -> operation::Model {
    let state = match outcome {
        Outcome::Rejected { .. } | Outcome::Duplicate { .. } => State::Rejected,
        Outcome::Superseded => State::Superseded,
        Outcome::Created { .. } | Outcome::Updated { .. } | Outcome::UpdatedWithoutBody { .. } | Outcome::Deleted => {
            State::Applied
        }
    };
    operation::Model { yielded, ..row(accepted, state, outcome, now) }
}

/// Whether it is the turn of a replayed command: its operation is dead, and was replayed so often before.
pub(crate) fn is_next_replay(row: &operation::Model, accepted: &Accepted) -> bool {
    let next = u32::try_from(row.replay).ok().and_then(|replays| replays.checked_add(1));
    row.state == State::Dead.as_str() && accepted.replayed.is_some_and(|replayed| Some(replayed.number) == next)
}

/// The row of a replayed command, with the later operation that superseded it, if one did.
pub(crate) fn superseded(row: operation::Model, newer: Option<u64>) -> operation::Model {
    let said = newer.map(|newer| format!("message {newer}, which was accepted later, has changed the resource"));
    operation::Model { detail: said.or(row.detail), ..row }
}

/// Ends a replay: the row becomes what this one says, if its turn is still there.
pub(crate) async fn end_replay(
    transaction: &impl ConnectionTrait,
    row: &operation::Model,
    number: u32,
) -> Result<(), StoreError> {
    use operation::Column;
    let doing = "writing the ledger";
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let update = operation::Entity::update_many()
        .col_expr(Column::State, Expr::value(row.state.clone()))
        .col_expr(Column::Status, Expr::value(row.status))
        .col_expr(Column::ScimType, Expr::value(row.scim_type.clone()))
        .col_expr(Column::Detail, Expr::value(row.detail.clone()))
        .col_expr(Column::Version, Expr::value(row.version))
        .col_expr(Column::AppliedAt, Expr::value(row.applied_at))
        .col_expr(Column::DuplicateOf, Expr::value(row.duplicate_of))
        .col_expr(Column::Yielded, Expr::value(row.yielded))
        .col_expr(Column::Replay, Expr::value(number))
        .filter(Column::Operation.eq(row.operation))
        .filter(Column::State.eq(State::Dead.as_str()))
        .filter(Column::Replay.eq(number.saturating_sub(1)));
    let updated = update.exec(transaction).await.context(doing)?;
    if updated.rows_affected == 1 { Ok(()) } else { Err(StoreError::lost_race(doing)) }
}

/// The row of an operation that is a dead letter.
pub(crate) fn dead_row(accepted: &Accepted, now: Timestamp) -> operation::Model {
    row(accepted, State::Dead, &Outcome::dead_letter(accepted.sequence), now)
}

fn row(accepted: &Accepted, state: State, outcome: &Outcome, now: Timestamp) -> operation::Model {
    let envelope = &accepted.envelope;
    let refused = |error: &ScimError| (i16::try_from(error.status).unwrap_or(i16::MAX), None, Some(error.clone()));
    let (status, version, error) = match outcome {
        Outcome::Created { resource } => (201, Some(resource.meta.version), None),
        Outcome::Updated { resource } => (200, Some(resource.meta.version), None),
        Outcome::UpdatedWithoutBody { version } => (204, Some(*version), None),
        Outcome::Deleted => (204, None, None),
        Outcome::Rejected { error } => refused(error),
        Outcome::Superseded => refused(&ScimError::superseded()),
        Outcome::Duplicate { .. } => refused(&ScimError::duplicate(envelope.resource_type)),
    };
    let duplicate_of = if let Outcome::Duplicate { operation, .. } = outcome { Some(operation.0) } else { None };
    operation::Model {
        operation: envelope.operation.0,
        workspace: envelope.workspace.to_string(),
        resource_type: envelope.resource_type.name().to_owned(),
        resource: envelope.resource.0,
        kind: envelope.body.kind().to_owned(),
        lane: accepted.lane.as_str().to_owned(),
        sequence: column(accepted.sequence),
        token: envelope.token.as_ref().map(ToString::to_string),
        fingerprint: envelope.fingerprint.0.clone(),
        state: state.as_str().to_owned(),
        status,
        scim_type: error.as_ref().and_then(|error| error.scim_type).map(|keyword| keyword.as_str().to_owned()),
        detail: error.map(|error| error.detail),
        version: version.map(Version::number),
        accepted_at: accepted.accepted_at.as_millis(),
        applied_at: now.as_millis(),
        replay: 0,
        ingress: Some(envelope.ingress.to_string()),
        duplicate_of,
        yielded: false,
    }
}

/// The refusal that a row remembers.
pub(crate) fn error_of(row: &operation::Model) -> ScimError {
    ScimError {
        status: u16::try_from(row.status).unwrap_or(500),
        scim_type: row.scim_type.as_deref().and_then(ScimType::from_keyword),
        detail: row.detail.clone().unwrap_or_default(),
    }
}

impl State {
    /// The word in SQL.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Rejected => "rejected",
            Self::Superseded => "superseded",
            Self::Dead => "dead",
        }
    }

    /// Reads the word back.
    pub(crate) fn of(row: &operation::Model) -> Result<Self, StoreError> {
        let known = [Self::Applied, Self::Rejected, Self::Superseded, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == row.state);
        known.ok_or_else(|| {
            StoreError::unreadable("reading the ledger", "a row has a state that this build does not know")
        })
    }
}
