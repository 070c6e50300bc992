//! Reads the creates that those of a batch may repeat. Where no name is taken and nothing was held, nothing is read.

use std::collections::{BTreeSet, HashMap};

use protocol::decide::claimed_names;
use protocol::id::{OperationId, ResourceId};
use protocol::scim::resource_type::ResourceType;
use sea_orm::DatabaseTransaction;

use super::creates::{Request, created, is_held};
use super::holders::Holders;
use super::lock::lock;
use super::working::{Name, WorkingSet};
use crate::accepted::Accepted;
use crate::store::entity::{group, user};
use crate::store::stored_resource::{Key, StoredResource};
use crate::store::{StoreError, answered, ledger};

/// A create whose name is taken.
struct Conflict {
    request: Request,
    name: Name,
    holder: ResourceId,
    created_by: OperationId,
}

/// Reads, and locks what may be answered instead of a new resource.
pub(super) async fn read_creates(
    transaction: &DatabaseTransaction,
    commands: &[&Accepted],
    holders: &Holders,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    let held = commands.iter().filter(|accepted| is_held(accepted) && created(accepted).is_some());
    let held: BTreeSet<String> = held.map(|accepted| accepted.envelope.fingerprint.0.clone()).collect();
    for row in ledger::find_creates(transaction, &held).await? {
        set.creates.remember(&row);
    }
    let conflicts: Vec<Conflict> = commands.iter().filter_map(|accepted| conflict(accepted, holders)).collect();
    let creators: BTreeSet<_> = conflicts.iter().map(|conflict| conflict.created_by.0).collect();
    let mut originals = HashMap::new();
    for row in ledger::find(transaction, &creators.into_iter().collect::<Vec<_>>()).await? {
        set.creates.remember(&row);
        originals.insert(OperationId(row.operation), Request::of_row(&row));
    }
    let repeats = |conflict: &&Conflict| {
        originals.get(&conflict.created_by).is_some_and(|request| request.as_ref() == Some(&conflict.request))
    };
    let repeated: Vec<&Conflict> = conflicts.iter().filter(repeats).collect();
    lock_repeated(transaction, &repeated, set).await?;
    let operations: BTreeSet<_> = repeated.iter().map(|conflict| conflict.created_by).collect();
    for operation in answered::find(transaction, &operations.into_iter().collect::<Vec<_>>()).await? {
        set.creates.answered(operation);
    }
    Ok(())
}

fn conflict(accepted: &Accepted, holders: &Holders) -> Option<Conflict> {
    let request = created(accepted)?;
    let envelope = &accepted.envelope;
    let name = claimed_names(envelope.resource_type, &envelope.body).pop()?;
    let name = (envelope.workspace.clone(), envelope.resource_type, name);
    let holder = holders.of(&name).filter(|holder| holder.id != envelope.resource)?;
    Some(Conflict { request, name, holder: holder.id, created_by: holder.created_by? })
}

/// What is answered stays as it is until the commit.
async fn lock_repeated(
    transaction: &DatabaseTransaction,
    repeated: &[&Conflict],
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for Conflict { name: (workspace, resource_type, _), holder, .. } in repeated {
        let key = Key { workspace: workspace.clone(), id: *holder };
        match resource_type {
            ResourceType::User if !set.users.contains_key(&key) => users.insert(key),
            ResourceType::Group if !set.groups.contains_key(&key) => groups.insert(key),
            ResourceType::User | ResourceType::Group => false,
        };
    }
    lock::<user::Entity>(transaction, &users, set).await?;
    lock::<group::Entity>(transaction, &groups, set).await?;
    for Conflict { name: (workspace, resource_type, name), holder, .. } in repeated {
        let key = Key { workspace: workspace.clone(), id: *holder };
        let image = set.current(*resource_type, &key);
        if image.and_then(StoredResource::name).as_ref() != Some(name) {
            return Err(StoreError::lost_race("locking what a create repeats"));
        }
    }
    Ok(())
}
