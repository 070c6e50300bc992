//! Questions to any worker, by request and reply; large answers arrive in parts.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{HeaderMap, Message, StatusCode};
use backoff::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use futures::StreamExt;
use protocol::id::{Namespace, WorkspaceId};
use protocol::message::header;
use protocol::message::query::{Answer, Query};
use tokio::time::{Instant, timeout, timeout_at};

use super::GatewayError;
use super::link::Link;

/// How long one attempt waits for the next part of the answer.
const ATTEMPT: Duration = Duration::from_secs(3);
/// The first attempts of a question that is asked until it is answered, and how long each further one waits: the worker
/// that took the question may have been killed, or the database may be slow.
const FIRST_ATTEMPTS: [Duration; 2] = [Duration::from_millis(750), ATTEMPT];
const FURTHER_ATTEMPTS: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// The most parts of an answer.
const MOST_PARTS: usize = 4096;

/// Asks workers.
#[derive(Debug)]
pub(super) struct Asking {
    link: Link,
    namespace: Namespace,
}

/// Why one attempt brought no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("no worker listens")]
    NoWorker,
    #[error("no answer in time")]
    Silent,
    #[error("the worker cannot reach its database")]
    Unavailable,
    #[error("the answer is not readable")]
    Unreadable,
    #[error("the question could not be sent")]
    NotSent,
}

impl Asking {
    pub(super) const fn new(link: Link, namespace: Namespace) -> Self {
        Self { link, namespace }
    }

    /// Asks until there is an answer, or `deadline` has come.
    pub(super) async fn until(
        &self,
        workspace: &WorkspaceId,
        query: &Query,
        deadline: Instant,
    ) -> Result<Answer, GatewayError> {
        let attempts = async {
            let mut delays = delays();
            let mut attempts = FIRST_ATTEMPTS.into_iter();
            let mut within = attempts.next().unwrap_or(FURTHER_ATTEMPTS);
            loop {
                match self.attempt(workspace, query, within).await {
                    Ok(answer) => return answer,
                    // Nobody took the question: the first who does has as long as the first attempt.
                    Err(AskError::NoWorker) => tracing::debug!(%workspace, "no worker listens, asking again"),
                    Err(error) => {
                        tracing::debug!(%workspace, %error, "asking again");
                        within = attempts.next().unwrap_or(FURTHER_ATTEMPTS);
                    }
                }
                tokio::time::sleep(delays.next().unwrap_or(ATTEMPT)).await;
            }
        };
        timeout_at(deadline, attempts).await.map_err(|_| GatewayError::Unanswered { in_log: None })
    }

    /// One attempt.
    pub(super) async fn once(&self, workspace: &WorkspaceId, query: &Query) -> Result<Answer, AskError> {
        self.attempt(workspace, query, ATTEMPT).await
    }

    async fn attempt(&self, workspace: &WorkspaceId, query: &Query, within: Duration) -> Result<Answer, AskError> {
        let question = serde_json::to_vec(query).map_err(|_| AskError::NotSent)?;
        let generation = self.link.connected().await;
        tokio::select! {
            answer = self.exchange(workspace, question.into(), within) => match answer? {
                Answer::Unavailable => Err(AskError::Unavailable),
                answer => Ok(answer),
            },
            // The answer went to the connection that is gone.
            _ = self.link.reconnected(generation) => Err(AskError::Silent),
        }
    }

    async fn exchange(&self, workspace: &WorkspaceId, question: Bytes, within: Duration) -> Result<Answer, AskError> {
        let client = self.link.client();
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(|_| AskError::NotSent)?;
        let sent = client.publish_with_reply(self.namespace.queries(workspace), inbox, question).await;
        sent.map_err(|_| AskError::NotSent)?;
        let mut parts = Parts::default();
        loop {
            let reply = timeout(within, replies.next()).await.map_err(|_| AskError::Silent)?;
            if let Some(answer) = parts.add(&reply.ok_or(AskError::Silent)?)? {
                return serde_json::from_slice(&answer).map_err(|_| AskError::Unreadable);
            }
        }
    }
}

fn delays() -> impl Iterator<Item = Duration> {
    let builder = ExponentialBuilder::default().with_min_delay(Duration::from_millis(20));
    builder.with_max_delay(Duration::from_millis(500)).without_max_times().with_jitter().build()
}

/// The parts of an answer that have arrived, in any order.
#[derive(Debug, Default)]
struct Parts {
    received: BTreeMap<usize, Bytes>,
    bytes: usize,
}

impl Parts {
    /// Takes a reply; returns the whole answer when it was the last part missing.
    fn add(&mut self, reply: &Message) -> Result<Option<Bytes>, AskError> {
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(AskError::NoWorker);
        }
        let Some((part, parts)) = numbers(reply.headers.as_ref())? else { return Ok(Some(reply.payload.clone())) };
        self.bytes = self.bytes.saturating_add(reply.payload.len());
        if part >= parts || parts > MOST_PARTS || self.bytes > MOST_BYTES {
            return Err(AskError::Unreadable);
        }
        self.received.insert(part, reply.payload.clone());
        Ok((self.received.len() == parts).then(|| self.received.values().flatten().copied().collect()))
    }
}

/// The number of this part and of all parts; none for an answer in one message.
fn numbers(headers: Option<&HeaderMap>) -> Result<Option<(usize, usize)>, AskError> {
    let number =
        |name: &str| headers.and_then(|headers| headers.get(name)).map(|value| value.as_str().parse::<usize>());
    match (number(header::PART), number(header::PARTS)) {
        (None, None) => Ok(None),
        (Some(Ok(part)), Some(Ok(parts))) => Ok(Some((part, parts))),
        _ => Err(AskError::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(payload: &'static str, numbers: Option<(&str, &str)>) -> Message {
        let headers = numbers.map(|(part, parts)| {
            let mut headers = HeaderMap::new();
            headers.insert(header::PART, part);
            headers.insert(header::PARTS, parts);
            headers
        });
        let payload = Bytes::from_static(payload.as_bytes());
        Message {
            subject: "inbox".into(),
            reply: None,
            length: payload.len(),
            payload,
            headers,
            status: None,
            description: None,
        }
    }

    #[test]
    fn parts_make_one_answer_in_any_order() {
        let mut parts = Parts::default();
        assert!(parts.add(&reply("lo ", Some(("1", "3")))).unwrap().is_none());
        assert!(parts.add(&reply("world", Some(("2", "3")))).unwrap().is_none());
        assert_eq!(parts.add(&reply("hel", Some(("0", "3")))).unwrap().unwrap(), "hello world");
        assert_eq!(Parts::default().add(&reply("all", None)).unwrap().unwrap(), "all");
    }

    #[test]
    fn parts_that_make_no_sense_are_refused() {
        for numbers in [("3", "3"), ("0", "5000"), ("x", "2")] {
            assert!(Parts::default().add(&reply("", Some(numbers))).is_err(), "{numbers:?}");
        }
    }
}
