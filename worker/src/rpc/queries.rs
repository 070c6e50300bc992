//! Answers queries and the operator's calls, by request and reply, shared among all workers.

mod turns;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_nats::{Client, HeaderMap, Message, Subject, SubscribeError, Subscriber};
use bytes::Bytes;
use futures::future::try_join_all;
use futures::stream::select_all;
use futures::{FutureExt, StreamExt};
use protocol::failpoint::Failpoint;
use protocol::id::WorkspaceId;
use protocol::message::header;
use protocol::message::query::{Answer, Query};
use protocol::scim::error::ScimError;
use runtime::clock::Clock;
use runtime::failpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use self::turns::{Attempt, Limits, Turns};
use crate::answer;
use crate::log::Log;
use crate::rpc::credential_projection::CredentialProjection;
use crate::rpc::operator::Operator;
use crate::store::Store;

/// The queue group in which workers share queries.
const QUEUE: &str = "worker";
/// How many queries are answered and wait, lists and others apart: what is quick, such as a GET by id, has one of the four
/// connections for reads, and lists are never kept out.
const LIMITS: Limits = Limits { quick: 29, lists: 3, waiting: 1024 };
/// While more than this are being answered, a new one is not said to be taken, so that an idle worker gets a share: a
/// store has four connections for reads.
const BUSY: usize = 8;
/// After so many failed queries in a row the database seems to be away: one alone may be its own fault.
const MANY_FAILURES: u32 = 3;
/// How long a query may take while the database seems to be away. Then the ingress is told, and asks another worker.
const DOUBTFUL_TIMEOUT: Duration = Duration::from_secs(1);
/// The largest part of a reply, in bytes: well below any broker's `max_payload`.
const PART: usize = 512 * 1024;

/// What answering needs.
pub(crate) struct Queries {
    pub(crate) client: Client,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) projection: Arc<CredentialProjection>,
    pub(crate) clock: Clock,
    /// Whether the lanes are pulled; they are not while the database is away.
    pub(crate) open: watch::Receiver<bool>,
    /// How many queries in a row could not be answered.
    pub(crate) failures: AtomicU32,
}

impl Queries {
    /// Takes a share of the queries from now on.
    pub(crate) async fn subscribe(&self) -> Result<Vec<Subscriber>, SubscribeError> {
        let Log { namespace, .. } = &self.log;
        let subjects = [namespace.all_queries(), namespace.all_operator_calls()];
        try_join_all(subjects.map(|subject| self.client.queue_subscribe(subject, QUEUE.to_owned()))).await
    }

    /// Answers until `stop`, then finishes what was begun.
    pub(crate) async fn run(self: Arc<Self>, subscriptions: Vec<Subscriber>, stop: CancellationToken) {
        let mut messages = select_all(subscriptions).take_until(Box::pin(stop.cancelled_owned()));
        let (mut turns, mut running, mut ended) = (Turns::new(LIMITS), JoinSet::new(), false);
        while !ended || turns.has_waiting() || !running.is_empty() {
            tokio::select! {
                message = messages.next(), if !ended && turns.has_room() => match message {
                    Some(message) => self.take(message, &mut turns).await,
                    None => ended = true,
                },
                Some(Ok(attempt)) = running.join_next() => turns.finished(attempt),
            }
            while let Some(attempt) = turns.next(Instant::now()) {
                self.start(attempt, &mut running);
            }
        }
    }

    /// Puts a query in line, and says that it is taken, unless another worker may be faster.
    async fn take(&self, message: Message, turns: &mut Turns) {
        let (now, is_busy) = (Instant::now(), turns.load() >= BUSY);
        if let Some(attempt) = turns.enqueue(Attempt::new(message, now), now)
            && !is_busy
            && !self.is_doubtful()
        {
            self.say_taken(attempt).await;
        }
    }

    /// Whether the database seems to be away.
    fn is_doubtful(&self) -> bool {
        !*self.open.borrow() || self.failures.load(Ordering::Relaxed) >= MANY_FAILURES
    }

    fn start(self: &Arc<Self>, attempt: Attempt, running: &mut JoinSet<Attempt>) {
        let doubtful = self.is_doubtful();
        let queries = Arc::clone(self);
        running.spawn(async move {
            // A panic must not leave the query open here for ever.
            if AssertUnwindSafe(queries.reply(&attempt, doubtful)).catch_unwind().await.is_err() {
                error!("a query's task failed; the ingress will ask again");
            }
            attempt
        });
    }

    async fn say_taken(&self, attempt: &Attempt) {
        let Some(inbox) = attempt.message.reply.clone().filter(|_| attempt.query_id().is_some()) else { return };
        let mut headers = HeaderMap::new();
        headers.insert(header::TAKEN, "true");
        if let Err(error) = self.client.publish_with_headers(inbox, headers, Bytes::new()).await {
            debug!(%error, "a query was not said to be taken");
        }
    }

    async fn reply(&self, attempt: &Attempt, doubtful: bool) {
        let message = &attempt.message;
        let Some(reply) = message.reply.clone() else { return };
        let sent = if let Some(verb) = self.log.namespace.operator_verb(&message.subject) {
            let operator = Operator::new(&self.store, self.clock.now()).with_broker(&self.log, &self.projection);
            self.send(reply, serde_json::to_vec(&operator.answer(verb, &message.payload).await)).await
        } else {
            self.send(reply, self.query(message, attempt.query(), doubtful).await.encode()).await
        };
        if let Err(error) = sent {
            warn!(%error, "a reply was not sent; the caller will ask again");
        }
        failpoint::hit(Failpoint::WorkerReplyAfter).await;
    }

    async fn query(&self, message: &Message, query: Option<&Query>, doubtful: bool) -> Answer {
        let workspace = message.subject.rsplit('.').next().and_then(|name| name.parse::<WorkspaceId>().ok());
        match (workspace, query) {
            (Some(workspace), Some(query @ Query::Fate(asked))) => self.fate(&workspace, query, asked).await,
            (Some(workspace), Some(query)) => {
                let limit = if doubtful { DOUBTFUL_TIMEOUT } else { Duration::MAX };
                let answer = timeout(limit, answer::answer(&self.store, &workspace, query)).await;
                let answer = answer.unwrap_or(Answer::Unavailable);
                if answer == Answer::Unavailable {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.failures.store(0, Ordering::Relaxed);
                }
                answer
            }
            (None, _) | (_, None) => {
                warn!("a query cannot be decoded; is an ingress newer than this worker?");
                Answer::Refused { error: ScimError::new(500, "this worker does not understand the query") }
            }
        }
    }

    /// One message, or as many parts as it takes.
    async fn send(&self, reply: Subject, body: serde_json::Result<Vec<u8>>) -> Result<(), SendError> {
        let body = Bytes::from(body?);
        failpoint::hit(Failpoint::WorkerReplyBefore).await;
        if body.len() <= PART {
            return Ok(self.client.publish(reply, body).await?);
        }
        let parts = body.len().div_ceil(PART);
        for part in 0..parts {
            let mut headers = HeaderMap::new();
            headers.insert(header::PART, part.to_string());
            headers.insert(header::PARTS, parts.to_string());
            let bytes = body.slice(part * PART..body.len().min((part + 1) * PART));
            self.client.publish_with_headers(reply.clone(), headers, bytes).await?;
        }
        Ok(())
    }
}

/// Why a reply was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("writing the reply as JSON")]
    Encode(#[from] serde_json::Error),
    #[error("publishing the reply")]
    Publish(#[from] async_nats::PublishError),
}
