//! Dead letters: list.

use protocol::message::operator::{DeadLetter, DeadLetterList, DeadLetters};
use protocol::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{EntityTrait, PaginatorTrait, QueryOrder, QuerySelect};

use super::Failure;
use crate::store::entity::dead_letter;
use crate::store::{Context, Store, sequence};

/// The most dead letters in one list.
const MAX_DEAD_LETTERS: u64 = 100;

/// The newest dead letters.
pub(super) async fn list(store: &Store, _: &DeadLetterList, _: Timestamp) -> Result<DeadLetters, Failure> {
    let doing = "listing dead letters";
    let total = dead_letter::Entity::find().count(store.reader()).await.context(doing)?;
    let rows = dead_letter::Entity::find()
        .select_only()
        .columns([dead_letter::Column::Sequence, dead_letter::Column::Subject, dead_letter::Column::Reason])
        .expr_as(Expr::cust("CAST(length(payload) AS bigint)"), "bytes")
        .column(dead_letter::Column::DeadAt)
        .order_by_desc(dead_letter::Column::DeadAt)
        .order_by_desc(dead_letter::Column::Sequence)
        .limit(MAX_DEAD_LETTERS)
        .into_tuple::<(i64, String, String, i64, i64)>();
    let dead_letters = rows.all(store.reader()).await.context(doing)?.into_iter();
    let dead_letters = dead_letters.map(|(number, subject, reason, bytes, dead_at)| DeadLetter {
        sequence: sequence(number),
        subject,
        reason,
        bytes: u64::try_from(bytes).unwrap_or(0),
        dead_at: Timestamp::from_millis(dead_at),
    });
    Ok(DeadLetters { total, dead_letters: dead_letters.collect() })
}
