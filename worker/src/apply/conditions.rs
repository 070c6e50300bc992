//! Conditions over keys of several workspaces. The workspace stands in every one of them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::WorkspaceId;
use sea_orm::prelude::Uuid;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait};

use crate::store::bulk_insert::one_of;
use crate::store::stored_resource::Key;

/// `workspace = a AND id IN (…) OR workspace = b AND id IN (…)`.
pub(super) fn keys_in(
    connection: &impl ConnectionTrait,
    workspace: impl ColumnTrait,
    id: impl ColumnTrait,
    keys: &[Key],
) -> Condition {
    let mut by_workspace: BTreeMap<&WorkspaceId, Vec<Uuid>> = BTreeMap::new();
    for key in keys {
        by_workspace.entry(&key.workspace).or_default().push(key.id.0);
    }
    by_workspace.into_iter().fold(Condition::any(), |any, (name, ids)| {
        any.add(Condition::all().add(workspace.eq(name.as_str())).add(one_of(connection, id, ids)))
    })
}

/// Keys in order, in portions that fit into one statement.
pub(super) fn portions(keys: &BTreeSet<Key>) -> Vec<Vec<Key>> {
    let keys: Vec<Key> = keys.iter().cloned().collect();
    keys.chunks(crate::store::MAX_ROWS).map(<[Key]>::to_vec).collect()
}
