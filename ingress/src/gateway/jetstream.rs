//! The gateway over NATS JetStream: append a command, then wait until it is settled.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use protocol::id::{IngressId, Namespace, OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Query};
use protocol::scim::dialect::Dialect;
use protocol::scim::error::ScimError;
use runtime::connection::Connection;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use super::admission::{Admission, Queued};
use super::answered_creates::AnsweredCreates;
use super::append::Appender;
use super::dialect_reports::DialectReports;
use super::observer::Observed;
use super::outgoing::OutgoingCommand;
use super::pending_outcomes::PendingOutcomes;
use super::query_client::{QueryClient, QueryError};
use super::shared::Shared;
use super::turns::Turns;
use super::underway::Underway;
use super::{Gateway, GatewayError, Timing};
use crate::health::Health;

type Settled = Result<Outcome, GatewayError>;

/// The log and the workers behind a broker.
#[derive(Debug, Clone)]
pub struct JetStream {
    inner: Arc<Shared>,
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
        let (pending, creates) = (PendingOutcomes::default(), AnsweredCreates::default());
        let outcomes = connection.client().subscribe(namespace.outcomes(ingress)).await?;
        let late_copies = connection.client().subscribe(namespace.late_copies(ingress)).await?;
        tokio::spawn(pending.clone().hear_outcomes(outcomes));
        tokio::spawn(pending.clone().hear_late_copies(late_copies));
        creates.listen(connection.client().clone(), &namespace).await?;
        tokio::spawn(creates.clone().report(connection.clone(), namespace.clone()));
        // Other servers of a cluster have to hear of the subscription. A broker that is away hears of it when it is back.
        if timeout(Duration::from_secs(2), connection.client().flush()).await.is_err() {
            tracing::warn!("the broker cannot be reached yet; requests wait until it can");
        }
        let observed = Arc::new(Observed::default());
        tokio::spawn(Arc::clone(&observed).run(connection.clone(), namespace.clone(), health));
        let appender = Appender::new(connection.clone(), Arc::clone(&observed));
        let asking = QueryClient::new(connection.clone(), namespace.clone());
        let (admission, turns, reports) = (Admission::default(), Turns::default(), DialectReports::default());
        let inner = Shared {
            namespace,
            connection,
            appender,
            pending,
            asking,
            admission,
            turns,
            observed,
            creates,
            reports,
            answer_within,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Gateway for JetStream {
    fn submit(&self, envelope: Envelope<Command>, lane: Lane, timing: Timing) -> BoxFuture<'_, Settled> {
        let queued = self.inner.admission.queue(&envelope.workspace, lane);
        self.inner.submit(&envelope, lane, timing, queued.map(Some))
    }

    fn submit_together(&self, creates: Vec<Envelope<Command>>, timing: Timing) -> BoxFuture<'_, Vec<Settled>> {
        Box::pin(Arc::clone(&self.inner).create_together(creates, timing))
    }

    fn submit_in_order(&self, commands: Vec<(Envelope<Command>, Lane)>, timing: Timing) -> BoxFuture<'_, Vec<Settled>> {
        let Some((first, lane)) = commands.first() else { return Box::pin(async { Vec::new() }) };
        // One place for all of them: they wait for each other anyway.
        let Ok(queued) = self.inner.admission.queue(&first.workspace, *lane) else {
            return Box::pin(std::future::ready(refused(commands.len(), || GatewayError::TooManyRequests)));
        };
        // Turns come in the order of these calls.
        let submitted =
            commands.into_iter().map(|(envelope, lane)| self.inner.submit(&envelope, lane, timing, Ok(None)));
        let submitted: Vec<_> = submitted.collect();
        Box::pin(async move {
            let _queued = queued;
            join_all(submitted).await
        })
    }

    fn answered(&self, create: OperationId) {
        self.inner.creates.mark(create);
    }

    fn not_taken(&self, create: OperationId) {
        self.inner.creates.unmark(create);
    }

    fn report_answers(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.inner.creates.report_rest(&self.inner.connection, &self.inner.namespace))
    }

    fn ask<'a>(&'a self, workspace: &'a WorkspaceId, query: Query) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        let deadline = Instant::now() + self.inner.answer_within;
        Box::pin(async move { self.inner.asking.until(workspace, &query, deadline).await })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), QueryError>> {
        Box::pin(self.inner.asking.probe())
    }

    fn saw(&self, workspace: &WorkspaceId, dialect: Dialect) {
        let Shared { reports, connection, namespace, .. } = self.inner.as_ref();
        reports.tell(connection.client(), namespace, workspace, dialect);
    }

    fn max_payload(&self) -> usize {
        match self.inner.connection.client().max_payload() {
            // Not connected yet: nothing is known, and nothing is sent either.
            0 => usize::MAX,
            limit => limit,
        }
    }
}

