//! How what is there can differ from what must be there, each with its sentence.

use std::fmt;

use serde::Serialize;

use super::Kind;

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "difference")]
pub enum Difference {
    /// Acknowledged, but not there.
    Missing {
        /// What it is.
        kind: Kind,
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// There more than once.
    Doubled {
        /// What it is.
        kind: Kind,
        /// The name.
        name: String,
        /// The id of each.
        ids: Vec<String>,
    },
    /// Another value than the last one that was acknowledged.
    Changed {
        /// What it is.
        kind: Kind,
        /// Its id.
        id: String,
        /// In what it differs.
        #[serde(flatten)]
        attribute: AttributeDifference,
    },
    /// There, although this run never got an answer that says so.
    Unexpected {
        /// What it is.
        kind: Kind,
        /// Its id.
        id: String,
        /// Its name.
        name: String,
    },
    /// Deleted, but still readable.
    StillThere {
        /// Its id.
        id: String,
    },
    /// A membership that was acknowledged is not there.
    MemberMissing {
        /// The group's id.
        group: String,
        /// The person's id.
        member: String,
    },
    /// A membership that should not be.
    MemberUnexpected {
        /// The group's id.
        group: String,
        /// The person's id.
        member: String,
    },
    /// A membership that is listed more than once.
    MemberDoubled {
        /// The group's id.
        group: String,
        /// The person's id.
        member: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { kind, id, name } => write!(f, "{kind} {name} ({id}) is missing"),
            Self::Doubled { kind, name, ids } => {
                write!(f, "{kind} {name} is there {} times: {}", ids.len(), ids.join(", "))
            }
            Self::Changed { kind, id, attribute: AttributeDifference { attribute, expected, found } } => {
                let text =
                    |value: &Option<String>| value.as_ref().map_or_else(|| "nothing".to_owned(), |v| format!("{v:?}"));
                write!(f, "{kind} {id}: {attribute} is {}, expected {}", text(found), text(expected))
            }
            Self::Unexpected { kind, id, name } => write!(f, "{kind} {name} ({id}) is unexpected"),
            Self::StillThere { id } => write!(f, "{id} was deleted and is still there"),
            Self::MemberMissing { group, member } => write!(f, "group {group}: member {member} is missing"),
            Self::MemberUnexpected { group, member } => write!(f, "group {group}: member {member} is unexpected"),
            Self::MemberDoubled { group, member } => write!(f, "group {group}: member {member} is listed twice"),
        }
    }
}

/// One attribute that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttributeDifference {
    /// Its name.
    pub attribute: String,
    /// What it must be; none for no value.
    pub expected: Option<String>,
    /// What it is.
    pub found: Option<String>,
}
