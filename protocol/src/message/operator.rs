//! The operator's calls, by request and reply: to any worker on `<ns>.admin.<verb>`, to any ingress on
//! `<ns>.product.<verb>`. Each call is a struct; the table below gives it a verb and a reply.
//!
//! A token is made by the caller; only its hash travels.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::id::{ResourceId, WorkspaceId};
use crate::scim::dialect::Dialect;
use crate::scim::schema::ExtensionJson;
use crate::time::Timestamp;

mod audit;
mod dead_letter_filter;
mod dead_letters;
mod masked;
mod replays;
mod token;

pub use self::audit::{ActedBy, AuditLog, AuditRecord};
pub use self::dead_letter_filter::{
    DeadCause, DeadLetterFilter, DeadLetterState, ErrorFilter, InvalidDeadLetterFilter, StateFilter,
};
pub use self::dead_letters::{
    AttributeDifference, CauseCount, DeadLetter, DeadLetterDetail, DeadLetterDiscard, DeadLetterEdit, DeadLetterError,
    DeadLetterExport, DeadLetterList, DeadLetterShow, DeadLetters, DeadLettersChanged, ExportedDeadLetter, Prediction,
};
pub use self::masked::masked;
pub use self::replays::{Replay, ReplayChange, ReplayItem, ReplayList, ReplayPlan, ReplayShow, ReplayStart};
pub use self::token::{NewToken, TokenCreate, TokenList, TokenRevoke, TokenUse, TokensUsed};

/// One call. What comes back is `Result<Reply, OperatorError>`.
pub trait OperatorCall: Serialize + DeserializeOwned + Send + Sync {
    /// The last part of the call's subject.
    const VERB: &'static str;
    /// Which processes answer it.
    const ANSWERED_BY: Process = Process::Worker;
    /// The reply to a call that is not refused.
    type Reply: Serialize + DeserializeOwned + Send;
}

/// A kind of process that answers calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Any worker: what the database and the log tell.
    Worker,
    /// Any ingress, the only writer of the log: what changes a resource as the product does.
    Ingress,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "worker",
            Self::Ingress => "ingress",
        })
    }
}

/// Gives calls that workers answer their verbs and replies.
macro_rules! calls_to_workers {
    ($($call:ident $verb:literal -> $reply:ty;)*) => {
        $(impl OperatorCall for $call {
            const VERB: &'static str = $verb;
            type Reply = $reply;
        })*
    };
}

calls_to_workers! {
    WorkspaceCreate "workspace-create" -> Workspace;
    WorkspaceList "workspace-list" -> Vec<Workspace>;
    WorkspaceShow "workspace-show" -> Workspace;
    WorkspaceEnable "workspace-enable" -> Workspace;
    WorkspacePause "workspace-pause" -> Workspace;
    WorkspaceResume "workspace-resume" -> Workspace;
    WorkspaceDisable "workspace-disable" -> Workspace;
    WorkspaceDialect "workspace-dialect" -> Workspace;
    DialectSeen "dialect-seen" -> Workspace;
    TokenCreate "token-create" -> Credential;
    TokenList "token-list" -> Vec<Credential>;
    TokenRevoke "token-revoke" -> Credential;
    TokensUsed "tokens-used" -> ();
    SchemaAdd "schema-add" -> Vec<ExtensionJson>;
    SchemaList "schema-list" -> Vec<ExtensionJson>;
    DeadLetterList "dead-letter-list" -> DeadLetters;
    DeadLetterShow "dead-letter-show" -> DeadLetterDetail;
    DeadLetterEdit "dead-letter-edit" -> DeadLetter;
    DeadLetterDiscard "dead-letter-discard" -> DeadLettersChanged;
    DeadLetterExport "dead-letter-export" -> Vec<ExportedDeadLetter>;
    ReplayPlan "replay-plan" -> Replay;
    ReplayStart "replay-start" -> Replay;
    ReplayChange "replay-change" -> Replay;
    ReplayList "replay-list" -> Vec<Replay>;
    ReplayShow "replay-show" -> Replay;
    AuditBalance "audit-balance" -> Balance;
    AuditLog "audit-log" -> Vec<AuditRecord>;
}

impl OperatorCall for WorkspaceBaseUrl {
    const VERB: &'static str = "workspace-base-url";
    const ANSWERED_BY: Process = Process::Ingress;
    type Reply = String;
}

impl OperatorCall for UserSetTimezone {
    const VERB: &'static str = "user-set-timezone";
    const ANSWERED_BY: Process = Process::Ingress;
    type Reply = Timezone;
}

/// Adds a workspace, SCIM still off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceCreate {
    /// Its id, as it will stand in the Base URL.
    pub workspace: WorkspaceId,
    /// Its name for people.
    pub name: String,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// Lists the workspaces, by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceList {}

