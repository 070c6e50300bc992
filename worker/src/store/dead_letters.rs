//! Dead letters as operators see them: chosen by a filter, counted by cause, in pages by id.

use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::operator::{
    CauseCount, DeadCause, DeadLetter, DeadLetterError, DeadLetterFilter, DeadLetterState, ErrorFilter, StateFilter,
};
use protocol::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, Func, Order};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::bulk_insert::one_of;
use super::entity::{dead_letter, dead_letter_error};
use super::{Context, StoreError, column, sequence};

const DOING: &str = "reading dead letters";
/// The most causes in one list.
const MAX_CAUSES: u64 = 50;

/// Everything of a dead letter but its bytes and headers.
#[derive(Debug, FromQueryResult)]
struct Row {
    sequence: i64,
    operation: Option<Uuid>,
    workspace: Option<String>,
    resource: Option<Uuid>,
    kind: Option<String>,
    subject: String,
    cause: String,
    reason: String,
    error_fingerprint: String,
    state: String,
    replay: i32,
    edited: bool,
    bytes: i64,
    dead_at: i64,
}

#[derive(Debug, FromQueryResult)]
struct Count {
    error_fingerprint: String,
    cause: String,
    letters: i64,
    first: i64,
    last: i64,
}

/// Which rows a filter means, seen from `now`.
pub(crate) fn condition(connection: &impl ConnectionTrait, filter: &DeadLetterFilter, now: Timestamp) -> Condition {
    use dead_letter::Column;
    let error = filter.error.as_ref().map(|error| match error {
        ErrorFilter::Cause(cause) => Column::Cause.eq(cause.as_str()),
        ErrorFilter::Text(text) => {
            let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            let pattern = sea_orm::sea_query::LikeExpr::new(format!("%{escaped}%")).escape('\\');
            Expr::expr(Func::lower(Expr::col(Column::Reason))).like(pattern)
        }
    });
    let state = match filter.state.unwrap_or(StateFilter::Is(DeadLetterState::Dead)) {
        StateFilter::Any => None,
        StateFilter::Is(state) => Some(Column::State.eq(state.as_str())),
    };
    let letters = filter.letters.iter().copied().map(column);
    Condition::all()
        .add_option((!filter.letters.is_empty()).then(|| one_of(connection, Column::Sequence, letters)))
        .add_option(filter.workspace.as_ref().map(|workspace| Column::Workspace.eq(workspace.as_str())))
        .add_option(filter.resource.map(|resource| Column::Resource.eq(resource.0)))
        .add_option(filter.kind.as_ref().map(|kind| Column::Kind.eq(kind.as_str())))
        .add_option(error)
        .add_option(filter.since.map(|since| Column::DeadAt.gte(since.from(now).as_millis())))
        .add_option(filter.fingerprint.as_ref().map(|same| Column::ErrorFingerprint.eq(same.as_str())))
        .add_option(state)
}

/// How many there are for each cause, the most frequent first, and how many in all.
pub(crate) async fn causes(
    connection: &impl ConnectionTrait,
    chosen: &Condition,
) -> Result<(u64, Vec<CauseCount>), StoreError> {
    use dead_letter::Column;
    let counts = dead_letter::Entity::find()
        .select_only()
        .columns([Column::ErrorFingerprint, Column::Cause])
        .expr_as(Expr::cust("COUNT(*)"), "letters")
        .expr_as(Expr::col(Column::DeadAt).min(), "first")
        .expr_as(Expr::col(Column::DeadAt).max(), "last")
        .filter(chosen.clone())
        .group_by(Column::ErrorFingerprint)
        .group_by(Column::Cause)
        .order_by_desc(Expr::cust("COUNT(*)"))
        .order_by_asc(Column::ErrorFingerprint);
    let counts = counts.into_model::<Count>().all(connection).await.context(DOING)?;
    let total = counts.iter().map(|count| sequence(count.letters)).sum();
    let mut causes = Vec::new();
    for count in counts.into_iter().take(usize::try_from(MAX_CAUSES).unwrap_or(usize::MAX)) {
        let same = Column::ErrorFingerprint.eq(count.error_fingerprint.as_str());
        let one = dead_letter::Entity::find().select_only().column(Column::Reason).filter(chosen.clone()).filter(same);
        let reason = one.limit(1).into_tuple::<String>().one(connection).await.context(DOING)?;
        causes.push(CauseCount {
            fingerprint: count.error_fingerprint,
            cause: cause(&count.cause)?,
            reason: reason.unwrap_or_default(),
            count: sequence(count.letters),
            first: Timestamp::from_millis(count.first),
            last: Timestamp::from_millis(count.last),
        });
    }
    Ok((total, causes))
}

