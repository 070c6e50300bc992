//! The fast way for commands on users: decided over their rows as they are, then written in one statement that checks what
//! was read. If anything is in its way, it writes nothing, and the batch goes the long way ([`super::batch`]).

use std::collections::{BTreeSet, HashSet};

use protocol::failpoint::Failpoint;
use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use runtime::failpoint;
use sea_orm::ConnectionTrait;

use super::batch::{self, answered_user};
use super::creates::is_held;
use super::effects::{UserRows, user_rows};
use super::lock::read;
use super::working::{Entry, WorkingSet};
use super::{Batch, Ending};
use crate::accepted::Accepted;
use crate::store::entity::user;
use crate::store::lookup::Lock;
use crate::store::stored_resource::Key;
use crate::store::user_writes::{Groups, ReadUser, UserWrites};
use crate::store::{Class, DatabaseKind, StoreError, column, ledger};

impl Batch<'_> {
    /// Applies a batch of creates, replacements and patches of users, one a user, if nothing is in their way. None: nothing
    /// is written.
    pub(super) async fn at_once(self) -> Result<Option<Vec<Ending>>, StoreError> {
        let Self { store, policy, commands, clock } = self;
        if store.kind() != DatabaseKind::Postgres || !may_be_written_at_once(commands) {
            return Ok(None);
        }
        let Some(set) = read_set(store.writer(), commands).await? else { return Ok(None) };
        let Some((writes, mut endings)) = decide(set, policy, commands, clock.now())? else { return Ok(None) };
        failpoint::hit(Failpoint::WorkerDecided).await;
        match store.write_users(writes).await {
            Ok(Some(groups)) => {
                show_groups(commands, &mut endings, groups);
                Ok(Some(endings))
            }
            Ok(None) => Ok(None),
            // The long way finds out whose failure it is. What is locked was waited for already.
            Err(failure) => match failure.class() {
                Class::Raced | Class::Poison => Ok(None),
                Class::Locked | Class::Unknown | Class::Renumber => Err(failure),
            },
        }
    }
}

/// Whether each command writes a user of its own, with nothing pending before it whose end it may share, for the
/// first time, and, if it creates
/// one, without having been held on its way: another create may have superseded it ([`super::creates`]).
fn may_be_written_at_once(commands: &[&Accepted]) -> bool {
    let mut ids = HashSet::with_capacity(commands.len());
    commands.iter().all(|accepted| {
        let envelope = &accepted.envelope;
        let is_write = match envelope.body {
            Command::Create { .. } => !is_held(accepted),
            Command::Replace { .. } | Command::Patch { .. } => true,
            Command::Delete { .. } => false,
        };
        is_write
            && accepted.predecessor == 0
            && accepted.replayed.is_none()
            && envelope.resource_type == ResourceType::User
            && ids.insert((&envelope.workspace, envelope.resource))
            && commands.first().is_some_and(|first| first.epoch == accepted.epoch)
    })
}

/// The users of the batch: those that commands create are not there, all others are.
async fn read_set(connection: &impl ConnectionTrait, commands: &[&Accepted]) -> Result<Option<WorkingSet>, StoreError> {
    let mut set = WorkingSet::default();
    let mut changed = BTreeSet::new();
    for Accepted { envelope, .. } in commands.iter().copied() {
        let key = Key { workspace: envelope.workspace.clone(), id: envelope.resource };
        if matches!(envelope.body, Command::Create { .. }) {
            set.users.insert(key, Entry::default());
        } else {
            changed.insert(key);
        }
    }
    read::<user::Entity>(connection, &changed, Lock::None, &mut set).await?;
    let all_there = changed.iter().all(|key| set.users.get(key).is_some_and(|entry| entry.stored.is_some()));
    Ok(all_there.then_some(set))
}

/// Decides all commands, as if each name that they claim were free. None unless each is carried out.
fn decide(
    mut set: WorkingSet,
    policy: &OwnershipPolicy,
    commands: &[&Accepted],
    now: Timestamp,
) -> Result<Option<(UserWrites, Vec<Ending>)>, StoreError> {
    let mut operations = Vec::with_capacity(commands.len());
    let mut endings = Vec::with_capacity(commands.len());
    for accepted in commands.iter().copied() {
        let ended = batch::decide(&mut set, policy, accepted, None, now)?;
        if !matches!(ended.outcome, Outcome::Created { .. } | Outcome::Updated { .. }) {
            return Ok(None);
        }
        operations.push(ledger::row_of(accepted, &ended.outcome, ended.yielded, now));
        endings.push(Ending::Answered(ended.outcome));
    }
    let epoch = commands.first().map_or(0, |first| first.epoch);
    let stored = set.users.iter().filter_map(|(key, entry)| Some((key, entry.stored.as_ref()?)));
    let read = stored.map(|(key, stored)| ReadUser {
        workspace: key.workspace.to_string(),
        id: key.id.0,
        version: stored.resource.meta.version.number(),
        active_seq: column(stored.standing.sequence),
    });
    let read = read.collect();
    let Some(UserRows { created, updated, emails }) = user_rows(&set)? else { return Ok(None) };
    Ok(Some((UserWrites { epoch, operations, read, created, updated, emails }, endings)))
}

/// Puts the groups of users into the answers.
fn show_groups(commands: &[&Accepted], endings: &mut [Ending], mut groups: Groups) {
    for (Accepted { envelope, .. }, ending) in commands.iter().zip(endings) {
        let Some(user) = answered_user(ending) else { continue };
        let key = Key { workspace: envelope.workspace.clone(), id: user.id };
        user.groups = groups.remove(&key).unwrap_or_default();
    }
}
