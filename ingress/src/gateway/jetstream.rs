//! The gateway over NATS JetStream: append a command, then wait until it is settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use protocol::id::{IngressId, Namespace, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Query};
use protocol::scim::dialect::Dialect;
use protocol::time::Timestamp;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::admission::{Admission, Permit};
use super::answered::{Waiter, Waiters};
use super::chain::{Chain, Outgoing};
use super::link::Link;
use super::query_client::{QueryClient, QueryError};
use super::sightings::Sightings;
use super::{Gateway, GatewayError};
use crate::clock;
use crate::edge::Terms;

/// Outcomes can be lost on the way, so while waiting the ledger is asked this often.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long until a command is appended again that a full log refused.
const APPEND_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long an operation that outlived its request still counts as one in the log, unless it is settled before.
const LINGER: Duration = Duration::from_mins(10);
/// How often such an operation is asked for.
const LINGER_ASK_EVERY: Duration = Duration::from_secs(10);

/// The log and the workers behind a broker.
#[derive(Debug, Clone)]
pub struct JetStream {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) namespace: Namespace,
    pub(super) link: Link,
    pub(super) chain: Chain,
    waiters: Waiters,
    asking: QueryClient,
    pub(super) admission: Admission,
    sightings: Sightings,
    /// How long a read is held.
    answer_within: Duration,
}

/// A command whose outcome is waited for.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) command: Outgoing,
    waiter: Waiter,
    permit: Permit,
}

/// How far a command has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// It is to be appended; who has to know when that is done is told.
    New { appended: Option<oneshot::Sender<()>> },
    /// The log has it, since this connection.
    InLog { generation: u64 },
}

impl JetStream {
    /// Subscribes to outcomes, before anything is published, and listens from then on. A read is held for `answer_within`.
    pub async fn new(
        link: Link,
        namespace: Namespace,
        ingress: &IngressId,
        answer_within: Duration,
    ) -> Result<Self, async_nats::SubscribeError> {
        let subscription = link.client().subscribe(namespace.outcomes(ingress)).await?;
        let waiters = Waiters::default();
        tokio::spawn(waiters.clone().listen(subscription));
        // Other servers of a cluster have to hear of the subscription. A broker that is away hears of it when it is back.
        if timeout(Duration::from_secs(2), link.client().flush()).await.is_err() {
            tracing::warn!("the broker cannot be reached yet; requests wait until it can");
        }
        let chain = Chain::new(link.clone());
        let asking = QueryClient::new(link.clone(), namespace.clone());
        let (admission, sightings) = (Admission::default(), Sightings::default());
        let inner = Inner { namespace, link, chain, waiters, asking, admission, sightings, answer_within };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Gateway for JetStream {
    fn submit(&self, envelope: Envelope<Command>, lane: Lane) -> BoxFuture<'_, Result<Outcome, GatewayError>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let deadlines = Deadlines::of(envelope.deadline, clock::now());
            let entering = timeout_at(deadlines.publish, inner.admission.enter(&envelope.workspace, lane)).await;
            let permit = entering.unwrap_or(Err(GatewayError::Unanswered { in_log: None }))?;
            let command = Outgoing::new(&inner.namespace, &envelope, lane)?;
            // It may be large, and the answer takes its time.
            drop(envelope);
            let pending = inner.pending(command, permit);
            // A task of its own: a client that hangs up must not leave a command in the log that nobody counts.
            let settled = tokio::spawn(inner.settle(pending, deadlines, Stage::New { appended: None })).await;
            settled.unwrap_or(Err(GatewayError::Unanswered { in_log: None }))
        })
    }

    fn submit_together(&self, creates: Vec<Envelope<Command>>) -> BoxFuture<'_, Vec<Result<Outcome, GatewayError>>> {
        Box::pin(Arc::clone(&self.inner).create_together(creates))
    }

    fn submit_in_order(
        &self,
        commands: Vec<(Envelope<Command>, Lane)>,
    ) -> BoxFuture<'_, Vec<Result<Outcome, GatewayError>>> {
        Box::pin(Arc::clone(&self.inner).settle_in_order(commands))
    }

    fn ask<'a>(&'a self, workspace: &'a WorkspaceId, query: Query) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        let deadline = Instant::now() + self.inner.answer_within;
        Box::pin(async move { self.inner.asking.until(workspace, &query, deadline).await })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), QueryError>> {
        Box::pin(self.inner.asking.probe())
    }

    fn saw(&self, workspace: &WorkspaceId, dialect: Dialect) {
        let Inner { sightings, link, namespace, .. } = self.inner.as_ref();
        sightings.tell(link.client(), namespace, workspace, dialect);
    }

    fn max_payload(&self) -> usize {
        match self.inner.link.client().max_payload() {
            // Not connected yet: nothing is known, and nothing is sent either.
            0 => usize::MAX,
            limit => limit,
        }
    }
}

/// Until when a command may be appended, and until when its outcome is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadlines {
    pub(super) publish: Instant,
    answer: Instant,
}

