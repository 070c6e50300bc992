//! Applies the commands of a batch that can be applied, and leaves out the others.
//!
//! In one transaction, in which what is locked or poison is gone back over by savepoints; or, where an error may end the
//! transaction or lie in the connection, by halves, each in a transaction of its own.

use std::collections::{HashMap, HashSet};

use protocol::id::OperationId;
use protocol::ownership::OwnershipPolicy;
use protocol::time::Timestamp;
use sea_orm::{DatabaseTransaction, TransactionTrait};

use super::attach::Attempts;
use super::batch::{Claim, apply_new};
use super::locked::find_locked;
use super::{Batch, Ending, Parked};
use crate::accepted::Accepted;
use crate::store::dead::{self, DeadMessage};
use crate::store::retry::retry_contended;
use crate::store::settled::insert_copies;
use crate::store::stored_resource::Key;
use crate::store::{Class, Context, Store, StoreError, commit, with_timeout};

/// How long a command of a batch may wait for a row, or for another transaction that inserts the same name: the others
/// wait with it.
pub(super) const LOCK_TIMEOUT: &str = "20ms";
/// How many commands of one batch may wait in vain. The rest is not tried.
const MAX_LOCK_WAITS: usize = 4;
/// How many unrelated commands that fail alike, one after the other, are one event: the rest of the batch is not tried.
const FAILING_ALIKE: usize = 3;

type Endings = HashMap<OperationId, Ending>;

impl Batch<'_> {
    /// Applies a batch in one transaction. A command whose row is locked is parked, one that is poison becomes a dead
    /// letter.
    pub(super) async fn by_savepoints(self) -> Result<Vec<Ending>, StoreError> {
        let now = self.clock.now();
        let transaction = self.store.begin_batch().await?;
        self.store.set_in(&transaction, "lock_timeout", LOCK_TIMEOUT).await?;
        let mut claim = Claim::of(&transaction, self.commands).await?;
        let locked = find_locked(&transaction, &claim.new).await?;
        let mut blocked = Blocked::default();
        let (parked, free): (Vec<&Accepted>, Vec<&Accepted>) = claim.new.iter().copied().partition(|accepted| {
            let parked = blocked.contains(accepted) || locked.contains(&accepted.envelope.operation);
            if parked {
                blocked.add(accepted);
            }
            parked
        });
        let parked = parked.into_iter().map(|accepted| (accepted.envelope.operation, Ending::Parked(Parked::Locked)));
        let mut endings: Endings = parked.collect();
        endings.extend(apply_free(&transaction, self.policy, &free, &mut claim.attempts, now).await?);

        // What comes after a parked command of its resource is not settled before it, also if it is only a copy.
        let behind = behind_parked(self.commands, &endings);
        claim.copies.retain(|copy| !behind.contains(&copy.sequence));
        insert_copies(&transaction, &claim.copies, now).await?;
        commit(transaction).await?;
        tell_dead(&endings);
        let mut answers = claim.answers(self.store, self.commands, endings).await?;
        for (accepted, answer) in self.commands.iter().zip(&mut answers) {
            if behind.contains(&accepted.sequence) {
                *answer = Ending::Parked(Parked::Waiting);
            }
        }
        Ok(answers)
    }

    /// Applies the commands of a batch of which it is not known whose failure it is: by halves, until what fails is alone.
    pub(super) async fn by_halves(self) -> Result<Vec<Ending>, StoreError> {
        let mut endings: Vec<Ending> = Vec::with_capacity(self.commands.len());
        let (mut blocked, mut alike) = (Blocked::default(), Alike::default());
        let (left, right) = self.commands.split_at(self.commands.len() / 2);
        let mut parts = vec![right, left];
        while let Some(part) = parts.pop() {
            let (left, right) = part.split_at(part.len() / 2);
            let waits = part.iter().any(|accepted| blocked.contains(accepted));
            let done = match part {
                [] => continue,
                part if alike.count >= FAILING_ALIKE || (waits && part.len() == 1) => all(part, Parked::Waiting),
                _ if waits => {
                    parts.extend([right, left]);
                    continue;
                }
                part => match (Batch { commands: part, ..self }).attempt().await? {
                    Ok(done) => done,
                    Err(failure) if part.len() == 1 => {
                        alike.add(&failure);
                        all(part, Parked::Failed(failure))
                    }
                    Err(_) => {
                        parts.extend([right, left]);
                        continue;
                    }
                },
            };
            for (accepted, ending) in part.iter().zip(&done) {
                match ending {
                    Ending::Parked(_) => blocked.add(accepted),
                    Ending::Answered(_) | Ending::Dead(_) | Ending::Committed => alike = Alike::default(),
                }
            }
            endings.extend(done);
        }
        unless_all_failed(self.store, &alike, &mut endings).await?;
        Ok(endings)
    }

    /// Some of a batch. The inner error is the reason why it cannot be applied now.
    async fn attempt(self) -> Result<Result<Vec<Ending>, String>, StoreError> {
        let attempt = || with_timeout("applying a part of a batch", self.by_savepoints());
        let failure = match retry_contended(attempt).await {
            Ok(endings) => return Ok(Ok(endings)),
            Err(failure) => failure,
        };
        match failure.class() {
            Class::Renumber => Err(failure),
            Class::Locked => Ok(Ok(all(self.commands, Parked::Locked))),
            // Also a race that is lost again and again: there is no other batch to lose it to.
            Class::Unknown | Class::Raced | Class::Poison => {
                self.store.doubt_connections();
                Ok(Err(failure.reason()))
            }
        }
    }
}

