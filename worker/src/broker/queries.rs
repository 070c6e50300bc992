//! Answers queries and the operator's calls, by request and reply, shared among all workers.

use std::sync::Arc;

use async_nats::{Client, HeaderMap, Message, Subject, SubscribeError, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::select_all;
use protocol::failpoint::Failpoint;
use protocol::id::WorkspaceId;
use protocol::message::admin::{AdminCall, AdminError, AdminResult};
use protocol::message::header;
use protocol::message::query::{Answer, Query};
use protocol::scim::error::ScimError;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::broker::balance::balance;
use crate::broker::delivery::LogView;
use crate::broker::projection::Projection;
use crate::broker::soundness::Soundness;
use crate::clock::Clock;
use crate::store::Store;
use crate::{admin, answer, failpoint};

/// The queue group in which workers share queries.
const QUEUE: &str = "worker";
/// How many queries are answered at once; others wait in the subscription.
const AT_ONCE: usize = 32;
/// The largest part of a reply, in bytes: well below any broker's `max_payload`.
const PART: usize = 512 * 1024;

/// What answering needs.
pub(crate) struct Queries {
    pub(crate) client: Client,
    pub(crate) log: LogView,
    pub(crate) store: Store,
    pub(crate) projection: Arc<Projection>,
    pub(crate) soundness: Soundness,
    pub(crate) clock: Clock,
}

impl Queries {
    /// Takes a share of the queries from now on.
    pub(crate) async fn subscribe(&self) -> Result<Vec<Subscriber>, SubscribeError> {
        let mut subscriptions =
            vec![self.client.queue_subscribe(self.log.namespace.all_queries(), QUEUE.to_owned()).await?];
        for verb in AdminCall::WORKER_VERBS {
            subscriptions.push(self.client.queue_subscribe(self.log.namespace.admin(verb), QUEUE.to_owned()).await?);
        }
        Ok(subscriptions)
    }

    /// Answers until `stop`, then finishes what was begun.
    pub(crate) async fn run(self: Arc<Self>, subscriptions: Vec<Subscriber>, stop: CancellationToken) {
        let mut messages = select_all(subscriptions).take_until(Box::pin(stop.cancelled_owned()));
        let (room, tasks) = (Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new());
        while let Some(message) = messages.next().await {
            let Ok(room) = Arc::clone(&room).acquire_owned().await else { break };
            let queries = Arc::clone(&self);
            tasks.spawn(async move {
                queries.reply(message).await;
                drop(room);
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn reply(&self, message: Message) {
        let Some(reply) = message.reply.clone() else { return };
        let sent = if message.subject.starts_with(&self.log.namespace.admin("")) {
            self.send(reply, &self.call(&message.payload).await).await
        } else {
            self.send(reply, &self.query(&message).await).await
        };
        if let Err(error) = sent {
            warn!(%error, "a reply was not sent; whoever asked will ask again");
        }
        failpoint::hit(Failpoint::WorkerReplyAfter).await;
    }

    async fn query(&self, message: &Message) -> Answer {
        let workspace = message.subject.rsplit('.').next().and_then(|name| name.parse::<WorkspaceId>().ok());
        match (workspace, serde_json::from_slice::<Query>(&message.payload)) {
            (Some(workspace), Ok(Query::Fate { operation, sequence })) => {
                self.fate(&workspace, operation, sequence).await
            }
            (Some(workspace), Ok(query)) => answer::answer(&self.store, &workspace, &query).await,
            (None, _) | (_, Err(_)) => {
                warn!("a query cannot be decoded; is an ingress newer than this worker?");
                Answer::Refused { error: ScimError::new(500, "this worker does not understand the query") }
            }
        }
    }

    async fn call(&self, payload: &[u8]) -> AdminResult {
        let call: AdminCall = serde_json::from_slice(payload)
            .map_err(|error| AdminError::Invalid { detail: format!("the call cannot be decoded: {error}") })?;
        if call == AdminCall::AuditBalance {
            return balance(&self.soundness, &self.log).await;
        }
        let changes_credentials = matches!(
            call,
            AdminCall::WorkspaceEnable { .. }
                | AdminCall::WorkspaceDialect { .. }
                | AdminCall::SchemaAdd { .. }
                | AdminCall::TokenCreate { .. }
                | AdminCall::TokenRevoke { .. }
        );
        let reply = admin::admin(&self.store, call, self.clock.now()).await?;
        if changes_credentials {
            // Before the reply, so that a token works, or works no more, when the caller hears of it.
            if let Err(error) = self.projection.project(&self.store).await {
                warn!(%error, "credentials were not projected; the next reconciliation will");
            }
        }
        Ok(reply)
    }

    /// One message, or as many parts as it takes.
    async fn send(&self, reply: Subject, body: &impl Serialize) -> Result<(), SendError> {
        let body = Bytes::from(serde_json::to_vec(body)?);
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