impl Deadlines {
    pub(super) fn of(deadline: Timestamp, now: Timestamp) -> Self {
        let publish = Instant::now() + deadline.since(now);
        Self { publish, answer: publish + Terms::PUBLISH_MARGIN }
    }
}

impl Inner {
    /// Starts to wait for a command's outcome; before it is published.
    pub(super) fn pending(&self, command: Outgoing, permit: Permit) -> Pending {
        Pending { waiter: self.waiters.wait_for(command.operation), command, permit }
    }

    /// Appends a command, unless the log has it, and waits for its outcome, whichever way it comes.
    pub(super) async fn settle(
        self: Arc<Self>,
        pending: Pending,
        by: Deadlines,
        stage: Stage,
    ) -> Result<Outcome, GatewayError> {
        let Pending { command, mut waiter, permit } = pending;
        let in_log = AtomicBool::new(matches!(stage, Stage::InLog { .. }));
        tokio::select! {
            outcome = waiter.heard() => return Ok(outcome),
            outcome = self.append_then_ask(&command, by, &in_log, stage) => return outcome,
            () = sleep_until(by.answer) => {}
        }
        let operation = command.operation;
        if !in_log.load(Ordering::Relaxed) {
            tracing::warn!(%operation, workspace = %command.workspace, "no acknowledgement in time: it is unknown whether the log has operation {operation}");
            return Err(GatewayError::Unanswered { in_log: None });
        }
        tracing::warn!(%operation, workspace = %command.workspace, "no outcome in time: operation {operation} stays in the log");
        tokio::spawn(self.linger(command, waiter, permit));
        Err(GatewayError::Unanswered { in_log: Some(operation) })
    }

    async fn append_then_ask(
        &self,
        command: &Outgoing,
        by: Deadlines,
        in_log: &AtomicBool,
        stage: Stage,
    ) -> Result<Outcome, GatewayError> {
        let generation = match stage {
            Stage::InLog { generation } => generation,
            Stage::New { appended: told } => {
                let generation = self.link.connected().await;
                let appended = timeout_at(by.publish, self.chain.append(command)).await;
                drop(told);
                let duplicate = match appended {
                    Ok(appended) => appended?.duplicate,
                    // It may have been stored all the same.
                    Err(_) => return Ok(self.found_in_ledger(command, ASK_EVERY).await),
                };
                in_log.store(true, Ordering::Relaxed);
                if duplicate && let Some(outcome) = self.ask_ledger(command).await {
                    return Ok(outcome);
                }
                generation
            }
        };
        tokio::select! {
            outcome = self.found_in_ledger(command, ASK_EVERY) => Ok(outcome),
            outcome = self.append_again(command, by, generation) => Ok(outcome),
        }
    }

    /// Appends the command again on every new connection, under its one id: a broker can come back without its newest
    /// messages. If it has the command still, that is a duplicate; if the ledger has it, one more copy.
    async fn append_again(&self, command: &Outgoing, by: Deadlines, mut generation: u64) -> Outcome {
        loop {
            generation = self.link.reconnected(generation).await;
            if let Some(outcome) = self.ask_ledger(command).await {
                return outcome;
            }
            // Whatever comes of it: the first append was acknowledged, and its outcome is waited for all the same.
            while Instant::now() < by.publish {
                match timeout_at(by.publish, self.chain.append(command)).await {
                    Ok(Err(failure)) => tracing::debug!(%failure, "not appended again yet"),
                    Ok(Ok(_)) | Err(_) => break,
                }
                sleep(APPEND_AGAIN_AFTER).await;
            }
        }
    }

    /// Asks at every new connection, and every so often, until the ledger knows the operation.
    async fn found_in_ledger(&self, command: &Outgoing, every: Duration) -> Outcome {
        let mut generation = self.link.connected().await;
        loop {
            tokio::select! {
                () = sleep(every) => {}
                newer = self.link.reconnected(generation) => generation = newer,
            }
            if let Some(outcome) = self.ask_ledger(command).await {
                return outcome;
            }
        }
    }

    async fn ask_ledger(&self, command: &Outgoing) -> Option<Outcome> {
        match self.asking.once(&command.workspace, &Query::Outcome { operation: command.operation }).await {
            Ok(Answer::Outcome { outcome }) => outcome,
            Ok(_) | Err(_) => None,
        }
    }

    /// Keeps the place of an operation that is still in the log, so that retries of a provider cannot pile up in there
    /// while no worker runs.
    async fn linger(self: Arc<Self>, command: Outgoing, mut waiter: Waiter, permit: Permit) {
        let settled = async {
            tokio::select! {
                _ = waiter.heard() => {}
                _ = self.found_in_ledger(&command, LINGER_ASK_EVERY) => {}
            }
        };
        if timeout(LINGER, settled).await.is_err() {
            tracing::debug!(operation = %command.operation, "an operation was not settled for long; it counts no more");
        }
        drop(permit);
    }
}
