//! Locks the rows of users and groups.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseTransaction, Value};

use super::working::{Entry, WorkingSet};
use crate::store::emails::listed;
use crate::store::entity::{group, user};
use crate::store::fence::Fence;
use crate::store::lookup::{Lock, look_up_rows};
use crate::store::stored_resource::{Key, StoredResource};
use crate::store::{Context, StoreError};

/// Locks users, and reads what they are.
pub(super) async fn lock_users(
    transaction: &DatabaseTransaction,
    keys: &BTreeSet<Key>,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    read_users(transaction, keys, Lock::Exclusive, set).await
}

/// Reads what users are.
pub(super) async fn read_users(
    connection: &impl ConnectionTrait,
    keys: &BTreeSet<Key>,
    lock: Lock,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    set.users.extend(keys.iter().map(|key| (key.clone(), Entry::default())));
    let key = [user::Column::Workspace, user::Column::Id];
    let rows = look_up_rows::<user::Entity, 2>(connection, key, &values(keys), lock).await;
    for row in rows.context("reading users")? {
        let key = Key::of(row.workspace.clone(), row.id)?;
        if let Some(fence) = Fence::of(&row) {
            set.users.insert(key, Entry { fence: Some(fence), ..Entry::default() });
            continue;
        }
        let emails = listed(&row.search);
        let image = StoredResource::of_user(row)?;
        set.users.insert(key, Entry { stored: Some(image.clone()), now: Some(image), emails, ..Entry::default() });
    }
    Ok(())
}

/// Locks groups, and reads what they are.
pub(super) async fn lock_groups(
    transaction: &DatabaseTransaction,
    keys: &BTreeSet<Key>,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    set.groups.extend(keys.iter().map(|key| (key.clone(), Entry::default())));
    let key = [group::Column::Workspace, group::Column::Id];
    let rows = look_up_rows::<group::Entity, 2>(transaction, key, &values(keys), Lock::Exclusive).await;
    for row in rows.context("locking groups")? {
        let key = Key::of(row.workspace.clone(), row.id)?;
        let image = StoredResource::of_group(row)?;
        set.groups.insert(key, Entry { stored: Some(image.clone()), now: Some(image), ..Entry::default() });
    }
    Ok(())
}

/// Keys as they are looked up.
pub(super) fn values(keys: &BTreeSet<Key>) -> Vec<[Value; 2]> {
    keys.iter().map(|key| [key.workspace.as_str().into(), key.id.0.into()]).collect()
}