/// After the commit: until then they are no dead letters.
fn tell_dead(endings: &Endings) {
    for (operation, ending) in endings {
        if let Ending::Dead(reason) = ending {
            tracing::error!(%operation, reason, "operation {operation} cannot be applied; it is a dead letter now");
        }
    }
}

/// All at once if possible, else one by one.
async fn apply_free(
    transaction: &DatabaseTransaction,
    policy: &OwnershipPolicy,
    commands: &[&Accepted],
    attempts: &mut Attempts,
    now: Timestamp,
) -> Result<Endings, StoreError> {
    if commands.len() > 1
        && let Ok(endings) = under_savepoint(transaction, policy, commands, attempts, now).await?
    {
        return Ok(endings);
    }
    let (mut endings, mut blocked, mut lock_waits) = (Endings::new(), Blocked::default(), 0);
    for accepted in commands {
        let ending = if blocked.contains(accepted) {
            Ending::Parked(Parked::Waiting)
        } else if lock_waits >= MAX_LOCK_WAITS {
            Ending::Parked(Parked::Locked)
        } else {
            alone(transaction, policy, accepted, attempts, now).await?
        };
        if let Ending::Parked(parked) = &ending {
            lock_waits += usize::from(*parked == Parked::Locked);
            blocked.add(accepted);
        }
        endings.insert(accepted.envelope.operation, ending);
    }
    Ok(endings)
}

/// Applies one command in the surrounding transaction, or parks it, or makes it a dead letter.
async fn alone(
    transaction: &DatabaseTransaction,
    policy: &OwnershipPolicy,
    accepted: &Accepted,
    attempts: &mut Attempts,
    now: Timestamp,
) -> Result<Ending, StoreError> {
    let operation = accepted.envelope.operation;
    let failure = match under_savepoint(transaction, policy, &[accepted], attempts, now).await? {
        Ok(mut endings) => {
            let lost = || StoreError::broken("applying a command", "it got no ending");
            return endings.remove(&operation).ok_or_else(lost);
        }
        Err(failure) if failure.class() == Class::Locked => return Ok(Ending::Parked(Parked::Locked)),
        Err(failure) => failure,
    };
    let reason = failure.reason();
    dead::bury(transaction, &[DeadMessage::of(accepted, &reason)], now).await?;
    Ok(Ending::Dead(reason))
}

/// Applies commands, or goes back to where the transaction was. The inner error is one for which that is enough; after any
/// other the transaction is of no use.
async fn under_savepoint(
    transaction: &DatabaseTransaction,
    policy: &OwnershipPolicy,
    commands: &[&Accepted],
    attempts: &mut Attempts,
    now: Timestamp,
) -> Result<Result<Endings, StoreError>, StoreError> {
    let savepoint = transaction.begin().await.context("setting a savepoint")?;
    match apply_new(&savepoint, policy, commands, attempts, now).await {
        Ok(endings) => {
            savepoint.commit().await.context("releasing a savepoint")?;
            Ok(Ok(endings))
        }
        Err(failure) if matches!(failure.class(), Class::Locked | Class::Poison) => {
            savepoint.rollback().await.context("going back to a savepoint")?;
            for accepted in commands {
                attempts.forget(accepted.sequence);
            }
            Ok(Err(failure))
        }
        Err(failure) => Err(failure),
    }
}

/// Takes back what is held against commands if it was the database that failed.
async fn unless_all_failed(store: &Store, alike: &Alike, endings: &mut [Ending]) -> Result<(), StoreError> {
    let failed = |ending: &&mut Ending| matches!(ending, Ending::Parked(Parked::Failed(_)));
    if endings.iter_mut().any(|ending| failed(&ending)) {
        // It may have gone away meanwhile: then nothing failed by itself.
        store.probe().await?;
    }
    if alike.count >= FAILING_ALIKE {
        for ending in endings.iter_mut().filter(failed) {
            *ending = Ending::Parked(Parked::Waiting);
        }
    }
    Ok(())
}

fn all(part: &[&Accepted], parked: Parked) -> Vec<Ending> {
    vec![Ending::Parked(parked); part.len()]
}

/// The sequences of everything in a batch that comes after a parked command of its resource.
fn behind_parked(batch: &[&Accepted], endings: &Endings) -> HashSet<u64> {
    let mut blocked = Blocked::default();
    let mut behind = HashSet::new();
    for accepted in batch {
        if blocked.contains(accepted) {
            behind.insert(accepted.sequence);
        } else if let Some(Ending::Parked(_)) = endings.get(&accepted.envelope.operation) {
            blocked.add(accepted);
        }
    }
    behind
}

/// Resources of which a command is parked: their later commands wait for it.
#[derive(Default)]
struct Blocked(HashSet<Key>);

impl Blocked {
    fn add(&mut self, accepted: &Accepted) {
        self.0.insert(Key::of_command(accepted));
    }

    fn contains(&self, accepted: &Accepted) -> bool {
        self.0.contains(&Key::of_command(accepted))
    }
}

/// How many commands failed one after the other for the same reason.
#[derive(Default)]
struct Alike {
    reason: String,
    count: usize,
}

impl Alike {
    fn add(&mut self, reason: &str) {
        if self.reason == reason {
            self.count += 1;
        } else {
            *self = Self { reason: reason.to_owned(), count: 1 };
        }
    }
}
