//! The log in the broker: declared, compared with SQL, pulled lane by lane, read, kept alive, acknowledged.

pub(crate) mod acknowledge;
pub(crate) mod consistency;
pub(crate) mod declare;
pub(crate) mod delivery;
pub(crate) mod keep_alive;
pub(crate) mod lane_pauses;
pub(crate) mod leftovers;
pub(crate) mod pull;
#[cfg(test)]
pub(crate) mod testing;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, RawMessageError, Stream};
use protocol::id::Namespace;
use protocol::message::pending::{PendingMessage, PendingTarget};
use protocol::message::subject::CommandSubject;
use runtime::clock::Clock;
use runtime::connection::Connection;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use self::consistency::ConsistencyError;
use self::delivery::{Content, Delivery};
use crate::store::{Numbering, Store};

/// The log of one session: where it is, and how it is numbered.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) namespace: Namespace,
    pub(crate) numbering: Numbering,
    pub(crate) connection: Connection,
    pub(crate) stream: Stream,
    /// What SQL knows of the log.
    pub(crate) store: Store,
    clock: Clock,
    /// The connection on which the log was last found to be the one that SQL knows.
    verified: watch::Receiver<u64>,
}

/// What the log says of a number.
pub(crate) enum Found {
    /// It has this message.
    Pending(Box<Delivery>),
    /// It has none: what it had was settled, or removed by hand.
    Gone,
    /// The broker did not answer.
    Unknown,
}

impl Log {
    /// Compares the log with SQL, and renumbers it if it is behind. The sender is for [`Self::watch`].
    pub(crate) async fn open(
        stream: Stream,
        store: Store,
        namespace: Namespace,
        connection: Connection,
    ) -> Result<(Self, watch::Sender<u64>), ConsistencyError> {
        let (sender, verified) = watch::channel(connection.generation());
        let (numbering, clock) = (Numbering::default(), Clock::System);
        let mut log = Self { namespace, numbering, connection, stream, store, clock, verified };
        log.numbering = log.verify().await?;
        Ok((log, sender))
    }

    /// The message of a number.
    pub(crate) async fn get(&self, number: u64) -> Found {
        let Some(in_stream) = self.numbering.in_stream(number) else { return Found::Gone };
        match self.stored(in_stream).await {
            Ok(Some(message)) => Found::Pending(Box::new(self.fetched(message))),
            Ok(None) => Found::Gone,
            Err(error) => {
                debug!(sequence = number, %error, "message {number} cannot be read from the log now");
                Found::Unknown
            }
        }
    }

    /// The same, unless the log is not known to be the one that SQL knows: then its answer means nothing.
    pub(crate) async fn get_verified(&self, number: u64) -> Found {
        let generation = self.connection.generation();
        let found = self.get(number).await;
        let is_verified = *self.verified.borrow() == generation && self.connection.generation() == generation;
        if is_verified { found } else { Found::Unknown }
    }

    /// The first message from a sequence of the stream on, with its own; none if there is none, or the broker does not answer.
    pub(crate) async fn pending_from(&self, in_stream: u64) -> Option<(u64, PendingMessage)> {
        let subjects = self.namespace.all_commands();
        let message = self.stream.get_first_raw_message_by_subject(subjects, in_stream).await.ok()?;
        let in_stream = message.sequence;
        let target = CommandSubject::parse(&self.namespace, &message.subject).ok();
        let target = target.map(|CommandSubject { lane, workspace, resource_type, resource }| PendingTarget {
            lane,
            workspace,
            resource_type,
            resource,
        });
        let Delivery { sequence, accepted_at, content, .. } = self.fetched(message);
        let too_new = if let Content::TooNew(version) = content { Some(version) } else { None };
        Some((in_stream, PendingMessage { sequence, accepted_at, target, too_new }))
    }

    async fn stored(&self, in_stream: u64) -> Result<Option<StreamMessage>, RawMessageError> {
        match self.stream.get_raw_message(in_stream).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the log is verified on the present connection; its generation. None after `stop`.
    async fn verified(&self, stop: &CancellationToken) -> Option<u64> {
        let mut verified = self.verified.clone();
        loop {
            let generation = self.connection.generation();
            tokio::select! {
                () = stop.cancelled() => return None,
                verified = verified.wait_for(|verified| *verified == generation) => {
                    return verified.is_ok().then_some(generation);
                }
                () = self.connection.later_than(generation) => {}
            }
        }
    }
}
