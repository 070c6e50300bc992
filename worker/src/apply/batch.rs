//! One transaction: claim, lock, decide, ledger, effects, commit, in exactly this order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use protocol::failpoint::Failpoint;
use protocol::id::{OperationId, ResourceId, WorkspaceId};
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use runtime::failpoint;
use sea_orm::DatabaseTransaction;

use super::attach::Attempts;
use super::load::load;
use super::working::{Ended, WorkingSet};
use super::{Batch, Ending, effects};
use crate::accepted::Accepted;
use crate::store::entity::operation;
use crate::store::ledger::State;
use crate::store::members::groups_of;
use crate::store::settled::{CopyReason, SettledCopy, insert_copies};
use crate::store::{Store, StoreError, column, commit, ledger, recall, replayed};

impl Batch<'_> {
    /// Applies the whole batch or nothing of it.
    pub(super) async fn together(self) -> Result<Vec<Ending>, StoreError> {
        let now = self.clock.now();
        let transaction = self.store.begin_batch().await?;
        let mut claim = Claim::of(&transaction, self.commands).await?;
        let endings = apply_new(&transaction, self.policy, &claim.new, &mut claim.attempts, now).await?;
        insert_copies(&transaction, &claim.copies, now).await?;
        commit(transaction).await?;
        claim.answers(self.store, self.commands, endings).await
    }
}

/// Locks, decides and writes commands that the ledger does not know.
pub(super) async fn apply_new(
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
    let (mut rows, mut replayed) = (Vec::with_capacity(commands.len()), Vec::new());
    let mut endings = HashMap::with_capacity(commands.len());
    for accepted in commands {
        let newer = set.superseded_by(accepted);
        let Ended { outcome, yielded } = match newer {
            Some(_) => Ended { outcome: Outcome::Superseded, yielded: false },
            None => decide(&mut set, policy, accepted, attempts.before(accepted), now)?,
        };
        let row = ledger::row_of(accepted, &outcome, yielded, now);
        set.remember(&row);
        attempts.remember(&row);
        match accepted.replayed {
            Some(_) => replayed.push((*accepted, ledger::superseded(row, newer))),
            None => rows.push(row),
        }
        endings.insert(accepted.envelope.operation, Ending::Answered(outcome));
    }
    failpoint::hit(Failpoint::WorkerDecided).await;
    ledger::insert(transaction, rows).await?;
    replayed::settle(transaction, replayed, now).await?;
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
                resource.groups.clone_from(groups);
            }
        }
    }
    Ok(())
}

/// The user in an answer. A new one is in no group yet: its id was not known.
pub(super) fn answered_user(ending: &mut Ending) -> Option<&mut Resource> {
    let Ending::Answered(Outcome::Updated { resource } | Outcome::Duplicate { resource, .. }) = ending else {
        return None;
    };
    Some(resource.as_mut()).filter(|resource| resource.resource_type == ResourceType::User)
}

/// A command that makes the rules panic is one that cannot be applied; the worker goes on.
pub(super) fn decide(
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
pub(super) struct Claim<'a> {
    /// Each operation that the ledger does not know, once, and each replay of a dead one whose turn it is.
    pub(super) new: Vec<&'a Accepted>,
    /// The rows of those that it knows.
    known: HashMap<OperationId, operation::Model>,
    /// Sequences under which a known operation was stored again.
    pub(super) copies: Vec<SettledCopy>,
    /// How those ended whose end a command may share.
    pub(super) attempts: Attempts,
}

impl<'a> Claim<'a> {
    pub(super) async fn of(transaction: &DatabaseTransaction, batch: &'a [&'a Accepted]) -> Result<Self, StoreError> {
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
        let mut known: HashMap<_, _> = rows.map(|row| (OperationId(row.operation), row)).collect();
        let (mut new, mut copies, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for accepted in batch.iter().copied() {
            match known.get(&accepted.envelope.operation) {
                Some(row) if row.sequence == column(accepted.sequence) => {}
                Some(row) if ledger::is_next_replay(row, accepted) => {
                    known.remove(&accepted.envelope.operation);
                    seen.insert(accepted.envelope.operation);
                    new.push(accepted);
                }
                // Its ledger row is gone: there is nothing to replay.
                None if accepted.replayed.is_some() => copies.push(SettledCopy::of(accepted, CopyReason::ExtraCopy)),
                None if seen.insert(accepted.envelope.operation) => new.push(accepted),
                Some(_) | None => copies.push(SettledCopy::of(accepted, CopyReason::ExtraCopy)),
            }
        }
        Ok(Self { new, known, copies, attempts })
    }

    /// The endings in the batch's order. A known operation is answered from the ledger, after the commit.
    pub(super) async fn answers(
        self,
        store: &Store,
        batch: &[&Accepted],
        mut endings: HashMap<OperationId, Ending>,
    ) -> Result<Vec<Ending>, StoreError> {
        for (operation, row) in self.known {
            // It is committed, whatever the ledger says of it and whether or not that can be read now.
            endings.insert(operation, ending_of(store, &row).await.unwrap_or(Ending::Committed));
        }
        let lost = || StoreError::broken("answering a batch", "a command got no ending");
        let mut answers: Vec<Ending> = Vec::with_capacity(batch.len());
        for accepted in batch {
            let operation = accepted.envelope.operation;
            let ending = endings.remove(&operation).or_else(|| {
                // It was stored twice: what the first copy got.
                let mut earlier = batch.iter().zip(&answers);
                earlier.find(|(one, _)| one.envelope.operation == operation).map(|(_, ending)| ending.clone())
            });
            let ending = ending.or_else(|| accepted.replayed.map(|_| Ending::Committed));
            answers.push(ending.ok_or_else(lost)?);
        }
        Ok(answers)
    }
}

/// How the operation of a ledger row ended, for a message that is delivered again.
async fn ending_of(store: &Store, row: &operation::Model) -> Result<Ending, StoreError> {
    match State::of(row)? {
        State::Dead => Ok(Ending::Dead(row.detail.clone().unwrap_or_default())),
        State::Applied | State::Rejected | State::Superseded => {
            recall::outcome_of(store, row).await.map(Ending::Answered)
        }
    }
}
