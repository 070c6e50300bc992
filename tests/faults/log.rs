//! The log behind the ingress's back: commands published exactly as an ingress would, or never would.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{self, PullConsumer};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use futures::StreamExt;
use protocol::id::Namespace;
use protocol::message::header;
use protocol::message::lane::Lane;

use super::message::Message;
use crate::harness::{Bench, eventually};

/// How many publishes are on their way at once.
const IN_FLIGHT: usize = 256;

/// The broker looks at what is unsettled a tenth of a second after its patience was changed, and says nothing of it.
const NOTICED: Duration = Duration::from_millis(200);

/// A connection of the test's own to the log of a namespace.
pub(crate) struct Log {
    context: jetstream::Context,
    namespace: Namespace,
}

impl Log {
    /// The log of a test's system.
    pub(crate) async fn of(bench: &Bench) -> Self {
        Self { context: bench.jetstream().await, namespace: bench.namespace().clone() }
    }

    /// Appends a message after a predecessor; its sequence.
    pub(crate) async fn append(&self, message: &Message, predecessor: u64) -> u64 {
        let mut headers = HeaderMap::new();
        headers.insert(header::MESSAGE_ID, message.id.as_str());
        headers.insert(header::PREDECESSOR, predecessor.to_string());
        headers.insert(header::PREDECESSOR_SUBJECT, message.subject().all_lanes(&self.namespace));
        let payload = message.envelope.encode().unwrap().into();
        let publish = PublishMessage::build().headers(headers).payload(payload);
        let sent = self.context.send_publish(message.subject().in_namespace(&self.namespace), publish).await;
        let ack = sent.unwrap().await.unwrap();
        assert!(!ack.duplicate, "the broker remembers {}", message.id);
        ack.sequence
    }

    /// Appends messages of one resource, each after the one before it; their sequences.
    pub(crate) async fn append_chain(&self, messages: &[Message]) -> Vec<u64> {
        let mut sequences = Vec::new();
        for message in messages {
            let predecessor = sequences.last().copied().unwrap_or(0);
            sequences.push(self.append(message, predecessor).await);
        }
        sequences
    }

    /// Appends messages of different resources, each after its predecessor; their sequences.
    pub(crate) async fn append_all(&self, messages: &[(Message, u64)]) -> Vec<u64> {
        let appended = messages.iter().map(|(message, predecessor)| self.append(message, *predecessor));
        futures::stream::iter(appended).buffered(IN_FLIGHT).collect().await
    }

    /// Removes a message, as an operator does.
    pub(crate) async fn remove(&self, sequence: u64) {
        assert!(self.stream().await.delete_message(sequence).await.unwrap());
    }

    /// Waits until every message has left the log.
    pub(crate) async fn drained(&self) {
        eventually("the log is empty", async || (self.stream().await.cached_info().state.messages == 0).then_some(()))
            .await;
    }

    /// Waits until so many deliveries of a lane are in the hands of workers.
    pub(crate) async fn in_hands(&self, lane: Lane, count: usize) {
        eventually("the messages are in the hands of workers", async || {
            (self.consumer(lane).await.cached_info().num_ack_pending == count).then_some(())
        })
        .await;
    }

    /// Takes all messages of a lane as a worker does that is never heard of again.
    pub(crate) async fn take_and_vanish(&self, lane: Lane, messages: usize) {
        let consumer = self.consumer(lane).await;
        let pull = consumer.batch().max_messages(messages).expires(Duration::from_secs(5)).messages();
        assert_eq!(pull.await.unwrap().count().await, messages);
    }

    /// Makes the broker deliver again what workers hold, as it does by itself 4 seconds after it last heard of them. The
    /// next worker to start gives the broker its patience back.
    pub(crate) async fn deliver_again(&self) {
        let stream = self.stream().await;
        for lane in Lane::ALL {
            let declared = self.consumer(lane).await.cached_info().config.clone();
            let impatient = consumer::Config { ack_wait: Duration::from_millis(1), ..declared.clone() };
            stream.create_consumer(impatient).await.unwrap();
        }
        tokio::time::sleep(NOTICED).await;
    }

    async fn consumer(&self, lane: Lane) -> PullConsumer {
        self.stream().await.get_consumer(lane.as_str()).await.unwrap()
    }

    async fn stream(&self) -> stream::Stream {
        self.context.get_stream(self.namespace.command_stream()).await.unwrap()
    }
}
