//! The audit log: what operators did, who and why.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::id::WorkspaceId;
use crate::time::Timestamp;

/// Who acts, and why. Part of every call that the audit log records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActedBy {
    /// Who, as the caller says.
    pub actor: String,
    /// Why, in the caller's words.
    pub reason: Option<String>,
}

/// Reads the audit log, newest first. Each condition that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditLog {
    /// By whom.
    pub actor: Option<String>,
    /// What was done: a verb, or the beginning of one up to a hyphen.
    pub act: Option<String>,
    /// In which workspace.
    pub workspace: Option<WorkspaceId>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Only acts before this one: the last of the page before.
    pub before: Option<Uuid>,
    /// How many at most; 1,000 at most are given.
    pub limit: Option<u32>,
}

/// One act of an operator, as it was committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its id; ids sort by time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who, as the caller said.
    pub actor: String,
    /// What was done: the verb of the call.
    pub act: String,
    /// In which workspace, if in one.
    pub workspace: Option<WorkspaceId>,
    /// To what: an id, or the filter that chose it.
    pub target: String,
    /// Why.
    pub reason: Option<String>,
    /// How many of what.
    pub counts: Map<String, Value>,
}
