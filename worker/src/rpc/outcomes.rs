//! Sends outcomes to the ingresses that wait.

use protocol::failpoint::Failpoint;
use protocol::id::{IngressId, OperationId};
use protocol::message::attempt::LateCopy;
use protocol::message::outcome::{Outcome, OutcomeMessage};
use runtime::failpoint;
use tracing::{debug, warn};

use crate::log::Log;

/// Answers the ingress that waits. At most once by nature: an ingress that hears nothing asks for the ledger.
pub(crate) async fn answer(log: &Log, ingress: &IngressId, operation: OperationId, outcome: Outcome) {
    let client = log.connection.client();
    let payload = match payload(OutcomeMessage { operation, outcome }, client.max_payload()) {
        Ok(Some(payload)) => payload,
        Ok(None) => return debug!(%operation, "not answered: too large for a message; the ingress will ask"),
        Err(error) => return warn!(%operation, %error, "the outcome of {operation} cannot be written as JSON"),
    };
    if !log.connection.is_up() {
        return debug!(%operation, "not answered: the broker is away; the ingress will ask");
    }
    failpoint::hit(Failpoint::WorkerAnswerBefore).await;
    if let Err(error) = client.publish(log.namespace.outcomes(ingress), payload.into()).await {
        warn!(%operation, %error, "the outcome of {operation} was not sent; the ingress will ask for it");
    }
    failpoint::hit(Failpoint::WorkerAnswerAfter).await;
}

/// Tells the ingress that one of its attempts was stored too late: if it still waits, it appends another.
pub(crate) async fn tell_late(log: &Log, ingress: &IngressId, notice: &LateCopy) {
    let operation = notice.operation;
    let Ok(payload) = serde_json::to_vec(notice) else { return };
    if !log.connection.is_up() {
        return debug!(%operation, "a late copy is not told of: the broker is away; the ingress will ask");
    }
    let subject = log.namespace.late_copies(ingress);
    if let Err(error) = log.connection.client().publish(subject, payload.into()).await {
        warn!(%operation, %error, "a late copy of {operation} was not told of; the ingress will ask");
    }
}

/// The message, at most `limit` bytes: rather without a group's members, which the ingress then asks for by pages. None if
/// it is too large all the same: an answer to a question may come in parts.
fn payload(mut message: OutcomeMessage, limit: usize) -> serde_json::Result<Option<Vec<u8>>> {
    let whole = serde_json::to_vec(&message)?;
    if whole.len() <= limit {
        return Ok(Some(whole));
    }
    message.outcome.page_members();
    Ok(Some(serde_json::to_vec(&message)?).filter(|payload| payload.len() <= limit))
}

#[cfg(test)]
mod tests {
    use protocol::id::ResourceId;
    use protocol::scim::attributes::Attributes;
    use protocol::scim::members::{Member, Members};
    use protocol::scim::resource::{Meta, Ownership, Resource, Version};
    use protocol::scim::resource_type::ResourceType;
    use protocol::time::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn message(name: &str, members: usize) -> OutcomeMessage {
        let attributes = json!({ "displayName": name });
        let member = Member { id: ResourceId(Uuid::nil()), resource_type: ResourceType::User, display: None };
        let now = Timestamp::from_millis(0);
        let resource = Resource {
            resource_type: ResourceType::Group,
            id: ResourceId(Uuid::nil()),
            attributes: Attributes::from_stored(attributes.as_object().unwrap().clone()),
            members: Members::Read(vec![member; members]),
            groups: Vec::new(),
            meta: Meta { created: now, last_modified: now, version: Version::FIRST },
            ownership: Ownership::default(),
        };
        OutcomeMessage {
            operation: OperationId(Uuid::nil()),
            outcome: Outcome::Updated { resource: Box::new(resource) },
        }
    }

    #[test]
    fn an_outcome_that_is_too_large_leaves_its_members_apart_or_is_asked_for() {
        let sent = |message: OutcomeMessage| {
            let payload = payload(message, 1000).unwrap()?;
            let read: OutcomeMessage = serde_json::from_slice(&payload).unwrap();
            let Outcome::Updated { resource } = read.outcome else { panic!() };
            Some((resource.members == Members::Paged, matches!(resource.members, Members::Read(_))))
        };
        assert_eq!(sent(message("Staff", 3)), Some((false, true)));
        assert_eq!(sent(message("Staff", 100)), Some((true, false)));
        assert_eq!(sent(message(&"x".repeat(1000), 3)), None);
    }
}
