//! What a replayed command leaves behind besides its effect: its operation's end in the ledger, its own sequence as settled,
//! and the end of its dead letter and of the replay's item. All in the transaction of the effect.

use protocol::message::operator::{DeadCause, DeadLetterState};
use protocol::replay::{ReplayEnd, Replayed};
use protocol::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::dead_error::{fingerprint, insert_error, storable};
use super::entity::{dead_letter, operation, replay_item};
use super::ledger::{State, dead_row, end_replay};
use super::settled::{CopyReason, SettledCopy, insert_copies};
use super::{Context, StoreError, column};
use crate::accepted::Accepted;

const DOING: &str = "ending a replayed command";

/// Ends replayed commands that were decided. An error of [`Class::Raced`](super::Class) says that the turn of one was taken.
pub(crate) async fn settle(
    transaction: &impl ConnectionTrait,
    commands: Vec<(&Accepted, operation::Model)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let copies: Vec<_> = commands.iter().map(|(accepted, _)| SettledCopy::of(accepted, CopyReason::Replay)).collect();
    for (accepted, row) in commands {
        let Some(replayed) = accepted.replayed else { continue };
        end_replay(transaction, &row, replayed.number).await?;
        let (end, state) = end_of(&row)?;
        let update = dead_letter::Entity::update_many()
            .col_expr(dead_letter::Column::State, Expr::value(state.as_str()))
            .col_expr(dead_letter::Column::Replay, Expr::value(number(replayed)))
            .filter(dead_letter::Column::Sequence.eq(column(replayed.letter)));
        update.exec(transaction).await.context(DOING)?;
        end_items(transaction, replayed, end, row.detail.as_deref()).await?;
    }
    if copies.is_empty() { Ok(()) } else { insert_copies(transaction, &copies, now).await }
}

/// Ends a replayed command that is dead again: the same dead letter, with one error more.
pub(super) async fn settle_dead(
    transaction: &impl ConnectionTrait,
    accepted: &Accepted,
    (cause, reason): (DeadCause, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(replayed) = accepted.replayed else { return Ok(()) };
    insert_copies(transaction, &[SettledCopy::of(accepted, CopyReason::Replay)], now).await?;
    end_replay(transaction, &dead_row(accepted, now), replayed.number).await?;
    let update = dead_letter::Entity::update_many()
        .col_expr(dead_letter::Column::State, Expr::value(DeadLetterState::Dead.as_str()))
        .col_expr(dead_letter::Column::Replay, Expr::value(number(replayed)))
        .col_expr(dead_letter::Column::Cause, Expr::value(cause.as_str()))
        .col_expr(dead_letter::Column::Reason, Expr::value(storable(reason)))
        .col_expr(dead_letter::Column::ErrorFingerprint, Expr::value(fingerprint(reason)))
        .col_expr(dead_letter::Column::DeadAt, Expr::value(now.as_millis()))
        .filter(dead_letter::Column::Sequence.eq(column(replayed.letter)));
    update.exec(transaction).await.context(DOING)?;
    insert_error(transaction, column(replayed.letter), number(replayed), reason, now).await?;
    end_items(transaction, replayed, ReplayEnd::Dead, Some(reason)).await
}

/// How a replay ended, by the ledger row of its operation.
pub(crate) fn end_of(row: &operation::Model) -> Result<(ReplayEnd, DeadLetterState), StoreError> {
    Ok(match State::of(row)? {
        State::Applied => (ReplayEnd::Applied, DeadLetterState::Applied),
        State::Rejected => (ReplayEnd::Rejected, DeadLetterState::Rejected),
        State::Superseded => (ReplayEnd::Superseded, DeadLetterState::Superseded),
        State::Dead => (ReplayEnd::Dead, DeadLetterState::Dead),
    })
}

async fn end_items(
    transaction: &impl ConnectionTrait,
    replayed: Replayed,
    end: ReplayEnd,
    detail: Option<&str>,
) -> Result<(), StoreError> {
    let update = replay_item::Entity::update_many()
        .col_expr(replay_item::Column::State, Expr::value(end.as_str()))
        .col_expr(replay_item::Column::Detail, Expr::value(detail.map(storable)))
        .filter(replay_item::Column::Letter.eq(column(replayed.letter)))
        .filter(replay_item::Column::Number.eq(number(replayed)))
        .filter(replay_item::Column::State.eq("sent"));
    update.exec(transaction).await.context(DOING)?;
    Ok(())
}

fn number(replayed: Replayed) -> i32 {
    i32::try_from(replayed.number).unwrap_or(i32::MAX)
}