/// Shows one workspace with its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceShow {
    /// Which one.
    pub workspace: WorkspaceId,
}

/// Turns SCIM on and adds the first token, in one transaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceEnable {
    /// Which one.
    pub workspace: WorkspaceId,
    /// The token to add.
    pub token: NewToken,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// Answers every SCIM request of a workspace 503 from now on, for a reason. One that is paused already gets the new reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspacePause {
    /// Which one.
    pub workspace: WorkspaceId,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// Serves a paused workspace's requests again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceResume {
    /// Which one.
    pub workspace: WorkspaceId,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// Turns SCIM off and revokes every token of the workspace, in one transaction. Users and groups stay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceDisable {
    /// Which one.
    pub workspace: WorkspaceId,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// Asks for a workspace's Base URL, as ingresses write it into locations; the workspace need not exist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceBaseUrl {
    /// Of which workspace.
    pub workspace: WorkspaceId,
}

/// Chooses a workspace's dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceDialect {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// The dialect; as detected without it.
    pub dialect: Option<Dialect>,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// An ingress reports whose dialect a workspace's requests speak.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DialectSeen {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// The dialect.
    pub dialect: Dialect,
}

/// Adds a schema to those that a workspace's resources may follow, or replaces it by one that continues it. The reply holds
/// all of them, by URN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaAdd {
    /// To which workspace.
    pub workspace: WorkspaceId,
    /// The schema, and for which kind of resource.
    pub schema: ExtensionJson,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// Lists a workspace's own schemas, by URN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaList {
    /// Of which workspace.
    pub workspace: WorkspaceId,
}

/// Accounts for every message that the log has stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditBalance {}

/// Sets a user's timezone as the person's own choice: a command of the application, through the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserSetTimezone {
    /// In which workspace.
    pub workspace: WorkspaceId,
    /// The user's id or userName.
    pub user: String,
    /// An IANA name, such as `Europe/Paris`.
    pub zone: String,
}

/// A timezone that was set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timezone {
    /// The user.
    pub user: ResourceId,
    /// The zone that is stored now.
    pub zone: String,
}

/// A workspace, as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name for people.
    pub name: String,
    /// Whether SCIM is on.
    pub enabled: bool,
    /// Since when every SCIM request is answered 503; none if SCIM is not paused.
    #[serde(default)]
    pub paused_at: Option<Timestamp>,
    /// Why it is paused.
    #[serde(default)]
    pub pause_reason: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The dialect that an operator chose.
    pub dialect: Option<Dialect>,
    /// The dialect that its requests were last seen to speak.
    pub seen_dialect: Option<Dialect>,
    /// How many users it has; counted by `workspace-show` only.
    pub users: Option<u64>,
    /// How many groups it has; counted by `workspace-show` only.
    pub groups: Option<u64>,
}

/// What became of every message that the log has stored since it was last renumbered. Each is settled, pending or
/// missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// How often the log was renumbered, because the broker had lost what was settled.
    pub epoch: u32,
    /// The first sequence of this numbering.
    pub first: u64,
    /// The last sequence that the log has given out.
    pub last: u64,
    /// How many messages are in the log: pending ones, and settled ones whose acknowledgement has not arrived.
    pub in_log: u64,
    /// What is settled and pending, by workspace.
    pub workspaces: Vec<WorkspaceBalance>,
    /// How many are neither in the log nor in the ledger nor among the settled copies.
    pub missing: u64,
    /// The first hundred of them.
    pub missing_sequences: Vec<u64>,
}

/// One workspace's part of a [`Balance`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkspaceBalance {
    /// Which one; none for messages that name no workspace.
    pub workspace: Option<WorkspaceId>,
    /// Operations that were applied.
    pub applied: u64,
    /// Operations that were refused or superseded.
    pub rejected: u64,
    /// Operations that are dead letters.
    pub dead: u64,
    /// Sequences without an operation of their own: further copies, late ones, unreadable ones, deleted ones.
    pub copies: u64,
    /// Messages in the log that are not settled.
    pub pending: u64,
}

impl Balance {
    /// How many messages the log has stored.
    pub const fn stored(&self) -> u64 {
        self.last.saturating_add(1).saturating_sub(self.first)
    }
}

/// Why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorError {
    /// There is no such workspace, token or user.
    #[error("{what} not found")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The call contradicts the present state.
    #[error("{detail}")]
    Conflict {
        /// What is in the way and what to do.
        detail: String,
    },
    /// The call cannot be understood.
    #[error("{detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
    },
    /// The database or the log cannot be reached now.
    #[error("not available now: {detail}")]
    Unavailable {
        /// What cannot be reached.
        detail: String,
    },
}
