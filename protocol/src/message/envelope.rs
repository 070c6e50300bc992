//! What surrounds every command in the log: who asked for what, when, and until when it counts.

use serde::{Deserialize, Serialize};

use crate::id::{IngressId, OperationId, ResourceId, TokenId, WorkspaceId};
use crate::message::command::Command;
use crate::ownership::Source;
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::Extensions;
use crate::time::Timestamp;

/// The format that this build writes. Readers accept every version from 1 up to this one. What an older reader would
/// leave out makes a new version: it hands the message back for a newer worker.
pub const FORMAT_VERSION: u16 = 1;

/// A command with everything that applying it needs. JSON on the wire, serialised once; the predecessor is not in here
/// but in the header that the broker itself checked ([`header::PREDECESSOR`](super::header::PREDECESSOR)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope<T> {
    /// The format of this envelope: [`FORMAT_VERSION`] when written.
    #[serde(rename = "v")]
    pub version: u16,
    /// The request, and the key of its ledger row.
    pub operation: OperationId,
    /// The workspace that the token belongs to.
    pub workspace: WorkspaceId,
    /// The kind of resource.
    pub resource_type: ResourceType,
    /// The resource; for a create, the id that it will get.
    pub resource: ResourceId,
    /// Who asks: decides which attributes may be written (see [`crate::ownership`]).
    pub source: Source,
    /// The credential that authorised the request; none for the product's own commands.
    pub token: Option<TokenId>,
    /// Identifies the same request sent again.
    pub fingerprint: Fingerprint,
    /// The ingress that waits for the outcome.
    pub ingress: IngressId,
    /// A copy stored after this time is refused, unless its attempt says until when it is valid
    /// (`Rosterd-Valid-Until`).
    pub deadline: Timestamp,
    /// W3C trace context (`traceparent`) of the HTTP request.
    pub trace: Option<String>,
    /// The workspace's own schemas, as they were when the command was accepted.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    pub extensions: Extensions,
    /// What is asked for.
    pub body: T,
}

/// SHA-256 over method, path, body and precondition of a request, as lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// Why bytes from the log are not an envelope that this build can apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer build: a newer worker can read it.
    #[error("envelope version {0} is newer than {FORMAT_VERSION}")]
    TooNew(u16),
    /// No version can read it. Says where, never what: the bytes may hold personal data.
    #[error("not an envelope: {0}")]
    Undecodable(String),
}

impl Envelope<Command> {
    /// The bytes for the log.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads an envelope of any known version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let read = serde_json::from_slice::<Self>(bytes);
        // A newer one may have another form: only its version is looked at.
        let version = match &read {
            Ok(envelope) => envelope.version,
            Err(_) => serde_json::from_slice::<Head>(bytes).map_err(|error| undecodable(&error))?.v,
        };
        match version {
            0 => Err(DecodeError::Undecodable("version 0 does not exist".to_owned())),
            1..=FORMAT_VERSION => read.map_err(|error| undecodable(&error)),
            newer => Err(DecodeError::TooNew(newer)),
        }
    }
}

/// What every envelope has.
#[derive(Deserialize)]
struct Head {
    v: u16,
}

/// Category and position only: `serde_json`'s own text may quote the value that it choked on.
fn undecodable(error: &serde_json::Error) -> DecodeError {
    let what = match error.classify() {
        serde_json::error::Category::Io | serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data => "a field is missing or of the wrong type",
    };
    DecodeError::Undecodable(format!("{what}, at line {} column {}", error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_envelope_is_told_apart_from_garbage() {
        assert_eq!(Envelope::decode(br#"{"v":9,"future":true}"#), Err(DecodeError::TooNew(9)));
        assert!(matches!(Envelope::decode(b"not json"), Err(DecodeError::Undecodable(_))));
        assert!(matches!(Envelope::decode(br#"{"v":1}"#), Err(DecodeError::Undecodable(_))));
        assert!(matches!(Envelope::decode(br#"{"v":0}"#), Err(DecodeError::Undecodable(_))));
    }

    #[test]
    fn a_decoding_error_never_quotes_the_message() {
        let Err(error) = Envelope::decode(br#"{"v":1,"operation":"alice@example.com"}"#) else { panic!() };
        assert!(!error.to_string().contains("alice"), "{error}");
    }
}
