//! Replays and their items: planned, begun, leased by one worker at a time, ended.

use std::collections::BTreeMap;

use protocol::message::operator::{ActedBy, DeadLetterState, Prediction, Replay, ReplayItem};
use protocol::replay::{ReplayEnd, ReplayState};
use protocol::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};
use uuid::Uuid;

use super::bulk_insert;
use super::entity::{dead_letter, replay, replay_item};
use super::{Context, StoreError, column, sequence};

const DOING: &str = "reading replays";
const WRITING: &str = "writing replays";
/// The state of an item that was not published yet.
pub(crate) const WAITING: &str = "waiting";
/// The state of an item that was published and has not ended.
pub(crate) const SENT: &str = "sent";
/// The newest replays in a list.
const MAX_REPLAYS: u64 = 100;

/// A dead letter that a replay is to have.
#[derive(Debug, Clone)]
pub(crate) struct PlannedItem {
    pub(crate) letter: u64,
    pub(crate) number: u32,
    pub(crate) operation: Option<Uuid>,
    pub(crate) prediction: Option<Prediction>,
}

/// Adds a planned replay with its items. Those that it cannot publish are skipped from the start.
pub(crate) async fn insert(
    transaction: &impl ConnectionTrait,
    (id, filter, forced): (Uuid, String, bool),
    by: &ActedBy,
    items: Vec<PlannedItem>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = replay::Model {
        id,
        state: ReplayState::Planned.as_str().to_owned(),
        filter,
        forced,
        rate: None,
        max_failures: None,
        actor: by.actor.clone(),
        reason: by.reason.clone(),
        created_at: now.as_millis(),
        started_at: None,
        ended_at: None,
        note: None,
        lease_holder: None,
        lease_until: 0,
    };
    let insert = replay::Entity::insert(row.into_active_model());
    insert.exec_without_returning(transaction).await.context(WRITING)?;
    let rows = items.into_iter().map(|item| {
        let skipped = item.prediction.as_ref().filter(|prediction| prediction.end == Some(ReplayEnd::Skipped));
        let (state, detail) = match skipped {
            Some(Prediction { detail, .. }) => (ReplayEnd::Skipped.as_str(), detail.clone()),
            None => (WAITING, None),
        };
        let end = item.prediction.as_ref().map(|prediction| prediction.end.map_or("unknown", ReplayEnd::as_str));
        replay_item::Model {
            replay: id,
            letter: column(item.letter),
            number: i32::try_from(item.number).unwrap_or(i32::MAX),
            operation: item.operation,
            predicted: end.map(str::to_owned),
            predicted_detail: item.prediction.and_then(|prediction| prediction.detail),
            state: state.to_owned(),
            detail,
            attempt: 0,
            sent_at: None,
            sequence: None,
        }
    });
    bulk_insert::insert::<replay_item::Entity>(transaction, rows.collect(), None, WRITING).await?;
    Ok(())
}

/// A replay's row, under its lock.
pub(crate) async fn find_locked(
    transaction: &impl ConnectionTrait,
    id: Uuid,
) -> Result<Option<replay::Model>, StoreError> {
    replay::Entity::find_by_id(id).lock_exclusive().one(transaction).await.context(DOING)
}

/// A replay with its counts; with its items if `items`.
pub(crate) async fn show(
    connection: &impl ConnectionTrait,
    id: Uuid,
    items: bool,
) -> Result<Option<Replay>, StoreError> {
    let Some(row) = replay::Entity::find_by_id(id).one(connection).await.context(DOING)? else { return Ok(None) };
    let mut replay = counted(connection, row).await?;
    if items {
        let rows = replay_item::Entity::find()
            .filter(replay_item::Column::Replay.eq(id))
            .order_by_asc(replay_item::Column::Letter);
        replay.items = rows.all(connection).await.context(DOING)?.into_iter().map(read_item).collect();
    }
    Ok(Some(replay))
}

/// The newest replays with their counts.
pub(crate) async fn list(connection: &impl ConnectionTrait) -> Result<Vec<Replay>, StoreError> {
    let rows = replay::Entity::find().order_by_desc(replay::Column::Id).limit(MAX_REPLAYS);
    let mut replays = Vec::new();
    for row in rows.all(connection).await.context(DOING)? {
        replays.push(counted(connection, row).await?);
    }
    Ok(replays)
}