impl Shared {
    /// Joins the queue of the command's resource now; the rest happens in the future.
    fn submit(
        self: &Arc<Self>,
        envelope: &Envelope<Command>,
        lane: Lane,
        timing: Timing,
        queued: Result<Option<Queued>, GatewayError>,
    ) -> BoxFuture<'static, Settled> {
        let (inner, operation) = (Arc::clone(self), envelope.operation);
        let begun = OutgoingCommand::new(&self.namespace, envelope, lane, timing).and_then(|command| {
            let queued = queued?;
            let turn = self.turns.join(&command.all_lanes, lane == Lane::Urgent);
            Ok((Underway::new(Arc::clone(self), command), turn, queued))
        });
        Box::pin(async move {
            let (underway, turn, queued) = begun?;
            let outcome = underway.outcome(Some(turn), queued);
            let settled = if lane == Lane::Urgent {
                // A client that hangs up ends every further append, but not of what takes access away.
                tokio::spawn(outcome.in_current_span()).await.unwrap_or(Err(GatewayError::Timeout { queued: None }))
            } else {
                outcome.await
            };
            Ok(inner.answer_of(operation, settled?).await)
        })
    }

    /// Creates new resources: one write of the log for all of them, or one for each.
    async fn create_together(self: Arc<Self>, creates: Vec<Envelope<Command>>, timing: Timing) -> Vec<Settled> {
        let Some(first) = creates.first() else { return Vec::new() };
        let operations: Vec<OperationId> = creates.iter().map(|envelope| envelope.operation).collect();
        let place = self.admission.queue(&first.workspace, Lane::Bulk);
        let entering = async {
            let _waiting = place?;
            self.admission.enter_together(&first.workspace, Lane::Bulk, creates.len()).await
        };
        let mut permits = match timeout_at(timing.publish_by, entering).await {
            Ok(Ok(permits)) => permits.into_iter(),
            Ok(Err(_)) => return refused(creates.len(), || GatewayError::TooManyRequests),
            Err(_) => return refused(creates.len(), || GatewayError::Timeout { queued: None }),
        };
        let prepare = |envelope: &Envelope<Command>| {
            let command = OutgoingCommand::new(&self.namespace, envelope, Lane::Bulk, timing)?;
            let mut underway = Underway::new(Arc::clone(&self), command);
            underway.admit(permits.next().ok_or(GatewayError::TooManyRequests)?);
            Ok(underway)
        };
        let mut begun: Vec<Result<Underway, GatewayError>> = creates.iter().map(prepare).collect();
        drop(creates);
        let stored = self.store_together(&mut begun, timing).await;
        let settling = begun.into_iter().zip(operations).map(|(underway, operation)| {
            let inner = Arc::clone(&self);
            async move {
                let mut underway = underway?;
                let key = underway.command().map(|command| command.all_lanes.clone()).unwrap_or_default();
                let turn = (!stored).then(|| inner.turns.join(&key, false));
                let outcome = underway.outcome(turn, None).await?;
                Ok(inner.answer_of(operation, outcome).await)
            }
        });
        join_all(settling).await
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

    /// Why a command was not admitted in time.
    pub(super) fn not_admitted(&self, command: &OutgoingCommand) -> GatewayError {
        if self.observed.fill.is_full_for(command.lane, command.size()) {
            GatewayError::LogFull
        } else {
            GatewayError::Timeout { queued: None }
        }
    }

    /// The outcome as the client sees it: whether a create that repeats an earlier one is the original 201 depends on
    /// whether that one's answer went out.
    async fn answer_of(&self, operation: OperationId, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Superseded => Outcome::Rejected { error: ScimError::superseded() },
            Outcome::Duplicate { operation: original, resource, .. } => {
                if self.creates.was_answered(&self.connection, &self.namespace, original).await {
                    return Outcome::Rejected { error: ScimError::duplicate(resource.resource_type) };
                }
                tracing::info!(%operation, %original, "a repeated create is answered with the original");
                self.creates.stands_for(operation, original);
                Outcome::Created { resource }
            }
            outcome => outcome,
        }
    }
}

fn refused(count: usize, error: impl Fn() -> GatewayError) -> Vec<Settled> {
    std::iter::repeat_with(|| Err(error())).take(count).collect()
}
