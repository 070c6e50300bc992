//! Conditions over keys of several workspaces. The workspace stands in every one of them.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::WorkspaceId;
use sea_orm::sea_query::postgres_array::NotU8;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, Value};

use crate::store::row::Key;
use crate::store::rows::one_of;

/// `workspace = a AND column IN (…) OR workspace = b AND column IN (…)`.
pub(super) fn any_of<V: Into<Value> + NotU8>(
    connection: &impl ConnectionTrait,
    workspace: impl ColumnTrait,
    column: impl ColumnTrait,
    values: impl IntoIterator<Item = (WorkspaceId, V)>,
) -> Condition {
    let mut by_workspace: BTreeMap<WorkspaceId, Vec<V>> = BTreeMap::new();
    for (workspace, value) in values {
        by_workspace.entry(workspace).or_default().push(value);
    }
    by_workspace.into_iter().fold(Condition::any(), |any, (id, values)| {
        any.add(Condition::all().add(workspace.eq(id.as_str())).add(one_of(connection, column, values)))
    })
}

/// `any_of` for resources.
pub(super) fn any_key(
    connection: &impl ConnectionTrait,
    workspace: impl ColumnTrait,
    id: impl ColumnTrait,
    keys: &[Key],
) -> Condition {
    any_of(connection, workspace, id, keys.iter().map(|key| (key.workspace.clone(), key.id.0)))
}

/// Keys in order, in portions that fit into one statement.
pub(super) fn portions(keys: &BTreeSet<Key>) -> Vec<Vec<Key>> {
    let keys: Vec<Key> = keys.iter().cloned().collect();
    keys.chunks(crate::store::MOST_ROWS).map(<[Key]>::to_vec).collect()
}