/// Dead letters in the order of their ids, without their content.
pub(crate) async fn page(
    connection: &impl ConnectionTrait,
    chosen: Condition,
    order: Order,
    limit: u64,
) -> Result<Vec<DeadLetter>, StoreError> {
    use dead_letter::Column;
    let rows = dead_letter::Entity::find()
        .select_only()
        .columns([Column::Sequence, Column::Operation, Column::Workspace, Column::Resource, Column::Kind])
        .columns([Column::Subject, Column::Cause, Column::Reason, Column::ErrorFingerprint, Column::State])
        .columns([Column::Replay, Column::DeadAt])
        .expr_as(Column::Edited.is_not_null(), "edited")
        .expr_as(Expr::cust("CAST(length(payload) AS bigint)"), "bytes")
        .filter(chosen)
        .order_by(Column::Sequence, order)
        .limit(limit);
    let rows = rows.into_model::<Row>().all(connection).await.context(DOING)?;
    rows.into_iter().map(read).collect()
}

/// One dead letter with its content.
pub(crate) async fn whole(
    connection: &impl ConnectionTrait,
    letter: u64,
) -> Result<Option<dead_letter::Model>, StoreError> {
    dead_letter::Entity::find_by_id(column(letter)).one(connection).await.context(DOING)
}

/// Each attempt's error, the first one first.
pub(crate) async fn errors(connection: &impl ConnectionTrait, letter: u64) -> Result<Vec<DeadLetterError>, StoreError> {
    let rows = dead_letter_error::Entity::find()
        .filter(dead_letter_error::Column::Letter.eq(column(letter)))
        .order_by_asc(dead_letter_error::Column::Replay);
    let rows = rows.all(connection).await.context(DOING)?.into_iter();
    let errors = rows.map(|row| DeadLetterError {
        replay: u32::try_from(row.replay).unwrap_or(0),
        at: Timestamp::from_millis(row.at),
        reason: row.reason,
    });
    Ok(errors.collect())
}

/// Gives up those that are dead; how many.
pub(crate) async fn discard(connection: &impl ConnectionTrait, chosen: Condition) -> Result<u64, StoreError> {
    let update = dead_letter::Entity::update_many()
        .col_expr(dead_letter::Column::State, Expr::value(DeadLetterState::Discarded.as_str()))
        .filter(chosen)
        .filter(dead_letter::Column::State.eq(DeadLetterState::Dead.as_str()));
    Ok(update.exec(connection).await.context("discarding dead letters")?.rows_affected)
}

/// Replaces what a replay would publish, of one that is dead. False if it is not any more.
pub(crate) async fn edit(connection: &impl ConnectionTrait, letter: u64, bytes: Vec<u8>) -> Result<bool, StoreError> {
    let update = dead_letter::Entity::update_many()
        .col_expr(dead_letter::Column::Edited, Expr::value(bytes))
        .filter(dead_letter::Column::Sequence.eq(column(letter)))
        .filter(dead_letter::Column::State.eq(DeadLetterState::Dead.as_str()));
    Ok(update.exec(connection).await.context("editing a dead letter")?.rows_affected == 1)
}

/// The headers of a message, as they are stored.
pub(crate) fn headers(stored: &serde_json::Value) -> Vec<(String, String)> {
    serde_json::from_value(stored.clone()).unwrap_or_default()
}

fn read(row: Row) -> Result<DeadLetter, StoreError> {
    let state = DeadLetterState::of(&row.state).ok_or_else(unreadable)?;
    Ok(DeadLetter {
        sequence: sequence(row.sequence),
        operation: row.operation,
        workspace: row.workspace.map(WorkspaceId::try_from).transpose().map_err(|_| unreadable())?,
        resource: row.resource.map(ResourceId),
        kind: row.kind,
        subject: row.subject,
        cause: cause(&row.cause)?,
        reason: row.reason,
        fingerprint: row.error_fingerprint,
        state,
        replays: u32::try_from(row.replay).unwrap_or(0),
        edited: row.edited,
        bytes: sequence(row.bytes),
        dead_at: Timestamp::from_millis(row.dead_at),
    })
}

fn cause(word: &str) -> Result<DeadCause, StoreError> {
    DeadCause::of(word).ok_or_else(unreadable)
}

fn unreadable() -> StoreError {
    StoreError::unreadable(DOING, "a row has a word that this build does not know")
}
