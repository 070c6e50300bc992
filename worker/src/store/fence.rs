//! Fences: rows of `users` that stand for no person. A command that takes access away and cannot be applied yet leaves one
//! where the user is not there yet, so that the create before it finds it in the way and makes the user inactive.
//!
//! The version of a fence is 0, which no resource has. Every reader of users asks [`no_fence`], or [`Fence::of`] of a row.

use protocol::access::Standing;
use protocol::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait, IntoIden};
use serde_json::{Map, Value};

use super::entity::user;
use super::stored_resource::{Key, standing};
use super::{column, sequence};

/// The version of a fence.
const VERSION: i64 = 0;

/// What a fence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The command that took access away.
    pub(crate) standing: Standing,
    /// The same, if it was the identity provider's.
    pub(crate) provider_sequence: u64,
}

/// The condition that a row of `users`, which the statement calls `table`, is a user.
pub(crate) fn no_fence(table: impl IntoIden) -> Expr {
    // In the text of the statement, so that the planner knows the value.
    Expr::col((table, user::Column::Version)).gt(Expr::cust(VERSION.to_string()))
}

/// The same in text, for a statement that calls the table `alias`.
pub(crate) fn no_fence_text(alias: &str) -> String {
    format!("{alias}.\"version\" > {VERSION}")
}

/// A name that no user can have: it begins with a control character.
pub(crate) fn reserved_name(key: &Key) -> String {
    format!("\u{1}{}", key.id)
}

impl Fence {
    /// What a row says, if it is a fence.
    pub(crate) fn of(row: &user::Model) -> Option<Self> {
        let provider_sequence = sequence(row.provider_sequence);
        let is_fence = row.version == VERSION;
        is_fence.then(|| Self { standing: standing(row.active_seq, row.active_arrived), provider_sequence })
    }

    /// The row.
    pub(crate) fn row(self, key: &Key, now: Timestamp) -> user::Model {
        user::Model {
            workspace: key.workspace.to_string(),
            id: key.id.0,
            user_name: reserved_name(key),
            user_name_key: reserved_name(key),
            display_name: None,
            display_name_key: None,
            external_id: None,
            active: false,
            active_seq: column(self.standing.sequence),
            active_arrived: self.standing.arrived.map(Timestamp::as_millis),
            attributes: Value::Object(Map::new()),
            search: Value::Object(Map::new()),
            ownership: Value::Array(Vec::new()),
            version: VERSION,
            last_sequence: column(self.standing.sequence),
            created_at: now.as_millis(),
            modified_at: now.as_millis(),
            created_by: None,
            provider_sequence: column(self.provider_sequence),
        }
    }
}
