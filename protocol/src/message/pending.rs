//! What the log holds and why it waits: one worker lists it, each worker says what it has of it.

use serde::{Deserialize, Serialize};

use crate::id::{ResourceId, WorkspaceId};
use crate::message::lane::Lane;
use crate::scim::resource_type::ResourceType;
use crate::time::Timestamp;

/// The most messages that are listed, and the most that a worker tells of.
pub const MAX_LISTED: usize = 100;

/// A message that the log holds, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingMessage {
    /// Its number in the log.
    pub sequence: u64,
    /// When the log accepted it.
    pub accepted_at: Timestamp,
    /// What its subject names; none if that is not one of a command.
    pub target: Option<PendingTarget>,
    /// The version of its form, if the worker that lists it cannot read that.
    pub too_new: Option<u16>,
}

/// What a message's subject names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingTarget {
    /// The lane in which it waits.
    pub lane: Lane,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The kind of resource.
    pub resource_type: ResourceType,
    /// The resource that it changes.
    pub resource: ResourceId,
}

/// A message that a worker has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Its number in the log.
    pub sequence: u64,
    /// Why it waits there.
    pub why: WhyWaits,
}

/// Why a message waits in a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhyWaits {
    /// It is in a batch that runs.
    Running,
    /// It is in none yet.
    Queued,
    /// For this predecessor.
    Predecessor(u64),
    /// It could not be applied by itself, and is tried again.
    Failed,
    /// Another transaction has a row that it needs, and it is tried again.
    Locked,
}
