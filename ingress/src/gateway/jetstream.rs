//! The gateway over NATS JetStream.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use protocol::id::{IngressId, Namespace, OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::query::{Answer, Query};
use protocol::scim::dialect::Dialect;
use runtime::connection::Connection;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::answered_creates::AnsweredCreates;
use super::append::Appender;
use super::dialect_reports::DialectReports;
use super::observer::Observed;
use super::outgoing::OutgoingCommand;
use super::pending_outcomes::PendingOutcomes;
use super::query_client::{QueryClient, QueryError};
use super::turns::Turns;
use super::underway::{Shared, Underway};
use super::{Gateway, GatewayError, NewCommand, Receipt, Timing};
use crate::gate::Waiting;
use crate::health::Health;

type Appended = Result<Receipt, GatewayError>;

/// The log and the workers behind a broker.
#[derive(Debug)]
pub struct JetStream {
    shared: Arc<Shared>,
    reports: DialectReports,
    /// How long a read is held.
    answer_within: Duration,
}

impl JetStream {
    /// Subscribes to outcomes, before anything is published, and listens from then on. A read is held for `answer_within`.
    pub async fn new(
        connection: Connection,
        namespace: Namespace,
        ingress: &IngressId,
        health: Arc<Health>,
        answer_within: Duration,
    ) -> Result<Self, async_nats::SubscribeError> {
        let pending = PendingOutcomes::default();
        let outcomes = connection.client().subscribe(namespace.outcomes(ingress)).await?;
        let late_copies = connection.client().subscribe(namespace.late_copies(ingress)).await?;
        tokio::spawn(pending.clone().listen(outcomes, late_copies));
        let creates = AnsweredCreates::start(connection.clone(), namespace.clone()).await?;
        // Other servers of a cluster have to hear of the subscription. A broker that is away hears of it when it is back.
        if timeout(Duration::from_secs(2), connection.client().flush()).await.is_err() {
            tracing::warn!("the broker cannot be reached yet; requests wait until it can");
        }
        let observed = Arc::new(Observed::default());
        tokio::spawn(Arc::clone(&observed).run(connection.clone(), namespace.clone(), health));
        let appender = Appender::new(connection.clone(), Arc::clone(&observed));
        let asking = QueryClient::new(connection.clone(), namespace.clone());
        let turns = Turns::default();
        let shared = Shared { namespace, connection, appender, pending, asking, turns, observed, creates };
        Ok(Self { shared: Arc::new(shared), reports: DialectReports::default(), answer_within })
    }
}

impl Gateway for JetStream {
    fn append(&self, command: NewCommand) -> BoxFuture<'_, Appended> {
        let NewCommand { envelope, lane, timing, waiting } = command;
        let begun = OutgoingCommand::new(&self.shared.namespace, &envelope, lane, timing).map(|command| {
            // The turn is taken now, the rest happens in the future.
            let turn = self.shared.turns.join(&command.all_lanes, lane == Lane::Urgent);
            Underway::new(Arc::clone(&self.shared), command, None).append(turn, Some(waiting))
        });
        goes_on(lane, async move { Ok(Receipt::new(goes_on(lane, begun?.await?.outcome()))) })
    }

    fn append_batch(
        &self,
        creates: Vec<Envelope<Command>>,
        timing: Timing,
        waiting: Waiting,
    ) -> BoxFuture<'_, Vec<Appended>> {
        Box::pin(self.shared.append_batch(creates, timing, waiting))
    }

    fn answered(&self, create: OperationId) {
        self.shared.creates.memory.mark(create);
    }

    fn not_taken(&self, create: OperationId) {
        self.shared.creates.memory.unmark(create);
    }

    fn report_answers(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.creates.report_rest())
    }

    fn send<'a>(&'a self, workspace: &'a WorkspaceId, query: Query) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        let deadline = Instant::now() + self.answer_within;
        Box::pin(async move { self.shared.asking.until(workspace, &query, deadline).await })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), QueryError>> {
        Box::pin(self.shared.asking.probe())
    }

    fn saw(&self, workspace: &WorkspaceId, dialect: Dialect) {
        let Shared { connection, namespace, .. } = self.shared.as_ref();
        self.reports.tell(connection.client(), namespace, workspace, dialect);
    }

    fn max_payload(&self) -> usize {
        match self.shared.connection.client().max_payload() {
            // Not connected yet: nothing is known, and nothing is sent either.
            0 => usize::MAX,
            limit => limit,
        }
    }
}

/// A client that hangs up drops this and ends every further append, but not of what takes access away.
fn goes_on<T: Send + 'static>(
    lane: Lane,
    work: impl Future<Output = Result<T, GatewayError>> + Send + 'static,
) -> BoxFuture<'static, Result<T, GatewayError>> {
    if lane != Lane::Urgent {
        return Box::pin(work);
    }
    let task = tokio::spawn(work.in_current_span());
    Box::pin(async { task.await.unwrap_or(Err(GatewayError::Timeout { queued: None })) })
}

impl Shared {
    async fn append_batch(
        self: &Arc<Self>,
        creates: Vec<Envelope<Command>>,
        timing: Timing,
        waiting: Waiting,
    ) -> Vec<Appended> {
        let entering = timeout_at(timing.publish_by, waiting.enter_together(creates.len())).await;
        drop(waiting);
        let Ok(permits) = entering else {
            return creates.iter().map(|_| Err(GatewayError::Timeout { queued: None })).collect();
        };
        let mut permits = permits.into_iter();
        let prepare = |envelope| {
            let permit = permits.next().ok_or(GatewayError::TooManyRequests)?;
            let command = OutgoingCommand::new(&self.namespace, &envelope, Lane::Bulk, timing)?;
            Ok(Underway::new(Arc::clone(self), command, Some(permit)))
        };
        let mut begun: Vec<Result<Underway, GatewayError>> = creates.into_iter().map(prepare).collect();
        let is_stored = self.store_together(&mut begun, timing).await;
        let appending = begun.into_iter().map(async |underway| {
            let mut underway = underway?;
            if let Some(command) = underway.command()
                && !is_stored
            {
                let turn = self.turns.join(&command.all_lanes, false);
                underway = underway.append(turn, None).await?;
            }
            Ok(Receipt::new(underway.outcome()))
        });
        join_all(appending).await
    }

    /// True if the log has them all.
    async fn store_together(&self, begun: &mut [Result<Underway, GatewayError>], timing: Timing) -> bool {
        let mut commands: Vec<&mut OutgoingCommand> =
            begun.iter_mut().flatten().filter_map(Underway::command).collect();
        if commands.len() < 2 {
            return false;
        }
        let bytes = commands.iter().map(|command| command.size()).sum();
        let appending = async {
            self.observed.fill.room(Lane::Bulk, bytes).await;
            self.appender.append_together(&mut commands).await
        };
        let Ok(Some(sequences)) = timeout_at(timing.publish_by, appending).await else { return false };
        for (underway, sequence) in begun.iter_mut().flatten().zip(sequences) {
            underway.was_stored(sequence);
        }
        true
    }
}
