//! Operations that may crash workers: each attempt is committed before it is made.
//!
//! The whole worker waits meanwhile, so these transactions wait for locks only as long as a batch does.

use protocol::id::OperationId;
use protocol::time::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set};
use uuid::Uuid;

use super::entity::attempt;
use super::{Context, Store, StoreError, commit, with_timeout};

impl Store {
    /// Commits that an operation is about to be tried alone; returns how many times it was, from 1.
    pub async fn record_attempt(&self, operation: OperationId, now: Timestamp) -> Result<u32, StoreError> {
        let doing = "recording an attempt";
        with_timeout(doing, async {
            let transaction = self.begin_batch().await?;
            let last = attempt::Entity::find()
                .select_only()
                .column_as(attempt::Column::N.max(), "max")
                .filter(attempt::Column::Operation.eq(operation.0))
                .into_tuple::<Option<i32>>();
            let n = last.one(&transaction).await.context(doing)?.flatten().unwrap_or(0).saturating_add(1);
            let row = attempt::ActiveModel { operation: Set(operation.0), n: Set(n), started_at: Set(now.as_millis()) };
            attempt::Entity::insert(row).exec_without_returning(&transaction).await.context(doing)?;
            commit(transaction).await?;
            Ok(u32::try_from(n).unwrap_or(u32::MAX))
        })
        .await
    }

    /// Forgets an operation's attempts: it ended.
    pub async fn clear_attempts(&self, operation: OperationId) -> Result<(), StoreError> {
        let doing = "forgetting attempts";
        with_timeout(doing, async {
            let transaction = self.begin_batch().await?;
            forget_attempts(&transaction, &[operation.0]).await?;
            commit(transaction).await
        })
        .await
    }
}

/// Forgets the attempts of operations in a transaction.
pub(super) async fn forget_attempts(transaction: &impl ConnectionTrait, operations: &[Uuid]) -> Result<(), StoreError> {
    if operations.is_empty() {
        return Ok(());
    }
    let delete = attempt::Entity::delete_many().filter(attempt::Column::Operation.is_in(operations.iter().copied()));
    delete.exec(transaction).await.context("forgetting attempts")?;
    Ok(())
}
