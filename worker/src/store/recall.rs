//! Outcomes as the ledger recalls them, with the resources as they are now.

use protocol::id::{IngressId, OperationId, ResourceId, WorkspaceId};
use protocol::message::outcome::Outcome;
use protocol::scim::attributes::Attributes;
use protocol::scim::resource::{Meta, Ownership, Resource, Version};
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use serde_json::Map;

use super::entity::operation;
use super::ledger::{self, State};
use super::resources::read;
use super::{Store, StoreError, answered};

/// What became of an operation of this workspace.
pub(crate) async fn outcome(
    store: &Store,
    workspace: &WorkspaceId,
    operation: OperationId,
) -> Result<Option<Outcome>, StoreError> {
    let rows = ledger::find(store.reader(), &[operation.0]).await?;
    match rows.iter().find(|row| row.workspace == workspace.as_str()) {
        Some(row) => outcome_of(store, row).await.map(Some),
        None => Ok(None),
    }
}

/// The outcome that a ledger row remembers, with the resource as it is now.
pub(crate) async fn outcome_of(store: &Store, row: &operation::Model) -> Result<Outcome, StoreError> {
    match State::of(row)? {
        State::Applied => {}
        State::Superseded => return Ok(Outcome::Superseded),
        State::Rejected => return refused(store, row).await,
        State::Dead => return Ok(Outcome::Rejected { error: ledger::error_of(row) }),
    }
    match (row.status, row.version) {
        (204, Some(version)) => Ok(Outcome::UpdatedWithoutBody { version: Version::from_number(version) }),
        (204, None) => Ok(Outcome::Deleted),
        (status, _) => {
            let (workspace, target) = place_of(row)?;
            let snapshot = store.snapshot().await?;
            let resource = read(&snapshot, &workspace, target).await?;
            Ok(match resource.map(Box::new) {
                Some(resource) if status == 201 => Outcome::Created { resource },
                Some(resource) => Outcome::Updated { resource },
                // It was done, and a later command deleted the resource before this answer: still no refusal.
                None if status == 201 => Outcome::Created { resource: Box::new(gone(row, target.0)) },
                None => Outcome::UpdatedWithoutBody { version: Version::from_number(row.version.unwrap_or_default()) },
            })
        }
    }
}

/// The resource that a ledger row names.
fn place_of(row: &operation::Model) -> Result<(WorkspaceId, (ResourceType, ResourceId)), StoreError> {
    let unknown = || StoreError::broken("reading the ledger", "a row has an unknown resource type");
    let resource_type = ResourceType::ALL.into_iter().find(|kind| kind.name() == row.resource_type);
    let workspace = WorkspaceId::try_from(row.workspace.clone());
    let workspace = workspace.map_err(|error| StoreError::broken("reading the ledger", error))?;
    Ok((workspace, (resource_type.ok_or_else(unknown)?, ResourceId(row.resource))))
}

/// What the ledger alone knows of a resource that it saw created.
fn gone(row: &operation::Model, resource_type: ResourceType) -> Resource {
    let created = Timestamp::from_millis(row.applied_at);
    let version = Version::from_number(row.version.unwrap_or_default());
    Resource {
        resource_type,
        id: ResourceId(row.resource),
        attributes: Attributes::from_stored(Map::new()),
        members_apart: false,
        meta: Meta { created, last_modified: created, version },
        ownership: Ownership::default(),
    }
}

/// What was refused. A create that repeats another one gets the other's resource, as long as that is there and the answer
/// to the original has not gone out.
async fn refused(store: &Store, row: &operation::Model) -> Result<Outcome, StoreError> {
    let refusal = Outcome::Rejected { error: ledger::error_of(row) };
    let Some(original) = row.duplicate_of else { return Ok(refusal) };
    let snapshot = store.snapshot().await?;
    let Some(original) = ledger::find(&snapshot, &[original]).await?.pop() else { return Ok(refusal) };
    let operation = OperationId(original.operation);
    let ingress = original.ingress.clone().and_then(|ingress| IngressId::try_from(ingress).ok());
    let Some(ingress) = ingress else { return Ok(refusal) };
    if !answered::find(&snapshot, &[operation]).await?.is_empty() {
        return Ok(refusal);
    }
    let (workspace, target) = place_of(&original)?;
    let Some(resource) = read(&snapshot, &workspace, target).await? else { return Ok(refusal) };
    Ok(Outcome::Duplicate { operation, ingress, resource: Box::new(resource) })
}
