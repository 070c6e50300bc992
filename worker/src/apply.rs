//! Applies commands to SQL: a batch in one transaction, each operation exactly once and in order.
//!
//! One transaction (`apply::batch`) claims the operations, locks every row that it may write, decides over a working set in
//! memory, writes ledger and effects, commits. A redo for any reason starts from the beginning.

use futures::future::BoxFuture;
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use runtime::clock::Clock;
use tracing::warn;

use crate::accepted::Accepted;
use crate::store::retry::retry_contended;
use crate::store::{Class, Store, StoreError, with_timeout};

mod access;
mod apart;
mod at_once;
mod attach;
mod batch;
mod conditions;
mod creates;
mod duplicates;
mod earlier;
mod effects;
mod emails;
mod first_effect;
mod holders;
mod load;
mod lock;
mod locked;
mod membership;
mod predict;
mod upsert;
mod working;

pub use first_effect::first_effect;
pub(crate) use predict::{Shown, predict, predict_one};

/// How a command of a batch ended, committed.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Its outcome is committed, now or earlier. A refusal is an outcome, too.
    Answered(Outcome),
    /// It is a dead letter, with the reason.
    Dead(String),
    /// Its outcome is committed, in a form that this build cannot read: the ingress that waits asks again.
    Committed,
    /// Nothing is committed of it, and its resource's later commands wait with it: it can be tried again, with
    /// [`apply_parked`].
    Parked(Parked),
}

/// Why a command could not be applied now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parked {
    /// Another transaction holds what it needs.
    Locked,
    /// It failed by itself, for this reason, which nothing proves to lie in it; the database takes writes.
    Failed(String),
    /// It was not tried, or failed together with others: nothing is held against it.
    Waiting,
}

/// The most commands in one batch.
pub const MAX_BATCH: usize = 256;

/// Applies a batch, in ascending order of sequence. Each predecessor is settled, or earlier in the batch.
///
/// Returns one [`Ending`] for each command, in the same order, after the commit. An error means that nothing is known
/// to be committed and that time may heal it: the same batch can be applied again. [`Class::Unknown`] is an outage,
/// [`Class::Locked`] is contention that stops the whole batch.
#[inline(never)]
pub fn apply<'a>(
    store: &'a Store,
    policy: &'a OwnershipPolicy,
    commands: &'a [&'a Accepted],
    clock: Clock,
) -> BoxFuture<'a, Result<Vec<Ending>, StoreError>> {
    Box::pin(Batch { store, policy, commands, clock }.apply())
}

/// Applies a batch of which commands were parked: waits for no row, and finds out whose a failure is.
#[inline(never)]
pub fn apply_parked<'a>(
    store: &'a Store,
    policy: &'a OwnershipPolicy,
    commands: &'a [&'a Accepted],
    clock: Clock,
) -> BoxFuture<'a, Result<Vec<Ending>, StoreError>> {
    Box::pin(Batch { store, policy, commands, clock }.apply_what_can_be())
}

/// Commands, and what they are applied with.
#[derive(Clone, Copy)]
struct Batch<'a> {
    store: &'a Store,
    policy: &'a OwnershipPolicy,
    commands: &'a [&'a Accepted],
    clock: Clock,
}

impl Batch<'_> {
    async fn apply(self) -> Result<Vec<Ending>, StoreError> {
        let failure = match Box::pin(self.apply_together()).await {
            Ok(endings) => return Ok(endings),
            Err(failure) => failure,
        };
        let (reason, commands) = (failure.reason(), self.commands.len());
        warn!(reason, commands, "a batch fails as a whole, applying what can be applied");
        let failure = match failure.class() {
            Class::Unknown => {
                self.check(failure).await?;
                // The connection may have been to blame.
                match Box::pin(self.apply_together()).await {
                    Ok(endings) => return Ok(endings),
                    Err(failure) if failure.class() == Class::Unknown => return Box::pin(self.isolate(failure)).await,
                    Err(failure) => failure,
                }
            }
            Class::Locked | Class::Raced | Class::Poison | Class::Renumber => failure,
        };
        if failure.class() == Class::Renumber { Err(failure) } else { Box::pin(self.apply_what_can_be()).await }
    }

    async fn apply_together(self) -> Result<Vec<Ending>, StoreError> {
        let attempt = async || match self.at_once().await? {
            Some(endings) => Ok(endings),
            None => self.together().await,
        };
        match retry_contended(|| with_timeout("applying a batch", attempt())).await {
            Ok(endings) => Ok(endings),
            Err(failure) => Err(self.of_numbers(failure).await?),
        }
    }

    async fn apply_what_can_be(self) -> Result<Vec<Ending>, StoreError> {
        let attempt = || with_timeout("applying what can be applied", self.by_savepoints());
        let failure = match Box::pin(retry_contended(attempt)).await {
            Ok(endings) => return Ok(endings),
            Err(failure) => self.of_numbers(failure).await?,
        };
        match failure.class() {
            Class::Renumber | Class::Locked => Err(failure),
            Class::Unknown | Class::Raced | Class::Poison => Box::pin(self.isolate(failure)).await,
        }
    }

    /// Finds out whose a failure of the batch is.
    async fn isolate(self, failure: StoreError) -> Result<Vec<Ending>, StoreError> {
        let reason = failure.reason();
        self.check(failure).await?;
        match self.commands {
            [_] => Ok(vec![Ending::Parked(Parked::Failed(reason))]),
            _ => Box::pin(self.by_halves()).await,
        }
    }

    /// A race that is lost again and again may be one for the number in the log.
    async fn of_numbers(self, failure: StoreError) -> Result<StoreError, StoreError> {
        if failure.class() == Class::Raced && self.store.takes_numbers_of_others(self.commands).await? {
            return Ok(StoreError::number_taken("applying a batch"));
        }
        Ok(failure)
    }

    /// Passes if the database takes writes, on a new connection; gives the failure back if it is an outage.
    async fn check(self, failure: StoreError) -> Result<(), StoreError> {
        self.store.doubt_connections();
        if self.store.probe().await.is_ok() { Ok(()) } else { Err(failure.outage()) }
    }
}
