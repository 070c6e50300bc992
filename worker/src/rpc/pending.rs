//! Tells operators what the log holds, and what of it this worker has.

use async_nats::{Client, SubscribeError};
use futures::StreamExt;
use protocol::message::pending::{MAX_LISTED, PendingMessage, Waits};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::log::Log;

/// Workers share the lists.
const QUEUE: &str = "worker";

/// Where the dispatcher is asked what it has.
pub(crate) type AskDispatcher = mpsc::Sender<oneshot::Sender<Vec<Waits>>>;

/// Answers until `end`.
pub(crate) async fn answer(
    client: Client,
    log: Log,
    dispatcher: AskDispatcher,
    end: CancellationToken,
) -> Result<(), SubscribeError> {
    let mut lists = client.queue_subscribe(log.namespace.pending_lists(), QUEUE.to_owned()).await?;
    let mut questions = client.subscribe(log.namespace.pending_in_workers()).await?;
    tokio::spawn(end.run_until_cancelled_owned(async move {
        loop {
            let (inbox, payload) = tokio::select! {
                Some(list) = lists.next() => (list.reply, serde_json::to_vec(&oldest(&log).await)),
                Some(question) = questions.next() => (question.reply, serde_json::to_vec(&own(&dispatcher).await)),
                else => return,
            };
            let (Some(inbox), Ok(payload)) = (inbox, payload) else { continue };
            if let Err(error) = client.publish(inbox, payload.into()).await {
                warn!(%error, "a reply was not sent; the caller will ask again");
            }
        }
    }));
    Ok(())
}

/// The oldest messages of the log.
async fn oldest(log: &Log) -> Vec<PendingMessage> {
    let (mut messages, mut from) = (Vec::new(), 1);
    while messages.len() < MAX_LISTED
        && let Some((in_stream, message)) = log.pending_from(from).await
    {
        from = in_stream + 1;
        messages.push(message);
    }
    messages
}

/// What this worker has. A dispatcher that has ended has nothing.
async fn own(dispatcher: &AskDispatcher) -> Vec<Waits> {
    let (sender, receiver) = oneshot::channel();
    if dispatcher.send(sender).await.is_err() {
        return Vec::new();
    }
    receiver.await.unwrap_or_default()
}
