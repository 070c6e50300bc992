//! Resources as they are answered: found by id, with the members or groups that are read beside their rows.

use protocol::id::{ResourceId, WorkspaceId};
use protocol::scim::list::Include;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

use super::entity::{group, user};
use super::lookup::{Lock, look_up_rows};
use super::resource_table::ResourceTable;
use super::stored_resource::{StoredResource, set_groups, set_members};
use super::{Context, StoreError, members};

/// The most member rows that one answer reads with its resources.
pub(crate) const MAX_TOGETHER: u64 = 2_000;

/// One resource whole, at the moment of the snapshot.
pub(crate) async fn read(
    snapshot: &DatabaseTransaction,
    workspace: &WorkspaceId,
    target: (ResourceType, ResourceId),
) -> Result<Option<Resource>, StoreError> {
    match find(snapshot, workspace, target).await? {
        Some(stored) => complete(snapshot, workspace, stored, Include::ALL).await.map(Some),
        None => Ok(None),
    }
}

/// One resource's row.
pub(crate) async fn find(
    snapshot: &DatabaseTransaction,
    workspace: &WorkspaceId,
    (resource_type, id): (ResourceType, ResourceId),
) -> Result<Option<StoredResource>, StoreError> {
    match resource_type {
        ResourceType::User => find_in::<user::Entity>(snapshot, workspace, id).await,
        ResourceType::Group => find_in::<group::Entity>(snapshot, workspace, id).await,
    }
}

async fn find_in<E: ResourceTable>(
    snapshot: &DatabaseTransaction,
    workspace: &WorkspaceId,
    id: ResourceId,
) -> Result<Option<StoredResource>, StoreError> {
    let keys = [[workspace.as_str().into(), id.0.into()]];
    let rows = look_up_rows::<E, 2>(snapshot, E::KEY, &keys, Lock::None).await.context("reading a resource")?;
    rows.into_iter().find(|row| E::fence(row).is_none()).map(E::read).transpose()
}

/// A group with its members, if they are not too many, a user with its groups, at the moment of the row.
pub(crate) async fn complete(
    snapshot: &DatabaseTransaction,
    workspace: &WorkspaceId,
    stored: StoredResource,
    joined: Include,
) -> Result<Resource, StoreError> {
    let StoredResource { mut resource, member_count, .. } = stored;
    resource.members_apart = joined.members && member_count > MAX_TOGETHER;
    read_joined(snapshot, workspace, joined, std::slice::from_mut(&mut resource)).await?;
    Ok(resource)
}

/// Reads what is neither in the resources' own rows nor left apart: one statement for all members, one for all groups of
/// users.
pub(crate) async fn read_joined(
    connection: &impl ConnectionTrait,
    workspace: &WorkspaceId,
    joined: Include,
    resources: &mut [Resource],
) -> Result<(), StoreError> {
    let ids = |kind: ResourceType, wanted: bool| -> Vec<ResourceId> {
        let here = |one: &&Resource| wanted && one.resource_type == kind && !one.members_apart;
        resources.iter().filter(here).map(|one| one.id).collect()
    };
    let mut members = members::of_groups(connection, workspace, &ids(ResourceType::Group, joined.members)).await?;
    let mut groups = members::groups_of(connection, workspace, &ids(ResourceType::User, joined.groups)).await?;
    for resource in resources {
        match resource.resource_type {
            ResourceType::User => set_groups(resource, &groups.remove(&resource.id).unwrap_or_default()),
            ResourceType::Group => set_members(resource, &members.remove(&resource.id).unwrap_or_default()),
        }
    }
    Ok(())
}
