//! A dead letter as the command that it holds.

use bytes::Bytes;
use protocol::message::command::Command;
use protocol::message::envelope::{DecodeError, Envelope};
use protocol::message::lane::Lane;
use protocol::replay::Replayed;
use protocol::scim::body::{ResourceBody, UnparsedBody};
use protocol::scim::dialect::Dialect;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::patch::PatchRequest;
use protocol::time::Timestamp;
use serde_json::{Value, json};

use crate::accepted::{Accepted, RawMessage};
use crate::log::delivery::came;
use crate::store::entity::dead_letter;
use crate::store::{dead_letters, sequence};

/// The bytes that a replay publishes: the edited ones, if an operator has edited them.
pub(crate) fn bytes(row: &dead_letter::Model) -> &[u8] {
    row.edited.as_deref().unwrap_or(&row.payload)
}

/// The next replay of a dead letter.
pub(crate) fn next_replay(row: &dead_letter::Model, forced: bool) -> Replayed {
    let number = u32::try_from(row.replay).unwrap_or(0).saturating_add(1);
    Replayed { number, letter: sequence(row.sequence), forced }
}

/// The command as a worker would read it from the log if it were replayed at this place of the log, now.
pub(crate) fn accepted(
    row: &dead_letter::Model,
    forced: bool,
    place: u64,
    now: Timestamp,
) -> Result<Accepted, DecodeError> {
    let payload = Bytes::copy_from_slice(bytes(row));
    let envelope = Envelope::decode(&payload)?;
    let raw = RawMessage { subject: row.subject.clone(), headers: dead_letters::headers(&row.headers), payload };
    let replayed = Some(next_replay(row, forced));
    let first = if forced { now } else { row.accepted_at.map_or(now, Timestamp::from_millis) };
    let (accepted_at, arrival) = came(&raw, replayed, first);
    let (epoch, predecessor, lane) = (0, 0, Lane::Bulk);
    Ok(Accepted { epoch, sequence: place, predecessor, lane, accepted_at, arrival, envelope, replayed, raw })
}

/// What a command asks for, as a SCIM body.
pub(crate) fn body_of(command: &Command) -> Value {
    match command {
        Command::Create { attributes, members } | Command::Replace { attributes, members, .. } => {
            let mut body = Value::Object(attributes.as_map().clone());
            if let (false, Some(body)) = (members.is_empty(), body.as_object_mut()) {
                let members = members.iter().map(|id| json!({ "value": id }));
                body.insert("members".to_owned(), members.collect());
            }
            body
        }
        Command::Patch { request, .. } => {
            let operations =
                serde_json::to_value(request).ok().and_then(|mut text| Some(text.get_mut("operations")?.take()));
            json!({ "schemas": [PATCH_OP], "Operations": operations })
        }
        Command::Delete { .. } => Value::Null,
    }
}

const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The same envelope with another body, checked as an ingress checks it.
pub(crate) fn edited(mut envelope: Envelope<Command>, body: &Value) -> Result<Envelope<Command>, ScimError> {
    let schema = envelope.extensions.of(envelope.resource_type);
    let resource = |schema| -> Result<ResourceBody, ScimError> {
        let unparsed: UnparsedBody = serde_json::from_str(&body.to_string())
            .map_err(|_| ScimError::bad_request(ScimType::InvalidSyntax, "the body must be a JSON object"))?;
        unparsed.parse(schema, Dialect::Standard)
    };
    envelope.body = match envelope.body {
        Command::Create { .. } => {
            let ResourceBody { attributes, members } = resource(schema)?;
            Command::Create { attributes, members }
        }
        Command::Replace { precondition, .. } => {
            let ResourceBody { attributes, members } = resource(schema)?;
            Command::Replace { attributes, members, precondition }
        }
        Command::Patch { precondition, .. } => {
            Command::Patch { request: PatchRequest::parse(schema, body.clone())?, precondition }
        }
        Command::Delete { .. } => {
            return Err(ScimError::bad_request(ScimType::InvalidSyntax, "a DELETE has no body to edit"));
        }
    };
    Ok(envelope)
}
