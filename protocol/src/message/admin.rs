//! The operator's calls, by request and reply to any worker on `<ns>.admin.<verb>`.
//!
//! A token is made by the caller; only its hash travels.

use serde::{Deserialize, Serialize};

use crate::credential::{Credential, TokenHash};
use crate::id::{ResourceId, TokenId, WorkspaceId};
use crate::scim::dialect::Dialect;
use crate::scim::schema::ExtensionJson;
use crate::time::Timestamp;

/// One call. Its verb is the last part of the subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminCall {
    /// Adds a workspace, SCIM still off.
    WorkspaceCreate {
        /// Its id, as it will stand in the Base URL.
        workspace: WorkspaceId,
        /// Its name for people.
        name: String,
    },
    /// Lists the workspaces, by id.
    WorkspaceList,
    /// One workspace with its counts.
    WorkspaceShow {
        /// Which one.
        workspace: WorkspaceId,
    },
    /// Turns SCIM on and adds the first token, in one transaction.
    WorkspaceEnable {
        /// Which one.
        workspace: WorkspaceId,
        /// The token to add.
        token: NewToken,
    },
    /// Adds a token beside the one in use.
    TokenCreate {
        /// For which workspace.
        workspace: WorkspaceId,
        /// The token to add.
        token: NewToken,
    },
    /// Lists a workspace's tokens, newest first.
    TokenList {
        /// Of which workspace.
        workspace: WorkspaceId,
    },
    /// Ends a token at once.
    TokenRevoke {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// Which token.
        token: TokenId,
    },
    /// Adds a schema to those that a workspace's resources may follow, or replaces it by one that continues it.
    SchemaAdd {
        /// To which workspace.
        workspace: WorkspaceId,
        /// The schema, and for which kind of resource.
        schema: ExtensionJson,
    },
    /// Lists a workspace's own schemas, by URN.
    SchemaList {
        /// Of which workspace.
        workspace: WorkspaceId,
    },
    /// Chooses a workspace's dialect.
    WorkspaceDialect {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The dialect; as detected without it.
        dialect: Option<Dialect>,
    },
    /// An ingress reports whose dialect a workspace's requests speak.
    DialectSeen {
        /// Of which workspace.
        workspace: WorkspaceId,
        /// The dialect.
        dialect: Dialect,
    },
    /// Lists dead letters, newest first, at most 100.
    DeadLetterList,
    /// Accounts for every message that the log has stored.
    AuditBalance,
    /// Sets a user's timezone as the person's own choice: a command of the application, through the log. Answered by an
    /// ingress, the only writer of the log.
    UserSetTimezone {
        /// In which workspace.
        workspace: WorkspaceId,
        /// The user's id or userName.
        user: String,
        /// An IANA name, such as `Europe/Paris`.
        zone: String,
    },
}

/// A token that the caller has made, without the secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewToken {
    /// Its public part.
    pub id: TokenId,
    /// What the operator calls it.
    pub label: String,
    /// The hash of the whole token.
    pub hash: TokenHash,
    /// When it stops working; never without it.
    pub expires_at: Option<Timestamp>,
}

impl AdminCall {
    /// The verbs that workers answer.
    pub const WORKER_VERBS: [&'static str; 13] = [
        "workspace-create",
        "workspace-list",
        "workspace-show",
        "workspace-enable",
        "token-create",
        "token-list",
        "token-revoke",
        "schema-add",
        "schema-list",
        "workspace-dialect",
        "dialect-seen",
        "dead-letter-list",
        "audit-balance",
    ];

    /// The verb that ingresses answer.
    pub const INGRESS_VERB: &'static str = "user-set-timezone";

    /// The last part of the call's subject.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::WorkspaceCreate { .. } => "workspace-create",
            Self::WorkspaceList => "workspace-list",
            Self::WorkspaceShow { .. } => "workspace-show",
            Self::WorkspaceEnable { .. } => "workspace-enable",
            Self::TokenCreate { .. } => "token-create",
            Self::TokenList { .. } => "token-list",
            Self::TokenRevoke { .. } => "token-revoke",
            Self::SchemaAdd { .. } => "schema-add",
            Self::SchemaList { .. } => "schema-list",
            Self::WorkspaceDialect { .. } => "workspace-dialect",
            Self::DialectSeen { .. } => "dialect-seen",
            Self::DeadLetterList => "dead-letter-list",
            Self::AuditBalance => "audit-balance",
            Self::UserSetTimezone { .. } => Self::INGRESS_VERB,
        }
    }
}

/// What comes back: the reply to the call, or why it was refused.
pub type AdminResult = Result<AdminReply, AdminError>;

/// The reply to an [`AdminCall`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminReply {
    /// To `workspace-create`, `workspace-show`, `workspace-enable`, `workspace-dialect` and `dialect-seen`.
    Workspace(Workspace),
    /// To `workspace-list`.
    Workspaces {
        /// By id.
        workspaces: Vec<Workspace>,
    },
    /// To `token-create` and `token-revoke`.
    Token(Credential),
    /// To `token-list`.
    Tokens {
        /// Newest first.
        tokens: Vec<Credential>,
    },
    /// To `schema-add` and `schema-list`: the workspace's own schemas.
    Schemas {
        /// By URN.
        schemas: Vec<ExtensionJson>,
    },
    /// To `dead-letter-list`.
    DeadLetters {
        /// How many there are in all.
        total: u64,
        /// The newest.
        dead_letters: Vec<DeadLetter>,
    },
    /// To `audit-balance`.
    Balance(Balance),
    /// To `user-set-timezone`.
    Timezone {
        /// The user.
        user: ResourceId,
        /// The zone that is stored now.
        zone: String,
    },
}

/// A workspace, as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Workspace {
    /// Its id.
    pub id: WorkspaceId,
    /// Its name for people.
    pub name: String,
    /// Whether SCIM requests are served.
    pub enabled: bool,
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

/// A message that could not be applied, without its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The dead letter's id: the message's sequence in the log.
    pub sequence: u64,
    /// The subject on which it was published.
    pub subject: String,
    /// Why it could not be applied; never quotes the message.
    pub reason: String,
    /// The message's size in bytes.
    pub bytes: u64,
    /// When it was set aside.
    pub dead_at: Timestamp,
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
pub enum AdminError {
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