/// How many items of a replay are in each state.
pub(crate) async fn counts(connection: &impl ConnectionTrait, id: Uuid) -> Result<BTreeMap<String, u64>, StoreError> {
    let counts = replay_item::Entity::find()
        .select_only()
        .column(replay_item::Column::State)
        .expr_as(Expr::col(replay_item::Column::Letter).count(), "items")
        .filter(replay_item::Column::Replay.eq(id))
        .group_by(replay_item::Column::State);
    let counts = counts.into_tuple::<(String, i64)>().all(connection).await.context(DOING)?;
    Ok(counts.into_iter().map(|(state, items)| (state, sequence(items))).collect())
}

async fn counted(connection: &impl ConnectionTrait, row: replay::Model) -> Result<Replay, StoreError> {
    let counts = counts(connection, row.id).await?;
    let count = |state: &str| counts.get(state).copied().unwrap_or(0);
    let ends = ReplayEnd::ALL.into_iter().map(|end| (end, count(end.as_str()))).filter(|(_, count)| *count > 0);
    let number = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok());
    Ok(Replay {
        id: row.id,
        state: state_of(&row)?,
        filter: row.filter,
        force: row.forced,
        rate: number(row.rate),
        max_failures: number(row.max_failures),
        actor: row.actor,
        reason: row.reason,
        created_at: Timestamp::from_millis(row.created_at),
        started_at: row.started_at.map(Timestamp::from_millis),
        ended_at: row.ended_at.map(Timestamp::from_millis),
        note: row.note,
        total: counts.values().sum(),
        waiting: count(WAITING),
        in_log: count(SENT),
        ends: ends.collect(),
        items: Vec::new(),
    })
}

/// Where a replay stands.
pub(crate) fn state_of(row: &replay::Model) -> Result<ReplayState, StoreError> {
    let unreadable = || StoreError::unreadable(DOING, "a row has a state that this build does not know");
    ReplayState::ALL.into_iter().find(|state| state.as_str() == row.state).ok_or_else(unreadable)
}

fn read_item(row: replay_item::Model) -> ReplayItem {
    let end = |word: &str| ReplayEnd::ALL.into_iter().find(|end| end.as_str() == word);
    let prediction = row.predicted.map(|word| Prediction { end: end(&word), detail: row.predicted_detail.clone() });
    ReplayItem {
        letter: sequence(row.letter),
        operation: row.operation,
        prediction,
        state: row.state,
        detail: row.detail,
    }
}

/// Whether any replay has something to be done.
pub(crate) async fn has_work(connection: &impl ConnectionTrait) -> Result<bool, StoreError> {
    let one = replay::Entity::find().select_only().column(replay::Column::Id).filter(has_work_now()).limit(1);
    Ok(one.into_tuple::<Uuid>().one(connection).await.context(DOING)?.is_some())
}

/// Replays that publish, or of which something is in the log.
fn has_work_now() -> Condition {
    let in_log = replay_item::Entity::find()
        .select_only()
        .column(replay_item::Column::Replay)
        .filter(replay_item::Column::State.eq(SENT))
        .filter(
            Expr::col((replay_item::Entity, replay_item::Column::Replay))
                .eq(Expr::col((replay::Entity, replay::Column::Id))),
        );
    let halted = [ReplayState::Paused.as_str(), ReplayState::Stopped.as_str()];
    let halted = Condition::all().add(replay::Column::State.is_in(halted)).add(Expr::exists(in_log.into_query()));
    Condition::any().add(replay::Column::State.eq(ReplayState::Running.as_str())).add(halted)
}

