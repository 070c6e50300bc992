//! The way out of HTTP: commands into the log, questions to a worker.

mod answered_creates;
mod append;
mod broker_clock;
mod dialect_reports;
mod jetstream;
mod log_fill;
mod observer;
mod outgoing;
mod pending_outcomes;
mod query_client;
mod turns;
mod underway;
mod window;

use std::time::Duration;

use futures::future::BoxFuture;
use protocol::id::{OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, NoReply, Query, TypedQuery};
use protocol::scim::dialect::Dialect;
use protocol::scim::error::ScimError;
use tokio::time::Instant;

use crate::gate::Waiting;

pub use jetstream::JetStream;
pub use query_client::QueryError;

const QUEUED: &str = "the change is queued and will be decided in its turn, but not in time for this answer; read the \
                      resource before trying again";

/// What handlers need of the log and the workers. Object-safe, so that tests can record instead.
pub trait Gateway: Send + Sync {
    /// Has the log store a command. Its turn among the requests on its resource is the moment of this call; dropping the
    /// future or the receipt ends every further append of a command that takes no access away. An error says that the log
    /// does not have it.
    fn append(&self, command: NewCommand) -> BoxFuture<'_, Result<Receipt, GatewayError>>;

    /// The same for new resources, stored all at once or each by itself, in the bulk lane: a receipt for each, in the order
    /// of the envelopes. At most [`MAX_TOGETHER`](crate::gate::MAX_TOGETHER).
    fn append_batch(
        &self,
        creates: Vec<Envelope<Command>>,
        timing: Timing,
        waiting: Waiting,
    ) -> BoxFuture<'_, Vec<Result<Receipt, GatewayError>>>;

    /// The answer to a create is being written: a repetition of it is a 409 from now on.
    fn answered(&self, create: OperationId);

    /// The answer to a create did not reach its client.
    fn not_taken(&self, create: OperationId);

    /// Tells workers of the answers that they do not know of yet, before the process ends.
    fn report_answers(&self) -> BoxFuture<'_, ()>;

    /// Sends a query about a workspace to a worker: what `ask` does, without types.
    fn send<'a>(&'a self, workspace: &'a WorkspaceId, query: Query) -> BoxFuture<'a, Result<Answer, GatewayError>>;

    /// Has a worker read from its database: for a health check. Takes two seconds at most.
    fn probe(&self) -> BoxFuture<'_, Result<(), QueryError>>;

    /// Lets operators know whose dialect a workspace's requests speak. Waits for nothing.
    fn saw(&self, workspace: &WorkspaceId, dialect: Dialect);

    /// The largest message that the broker takes, in bytes.
    fn max_payload(&self) -> usize;
}

impl dyn Gateway + '_ {
    /// Asks a worker about a workspace.
    pub async fn ask<Q: TypedQuery>(&self, workspace: &WorkspaceId, query: Q) -> Result<Q::Reply, GatewayError> {
        Q::reply(self.send(workspace, query.into()).await?).map_err(|none| match none {
            NoReply::Refused(error) => GatewayError::Refused(error),
            NoReply::Unavailable => GatewayError::Timeout { queued: None },
        })
    }
}

/// A command for the log.
#[derive(Debug)]
pub struct NewCommand {
    /// The command.
    pub envelope: Envelope<Command>,
    /// Its lane.
    pub lane: Lane,
    /// Until when it may be published, and waited for.
    pub timing: Timing,
    /// Its place among those that wait to be let into the log. Commands on one resource may share one.
    pub waiting: Waiting,
}

/// A command that the log has, or may have. Where its copy is late or lost, it is appended again while the outcome is
/// waited for.
pub struct Receipt(BoxFuture<'static, Result<Outcome, GatewayError>>);

impl Receipt {
    /// The receipt for a command that ends as this future says.
    pub fn new(outcome: impl Future<Output = Result<Outcome, GatewayError>> + Send + 'static) -> Self {
        Self(Box::pin(outcome))
    }

    /// Waits until the command is settled.
    pub async fn outcome(self) -> Result<Outcome, GatewayError> {
        self.0.await
    }
}

/// When a request came, and until when it is worked on. Monotonic.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// When the request was complete.
    pub complete: Instant,
    /// By how much that may be wrong in either direction.
    pub doubt: Duration,
    /// Until when its command may be published.
    pub publish_by: Instant,
    /// Until when its outcome is waited for.
    pub answer_by: Instant,
}

impl Timing {
    /// The same for a request that was complete at some time between then and now.
    #[must_use]
    pub fn complete_since(self, then: Instant) -> Self {
        let doubt = Instant::now().saturating_duration_since(then) / 2;
        Self { complete: then + doubt, doubt, ..self }
    }
}

/// Why there is no outcome and no answer. The text is for the client.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// 503: no outcome or answer in time.
    #[error("{}", if .queued.is_some() { QUEUED } else { "no answer in time; try again later" })]
    Timeout {
        /// The operation, if the log has it for certain: it will still be applied.
        queued: Option<OperationId>,
    },
    /// 503: the log takes no more now.
    #[error("the log is full; nothing was changed; try again later")]
    LogFull,
    /// 503: the broker answers, but stores nothing.
    #[error(
        "the broker stores nothing: its disk is full or failing; an operator has to make room and restart it; whether the \
         change was stored is not known"
    )]
    StoresNothing,
    /// 429: too many requests of this workspace wait already.
    #[error("too many requests of this workspace are waiting; try again later")]
    TooManyRequests,
    /// 413: the broker takes no message of this size.
    #[error("the request is too large: the log takes messages of at most {limit} bytes")]
    TooLarge {
        /// The broker's `max_payload`, in bytes.
        limit: usize,
    },
    /// 500: the command cannot be written as a message.
    #[error("the request could not be written as a message")]
    Encode(#[source] serde_json::Error),
    /// A worker refused the query.
    #[error(transparent)]
    Refused(ScimError),
}

impl GatewayError {
    /// Whether a command that was published may be stored all the same.
    pub(crate) const fn leaves_open(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::StoresNothing)
    }
}
