//! Locks the rows of resources.

use std::collections::BTreeSet;

use sea_orm::{DatabaseTransaction, Value};

use super::working::{Entry, WorkingSet};
use crate::store::lookup::{Lock, look_up_rows};
use crate::store::resource_table::ResourceTable;
use crate::store::stored_resource::Key;
use crate::store::{Context, StoreError};

/// Locks resources of one kind, and reads what they are.
pub(super) async fn lock<E: ResourceTable>(
    transaction: &DatabaseTransaction,
    keys: &BTreeSet<Key>,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    let entries = set.entries(E::KIND);
    entries.extend(keys.iter().map(|key| (key.clone(), Entry::default())));
    let rows = look_up_rows::<E, 2>(transaction, E::KEY, &values(keys), Lock::Exclusive).await;
    for row in rows.context("locking resources")? {
        let (key, fence, emails) = (E::key(&row)?, E::fence(&row), E::emails(&row));
        let stored = if fence.is_none() { Some(E::read(row)?) } else { None };
        entries.insert(key, Entry { stored: stored.clone(), now: stored, fence, emails, ..Entry::default() });
    }
    Ok(())
}

/// Keys as they are looked up.
pub(super) fn values(keys: &BTreeSet<Key>) -> Vec<[Value; 2]> {
    keys.iter().map(|key| [key.workspace.as_str().into(), key.id.0.into()]).collect()
}