/// Takes or renews the lease on every replay that has something to do and that no other worker holds. Those that `holder`
/// has now, the oldest first.
pub(crate) async fn lease(
    transaction: &impl ConnectionTrait,
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<replay::Model>, StoreError> {
    let has_work = has_work_now();
    let free = Condition::any()
        .add(replay::Column::LeaseUntil.lt(now.as_millis()))
        .add(replay::Column::LeaseHolder.eq(holder));
    let update = replay::Entity::update_many()
        .col_expr(replay::Column::LeaseHolder, Expr::value(holder))
        .col_expr(replay::Column::LeaseUntil, Expr::value(until.as_millis()))
        .filter(has_work.clone())
        .filter(free);
    if update.exec(transaction).await.context("leasing replays")?.rows_affected == 0 {
        return Ok(Vec::new());
    }
    let mine = replay::Entity::find()
        .filter(has_work)
        .filter(replay::Column::LeaseHolder.eq(holder))
        .filter(replay::Column::LeaseUntil.eq(until.as_millis()))
        .order_by_asc(replay::Column::Id);
    mine.all(transaction).await.context(DOING)
}

/// Begins a planned replay. False if it is not planned any more.
pub(crate) async fn start(
    transaction: &impl ConnectionTrait,
    id: Uuid,
    (rate, max_failures): (Option<u32>, Option<u32>),
    by: &ActedBy,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let number = |number: Option<u32>| number.map(|number| i32::try_from(number).unwrap_or(i32::MAX));
    let mut update = replay::Entity::update_many()
        .col_expr(replay::Column::State, Expr::value(ReplayState::Running.as_str()))
        .col_expr(replay::Column::Rate, Expr::value(number(rate)))
        .col_expr(replay::Column::MaxFailures, Expr::value(number(max_failures)))
        .col_expr(replay::Column::Actor, Expr::value(by.actor.as_str()))
        .col_expr(replay::Column::StartedAt, Expr::value(now.as_millis()))
        .filter(replay::Column::Id.eq(id))
        .filter(replay::Column::State.eq(ReplayState::Planned.as_str()));
    if let Some(reason) = &by.reason {
        update = update.col_expr(replay::Column::Reason, Expr::value(reason.as_str()));
    }
    Ok(update.exec(transaction).await.context(WRITING)?.rows_affected == 1)
}

/// Changes where a replay stands. False if it stood there.
pub(crate) async fn change(
    transaction: &impl ConnectionTrait,
    id: Uuid,
    state: ReplayState,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let ended = (state == ReplayState::Stopped).then_some(now.as_millis());
    let update = replay::Entity::update_many()
        .col_expr(replay::Column::State, Expr::value(state.as_str()))
        .col_expr(replay::Column::EndedAt, Expr::value(ended))
        .filter(replay::Column::Id.eq(id))
        .filter(replay::Column::State.ne(state.as_str()));
    Ok(update.exec(transaction).await.context(WRITING)?.rows_affected == 1)
}

/// Ends a running replay. False if it does not run any more.
pub(crate) async fn end(
    transaction: &impl ConnectionTrait,
    id: Uuid,
    state: ReplayState,
    note: Option<String>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let update = replay::Entity::update_many()
        .col_expr(replay::Column::State, Expr::value(state.as_str()))
        .col_expr(replay::Column::Note, Expr::value(note))
        .col_expr(replay::Column::EndedAt, Expr::value(now.as_millis()))
        .filter(replay::Column::Id.eq(id))
        .filter(replay::Column::State.eq(ReplayState::Running.as_str()));
    Ok(update.exec(transaction).await.context(WRITING)?.rows_affected == 1)
}

/// The next items of a replay in one state, in the order in which the log accepted them first. Of those that were sent, only
/// the ones sent before `sent_before`.
pub(crate) async fn items(
    connection: &impl ConnectionTrait,
    replay: Uuid,
    state: &str,
    sent_before: Option<Timestamp>,
    limit: u64,
) -> Result<Vec<replay_item::Model>, StoreError> {
    let mut rows = replay_item::Entity::find()
        .filter(replay_item::Column::Replay.eq(replay))
        .filter(replay_item::Column::State.eq(state));
    if let Some(time) = sent_before {
        rows = rows.filter(replay_item::Column::SentAt.lt(time.as_millis()));
    }
    rows.order_by_asc(replay_item::Column::Letter).limit(limit).all(connection).await.context(DOING)
}

/// Reserves an item's dead letter for this replay, if it is still dead and its turn. Otherwise says in words why not.
pub(crate) async fn reserve(
    transaction: &impl ConnectionTrait,
    item: &replay_item::Model,
) -> Result<Result<(), String>, StoreError> {
    let update = dead_letter::Entity::update_many()
        .col_expr(dead_letter::Column::State, Expr::value(DeadLetterState::Replaying.as_str()))
        .filter(dead_letter::Column::Sequence.eq(item.letter))
        .filter(dead_letter::Column::State.eq(DeadLetterState::Dead.as_str()))
        .filter(dead_letter::Column::Replay.eq(item.number.saturating_sub(1)));
    if update.exec(transaction).await.context(WRITING)?.rows_affected == 1 {
        return Ok(Ok(()));
    }
    let found = dead_letter::Entity::find_by_id(item.letter).one(transaction).await.context(DOING)?;
    Ok(Err(match found {
        None => "there is no such dead letter any more".to_owned(),
        Some(row) if row.state == DeadLetterState::Dead.as_str() => {
            "another replay has tried it since this one was planned".to_owned()
        }
        Some(row) => format!("it is no dead letter any more: {}", row.state),
    }))
}

/// Gives back what was reserved for an item: it can be replayed, edited and discarded again.
async fn release(connection: &impl ConnectionTrait, item: &replay_item::Model) -> Result<(), StoreError> {
    let update = dead_letter::Entity::update_many()
        .col_expr(dead_letter::Column::State, Expr::value(DeadLetterState::Dead.as_str()))
        .filter(dead_letter::Column::Sequence.eq(item.letter))
        .filter(dead_letter::Column::State.eq(DeadLetterState::Replaying.as_str()))
        .filter(dead_letter::Column::Replay.eq(item.number.saturating_sub(1)));
    update.exec(connection).await.context(WRITING)?;
    Ok(())
}

/// An item that was to be published and is not in the log waits again.
pub(crate) async fn wait_again(connection: &impl ConnectionTrait, item: &replay_item::Model) -> Result<(), StoreError> {
    release(connection, item).await?;
    let update = of_item(item)
        .col_expr(replay_item::Column::State, Expr::value(WAITING))
        .filter(replay_item::Column::State.eq(SENT));
    update.exec(connection).await.context(WRITING)?;
    Ok(())
}

/// Ends the items of a dead letter that wait: what they were planned with is not what it is now.
pub(crate) async fn skip_waiting(transaction: &impl ConnectionTrait, letter: u64, why: &str) -> Result<(), StoreError> {
    let update = replay_item::Entity::update_many()
        .col_expr(replay_item::Column::State, Expr::value(ReplayEnd::Skipped.as_str()))
        .col_expr(replay_item::Column::Detail, Expr::value(why))
        .filter(replay_item::Column::Letter.eq(column(letter)))
        .filter(replay_item::Column::State.eq(WAITING));
    update.exec(transaction).await.context(WRITING)?;
    Ok(())
}

/// Notes that an item is being published once more.
pub(crate) async fn sending(
    transaction: &impl ConnectionTrait,
    item: &replay_item::Model,
    now: Timestamp,
) -> Result<(), StoreError> {
    let update = of_item(item)
        .col_expr(replay_item::Column::State, Expr::value(SENT))
        .col_expr(replay_item::Column::Attempt, Expr::value(item.attempt.saturating_add(1)))
        .col_expr(replay_item::Column::SentAt, Expr::value(now.as_millis()))
        .col_expr(replay_item::Column::Sequence, Expr::value(Option::<i64>::None))
        .filter(replay_item::Column::State.eq(item.state.as_str()));
    update.exec(transaction).await.context(WRITING)?;
    Ok(())
}

/// Notes under which number the log has an item.
pub(crate) async fn sent(
    connection: &impl ConnectionTrait,
    item: &replay_item::Model,
    number: u64,
) -> Result<(), StoreError> {
    let update = of_item(item).col_expr(replay_item::Column::Sequence, Expr::value(column(number)));
    update.exec(connection).await.context(WRITING)?;
    Ok(())
}

/// Looks at an item again later: the log has it.
pub(crate) async fn seen(
    connection: &impl ConnectionTrait,
    item: &replay_item::Model,
    now: Timestamp,
) -> Result<(), StoreError> {
    let update = of_item(item).col_expr(replay_item::Column::SentAt, Expr::value(now.as_millis()));
    update.exec(connection).await.context(WRITING)?;
    Ok(())
}

/// Ends an item that is not published, and gives back its dead letter if that was reserved.
pub(crate) async fn skip(
    transaction: &impl ConnectionTrait,
    item: &replay_item::Model,
    why: String,
) -> Result<(), StoreError> {
    if item.state == SENT {
        release(transaction, item).await?;
    }
    let update = of_item(item)
        .col_expr(replay_item::Column::State, Expr::value(ReplayEnd::Skipped.as_str()))
        .col_expr(replay_item::Column::Detail, Expr::value(why))
        .filter(replay_item::Column::State.eq(item.state.as_str()));
    update.exec(transaction).await.context(WRITING)?;
    Ok(())
}

fn of_item(item: &replay_item::Model) -> sea_orm::UpdateMany<replay_item::Entity> {
    replay_item::Entity::update_many()
        .filter(replay_item::Column::Replay.eq(item.replay))
        .filter(replay_item::Column::Letter.eq(item.letter))
}
