//! Queries to any worker, by request and reply, asked again of another worker where one is silent.
//!
//! One query has one inbox, and each attempt a subject of its own below it. So every reply, also each part of a large
//! answer, says to which attempt it belongs, and two answers never mix. No attempt is cancelled by a later one: the first
//! whole answer counts.

mod attempts;

use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use protocol::id::{Namespace, WorkspaceId};
use protocol::message::header;
use protocol::message::query::{Answer, GetProfile, Query};
use runtime::connection::Connection;
use tokio::time::{Instant, sleep_until, timeout_at};

use self::attempts::Attempts;
use super::GatewayError;

/// How long a look-up in the ledger is tried.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a health check waits: longer than a worker takes to say that its database is away.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// The workspace that a health check asks about; it need not exist.
const PROBE_WORKSPACE: &str = "healthz";

/// Asks workers.
#[derive(Debug)]
pub(super) struct QueryClient {
    connection: Connection,
    namespace: Namespace,
}

/// Why a query has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No worker is subscribed to queries.
    #[error("no worker listens")]
    NoWorker,
    /// No worker has said that it took the query.
    #[error("no worker took the query in time")]
    Silent,
    /// A worker took the query and has not answered it.
    #[error("a worker took the query and did not answer in time")]
    Slow,
    /// A worker answered that its database is away.
    #[error("the worker cannot reach its database")]
    Unavailable,
    /// A worker's reply cannot be read.
    #[error("the answer is not readable")]
    Unreadable,
    /// The client does not take the message.
    #[error("the query could not be sent")]
    NotSent,
}

/// What is done when every attempt so far has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnFailure {
    /// Another attempt.
    AskAgain,
    /// The query fails.
    GiveUp,
}

impl QueryClient {
    pub(super) const fn new(connection: Connection, namespace: Namespace) -> Self {
        Self { connection, namespace }
    }

    /// Asks until there is an answer, or `deadline` has come.
    pub(super) async fn until(
        &self,
        workspace: &WorkspaceId,
        query: &Query,
        deadline: Instant,
    ) -> Result<Answer, GatewayError> {
        let answer = self.ask(workspace, query, deadline, OnFailure::AskAgain).await;
        answer.map_err(|error| {
            tracing::warn!(%workspace, %error, "a query was not answered before its deadline");
            GatewayError::Timeout { queued: None }
        })
    }

    /// Asks for a few seconds; a failure of all workers that were asked ends that earlier.
    pub(super) async fn once(&self, workspace: &WorkspaceId, query: &Query) -> Result<Answer, QueryError> {
        self.ask(workspace, query, Instant::now() + LEDGER_TIMEOUT, OnFailure::GiveUp).await
    }

    /// Has a worker read one row of its database.
    pub(super) async fn probe(&self) -> Result<(), QueryError> {
        let workspace = PROBE_WORKSPACE.parse().map_err(|_| QueryError::NotSent)?;
        let deadline = Instant::now() + PROBE_TIMEOUT;
        self.ask(&workspace, &GetProfile {}.into(), deadline, OnFailure::AskAgain).await.map(drop)
    }

    async fn ask(
        &self,
        workspace: &WorkspaceId,
        query: &Query,
        deadline: Instant,
        on_failure: OnFailure,
    ) -> Result<Answer, QueryError> {
        let body = query.encode().map_err(|_| QueryError::NotSent)?.into();
        let question = Question { subject: self.namespace.queries(workspace).into(), body, deadline };
        let mut attempts = Attempts::new(Instant::now());
        let answer = timeout_at(deadline, self.exchange(&question, &mut attempts, on_failure)).await;
        answer.unwrap_or_else(|_| Err(attempts.reason()))
    }

    async fn exchange(
        &self,
        question: &Question,
        attempts: &mut Attempts,
        on_failure: OnFailure,
    ) -> Result<Answer, QueryError> {
        // Nothing is sent, and nothing counts as silence, while the broker is away.
        let mut generation = self.connection.connected().await;
        let client = self.connection.client();
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(format!("{inbox}.*")).await.map_err(|_| QueryError::NotSent)?;
        loop {
            if attempts.count() > 0 {
                tracing::debug!(subject = %question.subject, attempt = attempts.count(), "asking a worker again");
            }
            let reply_to = format!("{inbox}.{}", attempts.count());
            let sent = client.publish_with_reply_and_headers(
                question.subject.clone(),
                reply_to,
                question.headers(),
                question.body.clone(),
            );
            sent.await.map_err(|_| QueryError::NotSent)?;
            attempts.sent(Instant::now());
            tokio::select! {
                answer = until_next_attempt(&mut replies, attempts, on_failure) => if let Some(answer) = answer? {
                    return Ok(answer);
                },
                // What was replied meanwhile is lost: a worker that has answered is asked again.
                newer = self.connection.reconnected(generation) => generation = newer,
            }
            generation = generation.max(self.connection.connected().await);
        }
    }
}

/// A query as it is sent.
struct Question {
    subject: Subject,
    body: Bytes,
    deadline: Instant,
}

impl Question {
    /// For how long an answer is of use.
    fn headers(&self) -> HeaderMap {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut headers = HeaderMap::new();
        headers.insert(header::WITHIN, left.as_millis().to_string());
        headers
    }
}

/// Listens until there is an answer, or until it is time to ask another worker.
async fn until_next_attempt(
    replies: &mut Subscriber,
    attempts: &mut Attempts,
    on_failure: OnFailure,
) -> Result<Option<Answer>, QueryError> {
    loop {
        let message = tokio::select! {
            biased;
            message = replies.next() => message.ok_or(QueryError::NotSent)?,
            () = sleep_until(attempts.next_at()) => return Ok(None),
        };
        if let Some(answer) = hear(attempts, &message) {
            return Ok(Some(answer));
        }
        if on_failure == OnFailure::GiveUp && attempts.have_all_failed() {
            return Err(attempts.reason());
        }
    }
}

/// Notes a reply; the answer, if it completes one.
fn hear(attempts: &mut Attempts, message: &Message) -> Option<Answer> {
    let (now, attempt) = (Instant::now(), message.subject.rsplit('.').next()?.parse().ok()?);
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        attempts.failed(attempt, QueryError::NoWorker, now);
        return None;
    }
    if message.headers.as_ref().is_some_and(|headers| headers.get(header::TAKEN).is_some()) {
        attempts.taken(attempt, now);
        return None;
    }
    let answer = match attempts.part(attempt, message, now) {
        Ok(None) => return None,
        Ok(Some(answer)) => Answer::decode(&answer).map_err(|_| QueryError::Unreadable),
        Err(error) => Err(error),
    };
    match answer {
        Ok(Answer::Unavailable) => attempts.failed(attempt, QueryError::Unavailable, now),
        Ok(answer) => return Some(answer),
        Err(error) => attempts.failed(attempt, error, now),
    }
    None
}
