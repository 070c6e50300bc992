//! Creates whose answers went out to their clients: a repeated one is refused, instead of being answered again.

use std::time::Duration;

use protocol::id::OperationId;
use protocol::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::bulk_insert::{insert, one_of};
use super::entity::answered_create;
use super::{Context, MAX_ROWS, Store, StoreError, commit, to_u64, with_timeout};

/// How long they are remembered: longer than a create can be repeated.
const KEPT: Duration = Duration::from_hours(25);

impl Store {
    /// Remembers creates whose answers went out. Idempotent.
    pub async fn record_answered(&self, operations: &[OperationId], now: Timestamp) -> Result<(), StoreError> {
        let doing = "recording answered creates";
        let mut operations: Vec<Uuid> = operations.iter().map(|operation| operation.0).collect();
        operations.sort_unstable();
        operations.dedup();
        let row = |operation| answered_create::Model { operation, answered_at: now.as_millis() };
        let rows: Vec<_> = operations.into_iter().map(row).collect();
        with_timeout(doing, async {
            let transaction = self.begin().await?;
            let known = OnConflict::column(answered_create::Column::Operation).do_nothing().to_owned();
            insert::<answered_create::Entity>(&transaction, rows, Some(known), doing).await?;
            commit(transaction).await
        })
        .await
    }

    /// Forgets answered creates that cannot be repeated any more, at most 1,000 of them. Returns how many.
    pub async fn forget_answered(&self, now: Timestamp) -> Result<u64, StoreError> {
        use answered_create::Column::{AnsweredAt, Operation};
        let doing = "forgetting answered creates";
        let most = to_u64(MAX_ROWS);
        with_timeout(doing, async {
            let transaction = self.begin().await?;
            let old = answered_create::Entity::find()
                .select_only()
                .column(Operation)
                .filter(AnsweredAt.lt(now.before(KEPT).as_millis()))
                .limit(most)
                .into_tuple::<Uuid>();
            let old = old.all(&transaction).await.context(doing)?;
            let delete = answered_create::Entity::delete_many().filter(one_of(&transaction, Operation, old));
            let deleted = delete.exec(&transaction).await.context(doing)?.rows_affected;
            commit(transaction).await?;
            Ok(deleted)
        })
        .await
    }
}

/// Those of the creates whose answers went out.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    operations: &[OperationId],
) -> Result<Vec<OperationId>, StoreError> {
    if operations.is_empty() {
        return Ok(Vec::new());
    }
    let these = one_of(connection, answered_create::Column::Operation, operations.iter().map(|operation| operation.0));
    let rows = answered_create::Entity::find().filter(these).all(connection).await;
    Ok(rows.context("reading answered creates")?.into_iter().map(|row| OperationId(row.operation)).collect())
}
