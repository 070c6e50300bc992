//! Whether a client got its answer: what decides between the original 201 and 409 for a repeated create.

use serde::{Deserialize, Serialize};

use crate::id::OperationId;

/// Asks all ingresses whether a create's answer went out through one of them. Sent to
/// [`Namespace::was_answered`](crate::id::Namespace::was_answered). Only those reply through which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasAnswered {
    /// The create.
    pub operation: OperationId,
}

/// The reply to [`WasAnswered`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The answer was written to the client's connection.
    pub answered: bool,
}

/// Creates whose answers went out, as an ingress reports them to any worker, at
/// [`Namespace::answered_reports`](crate::id::Namespace::answered_reports). The worker replies with an empty message once
/// they are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredReport {
    /// The creates, at most [`AnsweredReport::MAX_OPERATIONS`].
    pub operations: Vec<OperationId>,
}

impl AnsweredReport {
    /// The most operations in one report.
    pub const MAX_OPERATIONS: usize = 1_000;
}
