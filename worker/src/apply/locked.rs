//! Finds the commands whose rows another transaction has locked, without waiting for it.

use std::collections::{BTreeSet, HashSet};

use protocol::id::OperationId;
use protocol::scim::resource_type::ResourceType;
use sea_orm::prelude::Uuid;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend};

use super::load::{Named, memberships_of};
use super::lock::values;
use crate::accepted::Accepted;
use crate::store::entity::{group, user};
use crate::store::lookup::{Lock, look_up};
use crate::store::resource_table::ResourceTable;
use crate::store::stored_resource::Key;
use crate::store::{Context, StoreError};

/// The commands that need a row which another transaction has locked. Locks the rows that all commands need and that are
/// free.
///
/// On SQLite there is nothing to find: a writer has the whole database.
pub(super) async fn find_locked(
    transaction: &DatabaseTransaction,
    commands: &[&Accepted],
) -> Result<HashSet<OperationId>, StoreError> {
    if transaction.get_database_backend() != DbBackend::Postgres {
        return Ok(HashSet::new());
    }
    let named = Named::of(commands);
    let memberships = memberships_of(transaction, &named.deleted).await?;
    let mut groups = named.groups;
    groups.extend(memberships.iter().map(|(group, _)| group.clone()));

    let users = held_by_others::<user::Entity>(transaction, &named.users).await?;
    let groups = held_by_others::<group::Entity>(transaction, &groups).await?;
    // A member of a locked group cannot be deleted now.
    let members = memberships.into_iter().filter(|(group, _)| groups.contains(group));
    let members: BTreeSet<Key> = members.map(|(group, member)| Key { id: member, ..group }).collect();

    let is_locked = |accepted: &&&Accepted| {
        let envelope = &accepted.envelope;
        let key = Key::of_command(accepted);
        let own = if envelope.resource_type == ResourceType::User { &users } else { &groups };
        own.contains(&key) || (named.deleted.contains(&key) && members.contains(&key))
    };
    Ok(commands.iter().filter(is_locked).map(|accepted| accepted.envelope.operation).collect())
}

/// Of these rows, those that exist and that others have locked.
async fn held_by_others<E: ResourceTable>(
    transaction: &DatabaseTransaction,
    keys: &BTreeSet<Key>,
) -> Result<BTreeSet<Key>, StoreError> {
    let free = find::<E>(transaction, keys, Lock::Free).await?;
    let others: BTreeSet<Key> = keys.difference(&free).cloned().collect();
    if others.is_empty() { Ok(others) } else { find::<E>(transaction, &others, Lock::None).await }
}

async fn find<E: ResourceTable>(
    transaction: &DatabaseTransaction,
    keys: &BTreeSet<Key>,
    lock: Lock,
) -> Result<BTreeSet<Key>, StoreError> {
    let doing = "finding locked rows";
    let mut found = BTreeSet::new();
    for row in look_up::<E, 2>(transaction, &E::KEY, E::KEY, &values(keys), lock).await.context(doing)? {
        let workspace: String = row.try_get_by_index(0).context(doing)?;
        found.insert(Key::of(workspace, row.try_get_by_index::<Uuid>(1).context(doing)?)?);
    }
    Ok(found)
}
