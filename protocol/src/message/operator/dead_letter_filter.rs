//! Which dead letters are meant: `workspace:acme error:data since:24h`. The one parser of this form.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{ResourceId, WorkspaceId};
use crate::time::Since;

/// Conditions that all have to hold. Words are separated by spaces; a bare number is the id of a dead letter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeadLetterFilter {
    /// These only; all if it is empty.
    pub letters: BTreeSet<u64>,
    /// Of this workspace.
    pub workspace: Option<WorkspaceId>,
    /// Of this resource.
    pub resource: Option<ResourceId>,
    /// Of this kind of command: create, replace, patch or delete.
    pub kind: Option<String>,
    /// Dead for this cause, or for a reason with these words.
    pub error: Option<ErrorFilter>,
    /// Dead since then.
    pub since: Option<Since>,
    /// Dead for exactly the same reason.
    pub fingerprint: Option<String>,
    /// In this state; [`DeadLetterState::Dead`] without it.
    pub state: Option<StateFilter>,
}

/// What `error:` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorFilter {
    /// A cause by its word.
    Cause(DeadCause),
    /// A part of the reason, in any letter case.
    Text(String),
}

/// What `state:` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateFilter {
    /// Any.
    Any,
    /// This one.
    Is(DeadLetterState),
}

/// Defines an enum of words.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum $name { $($(#[$of])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in SQL and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads the word back.
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Why a message is a dead letter.
    DeadCause {
        /// No worker can read it.
        Undecodable = "undecodable",
        /// The database refuses its data, or the rules panic over it.
        Data = "data",
        /// It crashed workers.
        Crash = "crash",
        /// It failed by itself while others were applied.
        Failing = "failing",
    }
}

words! {
    /// What has become of a dead letter.
    DeadLetterState {
        /// It waits for an operator.
        Dead = "dead",
        /// A replay has published it.
        Replaying = "replaying",
        /// A replay applied it.
        Applied = "applied",
        /// It was refused when it was replayed.
        Rejected = "rejected",
        /// Something newer stood in the way of its replay.
        Superseded = "superseded",
        /// An operator gave it up.
        Discarded = "discarded",
    }
}

/// The text is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no condition: {expected}")]
pub struct InvalidDeadLetterFilter {
    word: String,
    expected: &'static str,
}

const QUALIFIERS: &str = "write the number of a dead letter, or workspace:, resource:, kind:, error:, since:, fingerprint: or \
                          state: with a value";

impl FromStr for DeadLetterFilter {
    type Err = InvalidDeadLetterFilter;

    fn from_str(text: &str) -> Result<Self, InvalidDeadLetterFilter> {
        let mut filter = Self::default();
        for word in text.split_whitespace() {
            filter.read(word).map_err(|expected| InvalidDeadLetterFilter { word: word.to_owned(), expected })?;
        }
        Ok(filter)
    }
}

impl DeadLetterFilter {
    /// Whether every dead letter is meant: an act on all of them is rather a slip.
    pub fn is_empty(&self) -> bool {
        *self == Self { state: self.state, ..Self::default() }
    }

    fn read(&mut self, word: &str) -> Result<(), &'static str> {
        if let Ok(letter) = word.parse() {
            self.letters.insert(letter);
            return Ok(());
        }
        let (name, value) = word.split_once(':').filter(|(_, value)| !value.is_empty()).ok_or(QUALIFIERS)?;
        match name {
            "workspace" => once(&mut self.workspace, value.parse().map_err(|_| "there is no such workspace")?),
            "resource" => once(&mut self.resource, value.parse().map_err(|_| "a resource's id is a UUID")?),
            "kind" if ["create", "replace", "patch", "delete"].contains(&value) => {
                once(&mut self.kind, value.to_owned())
            }
            "kind" => Err("a kind is create, replace, patch or delete"),
            "error" => once(&mut self.error, error(value)),
            "since" => once(&mut self.since, value.parse().map_err(|_| "a time is 15m, 24h, 7d or RFC 3339")?),
            "fingerprint" => once(&mut self.fingerprint, value.to_owned()),
            "state" if value == "any" => once(&mut self.state, StateFilter::Any),
            "state" => {
                let state = DeadLetterState::of(value);
                once(
                    &mut self.state,
                    StateFilter::Is(
                        state.ok_or("a state is dead, replaying, applied, rejected, superseded, discarded or any")?,
                    ),
                )
            }
            _ => Err(QUALIFIERS),
        }
    }
}

fn error(value: &str) -> ErrorFilter {
    DeadCause::of(value).map_or_else(|| ErrorFilter::Text(value.to_ascii_lowercase()), ErrorFilter::Cause)
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    if place.replace(value).is_some() { Err("the same condition is given twice") } else { Ok(()) }
}

/// As it is parsed.
impl fmt::Display for DeadLetterFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = self.letters.iter().map(u64::to_string).collect();
        let mut say = |name: &str, value: Option<String>| words.extend(value.map(|value| format!("{name}:{value}")));
        say("workspace", self.workspace.as_ref().map(ToString::to_string));
        say("resource", self.resource.map(|id| id.to_string()));
        say("kind", self.kind.clone());
        say(
            "error",
            self.error.as_ref().map(|error| match error {
                ErrorFilter::Cause(cause) => cause.to_string(),
                ErrorFilter::Text(text) => text.clone(),
            }),
        );
        say(
            "since",
            self.since.map(|since| match since {
                Since::Ago(span) => format!("{}s", span.as_secs()),
                Since::At(time) => time.to_string(),
            }),
        );
        say("fingerprint", self.fingerprint.clone());
        say(
            "state",
            self.state.map(|state| match state {
                StateFilter::Any => "any".to_owned(),
                StateFilter::Is(state) => state.to_string(),
            }),
        );
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_back_as_written() {
        for text in [
            "",
            "7 9",
            "workspace:acme kind:patch error:crash since:86400s state:any",
            "resource:01900000-0000-7000-8000-000000000001 fingerprint:00ff state:discarded",
            "error:constraint since:2026-11-28T09:00:00.000Z",
        ] {
            assert_eq!(text.parse::<DeadLetterFilter>().unwrap().to_string(), text);
        }
        assert!("state:any".parse::<DeadLetterFilter>().unwrap().is_empty());
        assert!(!"3".parse::<DeadLetterFilter>().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_condition_says_which_word_and_why() {
        for (text, says) in [
            ("workspce:acme", "\"workspce:acme\" is no condition: write the number"),
            ("kind:post", "a kind is create"),
            ("since:yesterday", "a time is"),
            ("state:gone", "a state is"),
            ("workspace:a workspace:b", "given twice"),
            ("error:", "write the number"),
        ] {
            let refused = text.parse::<DeadLetterFilter>().unwrap_err().to_string();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
