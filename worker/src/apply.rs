//! Applies commands to SQL: a batch in one transaction, each operation exactly once and in order.
//!
//! One transaction (`apply::batch`) claims the operations, locks every row that it may write, decides over a working set in
//! memory, writes ledger and effects, commits. A redo for any reason starts from the beginning.

use protocol::id::OperationId;
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use tracing::warn;

use crate::accepted::Accepted;
use crate::clock::Clock;
use crate::store::redo::redone;
use crate::store::{Class, Store, StoreError, within};

mod access;
mod attach;
mod batch;
mod conditions;
mod creates;
mod earlier;
mod effects;
mod emails;
mod first_effect;
mod holders;
mod load;
mod membership;
mod upsert;
mod working;

pub use first_effect::first_effect;

/// What became of one command of a batch, committed.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The operation.
    pub operation: OperationId,
    /// How it ended.
    pub ending: Ending,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Its outcome is committed, now or earlier. A refusal is an outcome, too.
    Answered(Outcome),
    /// It is a dead letter, with the reason.
    Dead(String),
    /// Its outcome is committed, in a form that this build cannot read: whoever waits asks again.
    Committed,
}

/// The most commands in one batch.
pub const MOST: usize = 256;

/// Applies a batch, in ascending order of sequence. Each predecessor is settled, or earlier in the batch.
///
/// Returns one [`Applied`] for each command, in the same order, after the commit. An error means that nothing is known
/// to be committed and that time may heal it: the same batch can be applied again.
pub async fn apply(
    store: &Store,
    policy: &OwnershipPolicy,
    batch: &[Accepted],
    clock: Clock,
) -> Result<Vec<Applied>, StoreError> {
    let attempt = || within("applying a batch", batch::together(store, policy, batch, clock.now()));
    let failure = match redone(attempt).await {
        Err(failure) if matches!(failure.class(), Class::Contended | Class::Broken) => failure,
        done => return done,
    };
    if failure.class() == Class::Contended && store.takes_numbers_of_others(batch).await? {
        return Err(StoreError::number_taken("applying a batch"));
    }
    warn!(
        reason = failure.reason(),
        commands = batch.len(),
        "a batch fails as a whole, applying its commands one by one"
    );
    let attempt = || within("applying commands one by one", batch::one_by_one(store, policy, batch, clock.now()));
    redone(attempt).await.map_err(|failure| match failure.class() {
        Class::Renumber => failure,
        Class::Unavailable | Class::Contended | Class::Broken => failure.unavailable(),
    })
}
