//! What a run looked like from outside: every attempt over HTTP with its start, its end and its outcome.
//!
//! [`Recorder`] writes it while it happens, [`verify`] judges it afterwards, [`History::save`] keeps it, so that a failed
//! run can be judged again. Times are microseconds since the run began, by one monotonic clock.

mod cases;
mod fake;
mod file;
mod judge;
mod proof;
mod recorder;
mod summary;
mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use judge::verify;
pub(crate) use recorder::Recorder;
pub(crate) use summary::Summary;
pub(crate) use violation::{Kind, Violation};

/// Microseconds since the run began.
pub(crate) type Micros = u64;

/// Every attempt of a run, in the order of their starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct History {
    pub(crate) attempts: Vec<Attempt>,
    /// When the broker's clock stepped.
    pub(crate) clock_steps: Vec<Micros>,
    /// From when to when an ingress was frozen.
    pub(crate) standstills: Vec<(Micros, Micros)>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// A logical client: one attempt at a time. After an unknown outcome it goes on as a new process.
    pub(crate) process: u32,
    pub(crate) start: Micros,
    /// None: never answered before the end of the run.
    pub(crate) end: Option<Micros>,
    pub(crate) operation: Operation,
    pub(crate) outcome: Outcome,
}

/// What was asked. Every written value, the booleans aside, is unique in the run, so that whoever reads it names its
/// write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Operation {
    /// `marker` is the externalId: it names this attempt for ever, whatever id the server gives.
    CreateUser {
        user_name: String,
        marker: String,
        values: Values,
    },
    /// A PATCH of one attribute, or a PUT of all.
    UpdateUser {
        user: String,
        values: Values,
    },
    SetActive {
        user: String,
        active: bool,
    },
    DeleteUser {
        user: String,
    },
    CreateGroup {
        name: String,
        marker: String,
    },
    RenameGroup {
        group: String,
        name: String,
    },
    DeleteGroup {
        group: String,
    },
    AddMember {
        group: String,
        user: String,
    },
    RemoveMember {
        group: String,
        user: String,
    },
    ReadUser {
        user: String,
    },
    ReadGroup {
        group: String,
    },
    /// A list of users, filtered by their userName.
    FindUsers {
        user_name: String,
    },
}

/// What it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A 2xx, and the resources that it showed.
    Ok { shown: Vec<Sight> },
    /// A 4xx: no effect. Without a status: no connection was made, so nothing was sent.
    Fail { status: Option<u16> },
    /// A broken connection, a timeout or a 5xx: it took effect, or did not, or still will.
    Unknown { status: Option<u16>, why: String },
    /// Never answered before the end of the run.
    Pending,
}

/// A resource as an answer showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "resource", rename_all = "snake_case")]
pub(crate) enum Sight {
    User(UserSight),
    Group(GroupSight),
}

/// A user as an answer showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserSight {
    pub(crate) id: String,
    pub(crate) user_name: String,
    pub(crate) marker: String,
    pub(crate) values: Values,
    pub(crate) active: bool,
    /// The number in `meta.version`.
    pub(crate) version: Option<u64>,
}

/// A group as an answer showed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupSight {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) marker: String,
    pub(crate) members: BTreeSet<String>,
}

/// Values by attribute.
pub(crate) type Values = BTreeMap<Attribute, String>;

/// The attributes of a user that the workload writes: each is a register of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Attribute {
    Title,
    DisplayName,
    NickName,
    Timezone,
    FamilyName,
}

/// Everything there is once all is at rest, read twice: by list, and one by one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) listed_users: Vec<UserSight>,
    pub(crate) listed_groups: Vec<GroupSight>,
    /// By id, every id that was ever seen; None: 404.
    pub(crate) read_users: BTreeMap<String, Option<UserSight>>,
    pub(crate) read_groups: BTreeMap<String, Option<GroupSight>>,
}

impl Attribute {
    pub(crate) const ALL: [Self; 5] =
        [Self::Title, Self::DisplayName, Self::NickName, Self::Timezone, Self::FamilyName];

    /// The path in SCIM.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::DisplayName => "displayName",
            Self::NickName => "nickName",
            Self::Timezone => "timezone",
            Self::FamilyName => "name.familyName",
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.path())
    }
}

impl Operation {
    /// What a report calls it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::CreateUser { .. } => "create user",
            Self::UpdateUser { .. } => "update user",
            Self::SetActive { active: true, .. } => "reactivate user",
            Self::SetActive { active: false, .. } => "deactivate user",
            Self::DeleteUser { .. } => "delete user",
            Self::CreateGroup { .. } => "create group",
            Self::RenameGroup { .. } => "rename group",
            Self::DeleteGroup { .. } => "delete group",
            Self::AddMember { .. } => "add member",
            Self::RemoveMember { .. } => "remove member",
            Self::ReadUser { .. } => "read user",
            Self::ReadGroup { .. } => "read group",
            Self::FindUsers { .. } => "find users",
        }
    }

    /// The id in the request's path.
    pub(crate) fn target(&self) -> Option<&str> {
        match self {
            Self::CreateUser { .. } | Self::CreateGroup { .. } | Self::FindUsers { .. } => None,
            Self::UpdateUser { user, .. }
            | Self::SetActive { user, .. }
            | Self::DeleteUser { user }
            | Self::ReadUser { user } => Some(user),
            Self::RenameGroup { group, .. }
            | Self::DeleteGroup { group }
            | Self::AddMember { group, .. }
            | Self::RemoveMember { group, .. }
            | Self::ReadGroup { group } => Some(group),
        }
    }

    /// Whether it is about a group, and which resource the request's path names.
    pub(crate) fn resource(&self) -> Option<(bool, &str)> {
        let is_group = matches!(
            self,
            Self::RenameGroup { .. }
                | Self::DeleteGroup { .. }
                | Self::AddMember { .. }
                | Self::RemoveMember { .. }
                | Self::ReadGroup { .. }
        );
        self.target().map(|id| (is_group, id))
    }

    pub(crate) const fn is_delete(&self) -> bool {
        matches!(self, Self::DeleteUser { .. } | Self::DeleteGroup { .. })
    }

    pub(crate) const fn is_write(&self) -> bool {
        !matches!(self, Self::ReadUser { .. } | Self::ReadGroup { .. } | Self::FindUsers { .. })
    }
}

impl Outcome {
    /// What a report calls it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Fail { .. } => "fail",
            Self::Unknown { .. } => "unknown",
            Self::Pending => "pending",
        }
    }
}

impl Sight {
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::User(user) => &user.id,
            Self::Group(group) => &group.id,
        }
    }
}

impl Attempt {
    /// The resources that the answer showed.
    pub(crate) fn shown(&self) -> &[Sight] {
        match &self.outcome {
            Outcome::Ok { shown } => shown,
            Outcome::Fail { .. } | Outcome::Unknown { .. } | Outcome::Pending => &[],
        }
    }
}
