//! One transaction: claim, lock, decide, ledger, effects, commit, in exactly this order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use protocol::failpoint::Failpoint;
use protocol::id::{OperationId, ResourceId, WorkspaceId};
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource::{Resource, ResourceType};
use protocol::time::Timestamp;
use sea_orm::{DatabaseTransaction, TransactionTrait};

use super::attach::Attempts;
use super::effects;
use super::load::load;
use super::working::{Ended, WorkingSet};
use super::{Applied, Ending};
use crate::accepted::Accepted;
use crate::answer;
use crate::answer::members::groups_of;
use crate::failpoint;
use crate::store::dead::{self, DeadMessage};
use crate::store::entity::operation;
use crate::store::row::set_groups;
use crate::store::settled::{CopyReason, SettledCopy, insert_copies};
use crate::store::{Class, Doing, Store, StoreError, column, commit, ledger};

/// Applies the whole batch or nothing of it.
pub(super) async fn together(
    store: &Store,
    policy: &OwnershipPolicy,
    batch: &[Accepted],
    now: Timestamp,
) -> Result<Vec<Applied>, StoreError> {
    let transaction = store.begin().await?;
    let mut claim = Claim::of(&transaction, batch).await?;
    let endings = apply_new(&transaction, policy, &claim.new, &mut claim.attempts, now).await?;
    insert_copies(&transaction, &claim.copies, now).await?;
    commit(transaction).await?;
    claim.answers(store, batch, endings).await
}

/// Applies each command under a savepoint of its own: one that cannot be applied harms only itself.
pub(super) async fn one_by_one(
    store: &Store,
    policy: &OwnershipPolicy,
    batch: &[Accepted],
    now: Timestamp,
) -> Result<Vec<Applied>, StoreError> {
    let transaction = store.begin().await?;
    let mut claim = Claim::of(&transaction, batch).await?;
    // All locks in the one order, as for the whole batch, before any command takes its own.
    match load(&transaction, &claim.new).await {
        // A row that cannot be read harms only the command that needs it: found again below, under its savepoint.
        Err(failure) if failure.class() != Class::Broken => return Err(failure),
        Ok(_) | Err(_) => {}
    }
    let mut endings = HashMap::with_capacity(claim.new.len());
    for accepted in &claim.new {
        let ending = alone(&transaction, policy, accepted, &mut claim.attempts, now).await?;
        endings.insert(accepted.envelope.operation, ending);
    }
    insert_copies(&transaction, &claim.copies, now).await?;
    commit(transaction).await?;
    claim.answers(store, batch, endings).await
}

/// Applies one command, or makes it a dead letter, in the surrounding transaction.
async fn alone(
    transaction: &DatabaseTransaction,
    policy: &OwnershipPolicy,
    accepted: &Accepted,
    attempts: &mut Attempts,
    now: Timestamp,
) -> Result<Ending, StoreError> {
    let operation = accepted.envelope.operation;
    let savepoint = transaction.begin().await.doing("setting a savepoint")?;
    let failure = match apply_new(&savepoint, policy, &[accepted], attempts, now).await {
        Ok(mut endings) => {
            savepoint.commit().await.doing("releasing a savepoint")?;
            let lost = || StoreError::broken("applying a command", "it got no ending");
            return endings.remove(&operation).ok_or_else(lost);
        }
        Err(failure) if failure.class() == Class::Broken => failure,
        Err(failure) => return Err(failure),
    };
    savepoint.rollback().await.doing("going back to a savepoint")?;
    attempts.forget(accepted.sequence);
    let reason = failure.reason();
    tracing::error!(%operation, reason, "operation {operation} cannot be applied; it is a dead letter now");
    let message = DeadMessage::Command { accepted: Box::new(accepted.clone()), reason: reason.clone() };
    dead::bury(transaction, &[message], now).await?;
    Ok(Ending::Dead(reason))
}

/// Locks, decides and writes commands that the ledger does not know.
async fn apply_new(
    transaction: &DatabaseTransaction,
    policy: &OwnershipPolicy,
    commands: &[&Accepted],
    attempts: &mut Attempts,
    now: Timestamp,
) -> Result<HashMap<OperationId, Ending>, StoreError> {
    if commands.is_empty() {
        return Ok(HashMap::new());
    }
    let mut set = load(transaction, commands).await?;
    failpoint::hit(Failpoint::WorkerLocked).await;
    let mut rows = Vec::with_capacity(commands.len());
    let mut endings = HashMap::with_capacity(commands.len());
    for accepted in commands {
        let Ended { outcome, yielded } = decide(&mut set, policy, accepted, attempts.before(accepted), now)?;
        let row = ledger::row_of(accepted, &outcome, yielded, now);
        set.remember(&row);
        attempts.remember(&row);
        rows.push(row);
        endings.insert(accepted.envelope.operation, Ending::Answered(outcome));
    }
    failpoint::hit(Failpoint::WorkerDecided).await;
    ledger::insert(transaction, rows).await?;
    failpoint::hit(Failpoint::WorkerLedgerWritten).await;
    effects::write(transaction, &set).await?;
    show_groups(transaction, commands, &mut endings).await?;
    Ok(endings)
}

