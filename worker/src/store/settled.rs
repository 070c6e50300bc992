//! Which sequences of the log are settled.

use std::collections::HashSet;

use protocol::id::{OperationId, WorkspaceId};
use protocol::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::bulk_insert::{insert, one_of};
use super::entity::{operation, settled_copy};
use super::{Context, MAX_ROWS, Store, StoreError, column, commit, sequence, with_timeout};
use crate::accepted::Accepted;

const DOING: &str = "reading which sequences are settled";

/// Why a sequence is settled without a ledger row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyReason {
    /// Its operation was applied under another sequence.
    ExtraCopy,
    /// It was stored after its attempt had ended: the ingress had begun another, or its client had given up.
    Late,
    /// It was removed from the log without a trace.
    Removed,
    /// It is a dead letter without a readable operation.
    DeadLetter,
    /// It is a replay, whose operation has its ledger row where it was accepted first.
    Replay,
}

/// A sequence that is settled without a ledger row of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledCopy {
    /// The sequence.
    pub sequence: u64,
    /// Why.
    pub reason: CopyReason,
    /// The workspace, where the message or its subject names one.
    pub workspace: Option<WorkspaceId>,
    /// The operation, where the message can be read.
    pub operation: Option<OperationId>,
}

impl SettledCopy {
    /// A command whose sequence is settled while its operation is not touched.
    pub(crate) fn of(accepted: &Accepted, reason: CopyReason) -> Self {
        let (workspace, operation) = (Some(accepted.envelope.workspace.clone()), Some(accepted.envelope.operation));
        Self { sequence: accepted.sequence, reason, workspace, operation }
    }
}

impl CopyReason {
    /// The word in SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExtraCopy => "extra-copy",
            Self::Late => "late",
            Self::Removed => "removed",
            Self::DeadLetter => "dead-letter",
            Self::Replay => "replay",
        }
    }
}

impl Store {
    /// Which of these sequences are settled: in the ledger, or known without a row there.
    pub async fn settled(&self, sequences: &[u64]) -> Result<HashSet<u64>, StoreError> {
        with_timeout(DOING, self.read_settled(sequences)).await
    }

    async fn read_settled(&self, sequences: &[u64]) -> Result<HashSet<u64>, StoreError> {
        let mut settled = HashSet::with_capacity(sequences.len());
        for some in sequences.chunks(MAX_ROWS) {
            settled.extend(self.known_in::<operation::Entity>(operation::Column::Sequence, some).await?);
            settled.extend(self.known_in::<settled_copy::Entity>(settled_copy::Column::Sequence, some).await?);
        }
        Ok(settled)
    }

    async fn known_in<E: EntityTrait>(&self, of: E::Column, some: &[u64]) -> Result<Vec<u64>, StoreError> {
        let asked = one_of(self.reader(), of, some.iter().copied().map(column));
        let known = E::find().select_only().column(of).filter(asked).into_tuple::<i64>().all(self.reader()).await;
        Ok(known.context(DOING)?.into_iter().map(sequence).collect())
    }

    /// Settles sequences that have no operation of their own. Idempotent.
    pub async fn settle_copies(&self, copies: &[SettledCopy], now: Timestamp) -> Result<(), StoreError> {
        with_timeout("settling copies", async {
            let transaction = self.begin().await?;
            insert_copies(&transaction, copies, now).await?;
            commit(transaction).await
        })
        .await
    }
}

/// Settles sequences in a transaction.
pub(crate) async fn insert_copies(
    transaction: &impl ConnectionTrait,
    copies: &[SettledCopy],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut copies = copies.to_vec();
    copies.sort_unstable_by_key(|copy| copy.sequence);
    copies.dedup_by_key(|copy| copy.sequence);
    let rows = copies.into_iter().map(|copy| settled_copy::Model {
        sequence: column(copy.sequence),
        reason: copy.reason.as_str().to_owned(),
        settled_at: now.as_millis(),
        workspace: copy.workspace.map(|workspace| workspace.to_string()),
        operation: copy.operation.map(|operation| operation.0),
    });
    let known = OnConflict::column(settled_copy::Column::Sequence).do_nothing().to_owned();
    insert::<settled_copy::Entity>(transaction, rows.collect(), Some(known), "settling copies").await?;
    Ok(())
}
