//! The way out of HTTP: commands into the log, questions to a worker.

mod admission;
mod answered;
mod chain;
mod jetstream;
mod link;
mod locks;
mod publish_ack;
mod query_client;
mod sightings;
mod together;

use futures::future::BoxFuture;
use protocol::id::{OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Query};
use protocol::scim::dialect::Dialect;

pub use admission::MOST_TOGETHER;
pub use jetstream::JetStream;
pub use link::{ConnectError, Link};
pub use query_client::QueryError;

/// What handlers need of the log and the workers. Object-safe, so that tests can record instead.
pub trait Gateway: Send + Sync {
    /// Has a command applied and waits for its outcome, until 5 seconds after the envelope's deadline.
    fn submit(&self, envelope: Envelope<Command>, lane: Lane) -> BoxFuture<'_, Result<Outcome, GatewayError>>;

    /// Has new resources created, all stored in the log at once or each by itself, and waits for their outcomes, which come
    /// in the order of the envelopes. At most [`MOST_TOGETHER`] of one workspace, by the bulk lane.
    fn submit_together(&self, creates: Vec<Envelope<Command>>) -> BoxFuture<'_, Vec<Result<Outcome, GatewayError>>>;

    /// Has commands on one resource applied in this order, and waits for their outcomes, in the same order.
    fn submit_in_order(
        &self,
        commands: Vec<(Envelope<Command>, Lane)>,
    ) -> BoxFuture<'_, Vec<Result<Outcome, GatewayError>>>;

    /// Asks a worker about a workspace.
    fn ask<'a>(&'a self, workspace: &'a WorkspaceId, query: Query) -> BoxFuture<'a, Result<Answer, GatewayError>>;

    /// Has a worker read from its database: for a health check. Takes two seconds at most.
    fn probe(&self) -> BoxFuture<'_, Result<(), QueryError>>;

    /// Lets operators know whose dialect a workspace's requests speak. Waits for nothing.
    fn saw(&self, workspace: &WorkspaceId, dialect: Dialect);

    /// The largest message that the broker takes, in bytes.
    fn max_payload(&self) -> usize;
}

/// Why there is no outcome and no answer. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// 503: no outcome or answer in time.
    #[error("{}", unanswered(.in_log.is_some()))]
    Unanswered {
        /// The operation, if the log has it for certain: it will still be applied.
        in_log: Option<OperationId>,
    },
    /// 503: the log takes no more now.
    #[error("the log is full; nothing was changed; try again later")]
    LogFull,
    /// 429: too many requests of this workspace wait already.
    #[error("too many requests of this workspace are waiting; try again later")]
    Crowded,
    /// 413: the broker takes no message of this size.
    #[error("the request is too large: the log takes messages of at most {limit} bytes")]
    TooLarge {
        /// The broker's `max_payload`, in bytes.
        limit: usize,
    },
    /// 500: the command cannot be written as a message.
    #[error("the request could not be written as a message")]
    Encode(#[source] serde_json::Error),
    /// 500: a worker gave an answer to another question.
    #[error("a worker's answer does not fit the question")]
    UnexpectedAnswer,
}

const fn unanswered(in_log: bool) -> &'static str {
    if in_log {
        "the change is queued and will be applied, but not in time for this answer; read the resource before trying again"
    } else {
        "no answer in time; try again later"
    }
}
