//! Appends commands so that each names its predecessor: the broker itself checks the order (DESIGN: "each command names
//! its predecessor").

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::header::{NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE};
use async_nats::{HeaderMap, client::Request};
use backoff::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use protocol::failpoint::Failpoint;
use protocol::id::{Namespace, OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::header;
use protocol::message::lane::Lane;
use protocol::message::subject::CommandSubject;

use super::GatewayError;
use super::link::Link;
use super::locks::KeyedLocks;
use super::publish_ack::{self, Said};
use crate::{failpoint, identity};

/// How long one attempt waits for the broker's word.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How long a sequence that the cluster is just assigning takes to be known.
const A_MOMENT: Duration = Duration::from_millis(4);

/// A command, written as a message once; each attempt differs only in its predecessor.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) operation: OperationId,
    pub(super) workspace: WorkspaceId,
    subject: String,
    all_lanes: String,
    payload: Bytes,
}

impl Outgoing {
    /// Writes the command.
    pub(super) fn new(namespace: &Namespace, envelope: &Envelope<Command>, lane: Lane) -> Result<Self, GatewayError> {
        let subject = CommandSubject {
            lane,
            workspace: envelope.workspace.clone(),
            resource_type: envelope.resource_type,
            resource: envelope.resource,
        };
        Ok(Self {
            operation: envelope.operation,
            workspace: envelope.workspace.clone(),
            subject: subject.in_namespace(namespace),
            all_lanes: subject.all_lanes(namespace),
            payload: envelope.encode().map_err(GatewayError::Encode)?.into(),
        })
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::MESSAGE_ID, self.operation.to_string());
        headers
    }

    fn request(&self, predecessor: u64) -> Request {
        let mut headers = self.headers();
        headers.insert(header::PREDECESSOR, predecessor.to_string());
        headers.insert(header::PREDECESSOR_SUBJECT, self.all_lanes.as_str());
        Request::new().headers(headers).payload(self.payload.clone()).timeout(Some(ATTEMPT))
    }
}

/// The log has a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Appended {
    /// An earlier attempt had been stored: its outcome may have been sent before.
    pub(super) duplicate: bool,
}

/// The end of the log at which commands are appended.
#[derive(Debug)]
pub(super) struct Chain {
    link: Link,
    locks: KeyedLocks,
    /// The broker's last refusal for a reason that is not foreseen, so that it is logged once; 0 for none.
    refusal: AtomicU64,
}

impl Chain {
    pub(super) fn new(link: Link) -> Self {
        Self { link, locks: KeyedLocks::default(), refusal: AtomicU64::new(0) }
    }

    /// Appends a command, under its one id however often it takes; the caller gives up at the envelope's deadline.
    /// Nothing is sent while the broker is not connected.
    pub(super) async fn append(&self, command: &Outgoing) -> Result<Appended, GatewayError> {
        let _turn = self.locks.lock(&command.all_lanes).await;
        let mut predecessor = 0;
        let mut conflicts = 0;
        let mut unknown = false;
        let mut delays = delays();
        loop {
            let said = self.attempt(command, predecessor).await;
            unknown |= said == Said::Unknown;
            match said {
                Said::Stored { duplicate } => {
                    failpoint::hit(Failpoint::IngressPublishAfter).await;
                    self.refusal.store(0, Ordering::Relaxed);
                    return Ok(Appended { duplicate });
                }
                Said::Pending(sequence) => {
                    predecessor = sequence;
                    conflicts += 1;
                    give_way(conflicts).await;
                }
                Said::InFlight => tokio::time::sleep(A_MOMENT).await,
                // After an attempt of unknown fate nobody can say that nothing was changed: asked again until the deadline.
                Said::Full if !unknown => return Err(GatewayError::LogFull),
                Said::TooLarge if !unknown => {
                    return Err(GatewayError::TooLarge { limit: self.link.client().max_payload() });
                }
                Said::Full | Said::TooLarge | Said::NoLog | Said::Unknown | Said::Refused(_) => {
                    self.note(command.operation, &said);
                    tokio::time::sleep(delays.next().unwrap_or(ATTEMPT)).await;
                }
            }
        }
    }

    /// Stores new resources' commands all at once, in one write (NATS ADR-50): true if the log has them all. Otherwise
    /// each is to be [appended](Self::append) by itself; what was stored nevertheless is a duplicate then.
    ///
    /// They name no predecessor: nobody else knows these ids yet.
    pub(super) async fn append_together(&self, commands: &[&Outgoing]) -> bool {
        failpoint::hit(Failpoint::IngressPublishBefore).await;
        let generation = self.link.connected().await;
        let said = tokio::select! {
            said = self.publish_together(commands) => said,
            _ = self.link.reconnected(generation) => Said::Unknown,
        };
        let stored = matches!(said, Said::Stored { .. });
        if stored {
            failpoint::hit(Failpoint::IngressPublishAfter).await;
        } else {
            tracing::debug!(?said, commands = commands.len(), "not stored together, appending one by one");
        }
        stored
    }

    async fn publish_together(&self, commands: &[&Outgoing]) -> Said {
        let batch = identity::batch();
        let headers = |index: usize, command: &Outgoing| {
            let mut headers = command.headers();
            headers.insert(NATS_BATCH_ID, batch.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, index.saturating_add(1).to_string());
            headers
        };
        let Some((last, others)) = commands.split_last() else { return Said::Stored { duplicate: false } };
        let client = self.link.client();
        for (index, command) in others.iter().enumerate() {
            let (subject, payload) = (command.subject.clone(), command.payload.clone());
            if client.publish_with_headers(subject, headers(index, command), payload).await.is_err() {
                return Said::Unknown;
            }
        }
        let mut commit = headers(others.len(), last);
        commit.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        let request = Request::new().headers(commit).payload(last.payload.clone()).timeout(Some(ATTEMPT));
        match client.send_request(last.subject.clone(), request).await {
            Ok(message) => publish_ack::read(&message.payload),
            Err(error) => publish_ack::failed(error.kind()),
        }
    }

    fn note(&self, operation: OperationId, said: &Said) {
        tracing::debug!(%operation, ?said, "appending again under the same id");
        if let Said::Refused(code) = *said
            && self.refusal.swap(code, Ordering::Relaxed) != code
        {
            tracing::warn!(code, "the broker refuses commands with error {code}, trying again");
        }
    }

    async fn attempt(&self, command: &Outgoing, predecessor: u64) -> Said {
        failpoint::hit(Failpoint::IngressPublishBefore).await;
        let generation = self.link.connected().await;
        let request = self.link.client().send_request(command.subject.clone(), command.request(predecessor));
        tokio::select! {
            reply = request => match reply {
                Ok(message) => publish_ack::read(&message.payload),
                Err(error) => publish_ack::failed(error.kind()),
            },
            // The answer went to the connection that is gone.
            _ = self.link.reconnected(generation) => Said::Unknown,
        }
    }
}

/// Another ingress publishes for the same resource: the first conflict is normal, more of them mean that both spin.
async fn give_way(conflicts: u32) {
    if conflicts > 1 {
        tokio::time::sleep(Duration::from_micros(rand::random_range(0..500 * u64::from(conflicts.min(10))))).await;
    }
}

fn delays() -> impl Iterator<Item = Duration> {
    let builder = ExponentialBuilder::default().with_min_delay(Duration::from_millis(20));
    builder.with_max_delay(Duration::from_secs(1)).without_max_times().with_jitter().build()
}
