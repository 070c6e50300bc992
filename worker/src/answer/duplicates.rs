//! The outcome of a create that was refused because it repeats another one.

use protocol::id::{IngressId, OperationId};
use protocol::message::outcome::Outcome;
use protocol::scim::list::Include;

use super::{complete, find, place_of};
use crate::store::entity::operation;
use crate::store::{Store, StoreError, answered, ledger};

/// The same outcome again, as long as the original's resource is there and its answer has not gone out; after that, and for
/// whatever else was refused, the refusal.
pub(super) async fn refused(store: &Store, row: &operation::Model) -> Result<Outcome, StoreError> {
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
    let Some(image) = find(&snapshot, &workspace, target).await? else { return Ok(refusal) };
    let resource = complete(&snapshot, &workspace, image, Include::ALL).await?;
    Ok(Outcome::Duplicate { operation, ingress, resource: Box::new(resource) })
}
