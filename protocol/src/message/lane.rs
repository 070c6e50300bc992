//! Lanes: which of the three queues a command waits in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::message::command::Command;
use crate::scim::resource_type::ResourceType;

/// A queue within the log, served in this order: what takes access away overtakes what a client waits for, which
/// overtakes what has no waiting client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Deactivation and deletion of users.
    Urgent,
    /// Every other request whose client waits for the answer.
    Interactive,
    /// Operations of `/Bulk`, and replays.
    Bulk,
}

impl Lane {
    /// All lanes, in the order in which they are served.
    pub const ALL: [Self; 3] = [Self::Urgent, Self::Interactive, Self::Bulk];

    /// The lane of a command whose sender waits for the outcome.
    pub fn of(resource_type: ResourceType, command: &Command) -> Self {
        if resource_type == ResourceType::User && command.takes_access_away() {
            Self::Urgent
        } else {
            Self::Interactive
        }
    }

    /// Up to how many hundredths of the log the lane may fill it: the rest is for the lanes before it.
    pub const fn share_of_log(self) -> u64 {
        match self {
            Self::Urgent => 100,
            Self::Interactive => 90,
            Self::Bulk => 70,
        }
    }

    /// The lane's word in subjects, consumer names and SQL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = UnknownLane;

    fn from_str(text: &str) -> Result<Self, UnknownLane> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == text).ok_or(UnknownLane)
    }
}

/// The text names no lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a lane is urgent, interactive or bulk")]
pub struct UnknownLane;