/// Puts the groups of users into the answers: as they are after the whole batch, in one statement a workspace.
async fn show_groups(
    transaction: &DatabaseTransaction,
    commands: &[&Accepted],
    endings: &mut HashMap<OperationId, Ending>,
) -> Result<(), StoreError> {
    let mut answered: BTreeMap<&WorkspaceId, Vec<(OperationId, ResourceId)>> = BTreeMap::new();
    for Accepted { envelope, .. } in commands.iter().copied() {
        if let Some(user) = endings.get_mut(&envelope.operation).and_then(answered_user) {
            answered.entry(&envelope.workspace).or_default().push((envelope.operation, user.id));
        }
    }
    for (workspace, users) in answered {
        let ids: Vec<ResourceId> = users.iter().map(|(_, user)| *user).collect();
        let groups = groups_of(transaction, workspace, &ids).await?;
        for (operation, user) in users {
            let resource = endings.get_mut(&operation).and_then(answered_user);
            if let (Some(resource), Some(groups)) = (resource, groups.get(&user)) {
                set_groups(resource, groups);
            }
        }
    }
    Ok(())
}

/// The user in an answer. A new one is in no group yet: nobody knew its id.
fn answered_user(ending: &mut Ending) -> Option<&mut Resource> {
    let Ending::Answered(Outcome::Updated { resource } | Outcome::Duplicate { resource, .. }) = ending else {
        return None;
    };
    Some(resource.as_mut()).filter(|resource| resource.resource_type == ResourceType::User)
}

/// A command that makes the rules panic is one that cannot be applied; the worker goes on.
fn decide(
    set: &mut WorkingSet,
    policy: &OwnershipPolicy,
    accepted: &Accepted,
    attempt: Option<&operation::Model>,
    now: Timestamp,
) -> Result<Ended, StoreError> {
    // A panic leaves the working set half changed; it is thrown away with the error.
    let decided = catch_unwind(AssertUnwindSafe(|| set.apply(policy, accepted, attempt, now)));
    decided.map_err(|_| StoreError::broken("deciding what a command does", "the rules panicked"))
}

/// What the ledger says of a batch before anything is done.
struct Claim<'a> {
    /// Each operation that the ledger does not know, once.
    new: Vec<&'a Accepted>,
    /// The rows of those that it knows.
    known: HashMap<OperationId, operation::Model>,
    /// Sequences under which a known operation was stored again.
    copies: Vec<SettledCopy>,
    /// How those ended whose end a command may share.
    attempts: Attempts,
}

impl<'a> Claim<'a> {
    async fn of(transaction: &DatabaseTransaction, batch: &'a [Accepted]) -> Result<Self, StoreError> {
        let operations: Vec<_> = batch.iter().map(|accepted| accepted.envelope.operation.0).collect();
        let mut attempts = Attempts::awaited_by(batch);
        let (epoch, rows) = ledger::claim(transaction, &operations, &attempts.unread(batch)).await?;
        // Another worker may have found that the log is another one: these numbers mean nothing any more.
        if batch.iter().any(|accepted| accepted.epoch != epoch) {
            return Err(StoreError::renumbered("claiming operations"));
        }
        failpoint::hit(Failpoint::WorkerClaimed).await;
        for row in &rows {
            attempts.remember(row);
        }
        let operations: HashSet<_> = operations.into_iter().collect();
        let rows = rows.into_iter().filter(|row| operations.contains(&row.operation));
        let known: HashMap<_, _> = rows.map(|row| (OperationId(row.operation), row)).collect();
        let (mut new, mut copies, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for accepted in batch {
            match known.get(&accepted.envelope.operation) {
                Some(row) if row.sequence == column(accepted.sequence) => {}
                None if seen.insert(accepted.envelope.operation) => new.push(accepted),
                Some(_) | None => copies.push(accepted.copy(CopyReason::ExtraCopy)),
            }
        }
        Ok(Self { new, known, copies, attempts })
    }

    /// The endings in the batch's order. A known operation is answered from the ledger, after the commit.
    async fn answers(
        self,
        store: &Store,
        batch: &[Accepted],
        mut endings: HashMap<OperationId, Ending>,
    ) -> Result<Vec<Applied>, StoreError> {
        for (operation, row) in self.known {
            let ending = match answer::ending_of(store, &row).await {
                // It is committed, whatever it says: a newer worker can read it.
                Err(failure) if failure.class() == Class::Broken => Ending::Committed,
                ending => ending?,
            };
            endings.insert(operation, ending);
        }
        let lost = || StoreError::broken("answering a batch", "a command got no ending");
        let mut applied: Vec<Applied> = Vec::with_capacity(batch.len());
        for accepted in batch {
            let operation = accepted.envelope.operation;
            let ending = endings.remove(&operation).or_else(|| {
                // It was stored twice: what the first copy got.
                applied.iter().find(|one| one.operation == operation).map(|one| one.ending.clone())
            });
            applied.push(Applied { operation, ending: ending.ok_or_else(lost)? });
        }
        Ok(applied)
    }
}
