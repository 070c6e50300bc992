//! Calls about replays of dead letters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::audit::ActedBy;
use super::dead_letter_filter::DeadLetterFilter;
use super::dead_letters::Prediction;
use crate::replay::{ReplayAct, ReplayEnd, ReplayState};
use crate::time::Timestamp;

/// Chooses the dead letters of a replay. The set is fixed from then on; nothing is published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayPlan {
    /// Which ones: those that are dead now.
    pub filter: DeadLetterFilter,
    /// Whether they are to be applied at their new place, whatever has changed since.
    pub force: bool,
    /// Whether it is predicted how each would end.
    pub predict: bool,
    /// Who, and why.
    pub by: ActedBy,
}

/// Begins a planned replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayStart {
    /// Which one.
    pub replay: Uuid,
    /// How many are published in a second at most.
    pub rate: Option<u32>,
    /// After how many that are dead again or refused it stops.
    pub max_failures: Option<u32>,
    /// Who, and why.
    pub by: ActedBy,
}

/// Pauses, resumes or stops a replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayChange {
    /// Which one.
    pub replay: Uuid,
    /// What is asked of it.
    pub act: ReplayAct,
    /// Who, and why.
    pub by: ActedBy,
}

/// Lists the newest replays.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayList {}

/// Shows one replay with its dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayShow {
    /// Which one.
    pub replay: Uuid,
    /// With each of its dead letters.
    pub items: bool,
}

/// A replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// Its id, which is the plan's.
    pub id: Uuid,
    /// Where it stands.
    pub state: ReplayState,
    /// The filter that chose its dead letters.
    pub filter: String,
    /// Whether they are applied at their new place.
    pub force: bool,
    /// How many are published in a second at most.
    pub rate: Option<u32>,
    /// After how many failures it stops.
    pub max_failures: Option<u32>,
    /// Who planned or began it.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// When it was planned.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When each of its dead letters had ended, or it was stopped.
    pub ended_at: Option<Timestamp>,
    /// Why it stopped, if not by an operator.
    pub note: Option<String>,
    /// How many dead letters it has.
    pub total: u64,
    /// How many of them wait.
    pub waiting: u64,
    /// How many of them are in the log.
    pub in_log: u64,
    /// How many of them ended, and how.
    pub ends: BTreeMap<ReplayEnd, u64>,
    /// Each of them, if that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ReplayItem>,
}

/// One dead letter of a replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayItem {
    /// The dead letter.
    pub letter: u64,
    /// Its operation, where it can be read.
    pub operation: Option<Uuid>,
    /// How it would have ended when the replay was planned.
    pub prediction: Option<Prediction>,
    /// `waiting`, `sent`, or how it ended.
    pub state: String,
    /// Why it ended so.
    pub detail: Option<String>,
}
