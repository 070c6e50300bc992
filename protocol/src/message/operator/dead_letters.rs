//! Calls about dead letters.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::audit::ActedBy;
use super::dead_letter_filter::{DeadCause, DeadLetterFilter, DeadLetterState};
use crate::id::{ResourceId, WorkspaceId};
use crate::time::Timestamp;

/// Lists dead letters, newest first, and counts them by cause.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterList {
    /// Which ones.
    pub filter: DeadLetterFilter,
    /// Only ids below this one: the last of the page before.
    pub before: Option<u64>,
    /// How many at most; 100 without it, 1,000 at most.
    pub limit: Option<u32>,
}

/// Shows one dead letter with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterShow {
    /// Its id.
    pub letter: u64,
    /// With personal data: audited.
    pub reveal: bool,
    /// Who asks.
    pub by: ActedBy,
}

/// Replaces the body of a dead letter's command; the message as it was stays beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterEdit {
    /// Its id.
    pub letter: u64,
    /// A SCIM body: a resource for a create or a replacement, a `PatchOp` for a patch.
    pub body: Value,
    /// Who, and why.
    pub by: ActedBy,
}

/// Gives dead letters up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterDiscard {
    /// Which ones; those that are dead.
    pub filter: DeadLetterFilter,
    /// Who, and why: a reason is needed.
    pub by: ActedBy,
}

/// Reads whole dead letters, personal data included: audited.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterExport {
    /// Which ones.
    pub filter: DeadLetterFilter,
    /// Only ids above this one: the last of the page before.
    pub after: u64,
    /// Who, and why.
    pub by: ActedBy,
}

/// Dead letters, in all and some of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// How many there are in all.
    pub total: u64,
    /// How many for each cause, the most frequent first.
    pub causes: Vec<CauseCount>,
    /// The newest, or the next page of them.
    pub dead_letters: Vec<DeadLetter>,
}

/// The dead letters of one cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseCount {
    /// The same for the same reason.
    pub fingerprint: String,
    /// The cause.
    pub cause: DeadCause,
    /// The reason of one of them.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// When the first of them was set aside.
    pub first: Timestamp,
    /// When the last of them was set aside.
    pub last: Timestamp,
}

/// A message that could not be applied, without its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The dead letter's id: the message's sequence in the log.
    pub sequence: u64,
    /// Its operation, where it can be read.
    pub operation: Option<Uuid>,
    /// Its workspace, where the message or its subject names one.
    pub workspace: Option<WorkspaceId>,
    /// The resource, where it can be read.
    pub resource: Option<ResourceId>,
    /// The kind of command, where it can be read.
    pub kind: Option<String>,
    /// The subject on which it was published.
    pub subject: String,
    /// Why it is one.
    pub cause: DeadCause,
    /// Why it could not be applied; never quotes the message.
    pub reason: String,
    /// The same for the same reason.
    pub fingerprint: String,
    /// What has become of it.
    pub state: DeadLetterState,
    /// How often it was replayed.
    pub replays: u32,
    /// Whether an operator has edited it.
    pub edited: bool,
    /// The message's size in bytes.
    pub bytes: u64,
    /// When it was set aside last.
    pub dead_at: Timestamp,
}

/// One dead letter with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterDetail {
    /// What the list says of it.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// When the log accepted it, where it can be read.
    pub accepted_at: Option<Timestamp>,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// The command as a SCIM body, as a replay would apply it. None if it cannot be read.
    pub payload: Option<Value>,
    /// The command as it was before an operator edited it.
    pub original: Option<Value>,
    /// Each attempt's error, the first one first.
    pub errors: Vec<DeadLetterError>,
    /// The resource as it is stored now.
    pub stored: Option<Value>,
    /// How a replay would end now, and why.
    pub prediction: Option<Prediction>,
    /// What a replay would change of it, attribute by attribute.
    pub difference: Vec<AttributeDifference>,
}

/// Why one attempt to apply a dead letter failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterError {
    /// 0 for the first message, then the number of the replay.
    pub replay: u32,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// How a replay would end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// How. None where only a replay can tell: the command crashed workers, and is not tried for a prediction.
    pub end: Option<crate::replay::ReplayEnd>,
    /// Why.
    pub detail: Option<String>,
}

/// One attribute before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeDifference {
    /// The attribute.
    pub attribute: String,
    /// What is stored.
    pub stored: Value,
    /// What a replay would make of it.
    pub replayed: Value,
}

/// How many dead letters an act changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLettersChanged {
    /// How many.
    pub count: u64,
}

/// A whole dead letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedDeadLetter {
    /// What the list says of it.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its bytes, as hexadecimal digits.
    pub payload: String,
}
