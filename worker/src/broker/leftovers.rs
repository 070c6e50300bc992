//! Messages that are acknowledged and in the log all the same.
//!
//! The log keeps what is not acknowledged (a work queue). A broker that is killed builds its index anew from the files, and
//! may do so without removals that it had made: measured with nats-server 2.15.1 under many kills, up to 1,900 messages
//! of one file at a time. No consumer delivers them again, because its acknowledgement floor is above them; they would
//! take room in the log for ever. So the consumer is set back to the first of them (ADR-60): everything from there on is
//! delivered again, and what the ledger knows is acknowledged again without an effect. What it should not know, because
//! the consumer was ahead of SQL, is applied.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::context::ConsumerInfoError;
use async_nats::jetstream::stream::{ConsumerResetError, LastRawMessageErrorKind, RawMessageError, Stream};
use protocol::id::Namespace;
use protocol::message::lane::Lane;
use runtime::telemetry::error_chain;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How often each lane is looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks for leftovers of each lane.
pub(crate) struct Leftovers {
    stream: Stream,
    namespace: Namespace,
    /// What was found when the lane was looked at last: an acknowledgement that has just come is not one.
    found: HashMap<Lane, u64>,
}

/// Why a lane could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("reading how far the lane is acknowledged")]
    Consumer(#[from] ConsumerInfoError),
    #[error("reading the lane's first message")]
    Message(#[from] RawMessageError),
    #[error("setting the lane's consumer back")]
    Reset(#[from] ConsumerResetError),
}

impl Leftovers {
    /// Of this log.
    pub(crate) fn new(stream: Stream, namespace: Namespace) -> Self {
        Self { stream, namespace, found: HashMap::new() }
    }

    /// Looks until `end`.
    pub(crate) async fn watch(mut self, end: CancellationToken) {
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                () = sleep(INTERVAL) => {}
            }
            for lane in Lane::ALL {
                // One that takes too long is a broker that is away: the next look will tell.
                if let Ok(Err(failure)) = timeout(LOOK_TIMEOUT, self.look(lane)).await {
                    warn!(%lane, error = %error_chain(&failure), "cannot look for acknowledged messages in the log");
                }
            }
        }
    }

    async fn look(&mut self, lane: Lane) -> Result<(), LookError> {
        let name = lane.to_string();
        let floor = self.stream.consumer_info(&name).await?.ack_floor.stream_sequence;
        let first = match self.stream.get_next_raw_message_by_subject(self.namespace.lane_commands(lane)).await {
            Ok(message) => message.sequence,
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                self.found.remove(&lane);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if first > floor {
            self.found.remove(&lane);
        } else if self.found.insert(lane, first) == Some(first) {
            warn!(%lane, first, floor, "the broker kept messages that were acknowledged; they are delivered again");
            self.stream.reset_consumer(&name, Some(first)).await?;
        }
        Ok(())
    }
}
