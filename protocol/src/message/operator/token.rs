//! Calls about bearer tokens. A token is made by the caller; only its hash travels.

use serde::{Deserialize, Serialize};

use super::ActedBy;
use crate::credential::TokenHash;
use crate::id::{TokenId, WorkspaceId};
use crate::time::Timestamp;

/// Adds a token beside the one in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenCreate {
    /// For which workspace.
    pub workspace: WorkspaceId,
    /// The token to add.
    pub token: NewToken,
    /// Who asks for it, and why.
    pub by: ActedBy,
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

/// Lists a workspace's tokens, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenList {
    /// Of which workspace.
    pub workspace: WorkspaceId,
}

/// Ends a token at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenRevoke {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Which token.
    pub token: TokenId,
    /// Whether it may be the last that opens the workspace.
    #[serde(default)]
    pub even_last: bool,
    /// Who asks for it, and why.
    pub by: ActedBy,
}

/// An ingress reports when tokens were last used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokensUsed {
    /// Which, and when.
    pub uses: Vec<TokenUse>,
}

/// When a token was last used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenUse {
    /// Which token.
    pub token: TokenId,
    /// When.
    pub at: Timestamp,
}
