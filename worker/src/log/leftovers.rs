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
use async_nats::jetstream::stream::{ConsumerResetError, LastRawMessageErrorKind, RawMessageError};
use protocol::message::lane::Lane;
use runtime::telemetry::error_chain;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::log::Log;

/// How often each lane is looked at.
const INTERVAL: Duration = Duration::from_secs(5);
/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// How many looks are left out at most after a lane's consumer was set back, and after a look that failed.
const MAX_PAUSE: u32 = 64;

/// Looks for leftovers of each lane.
pub(crate) struct Leftovers {
    log: Log,
    lanes: HashMap<Lane, Looked>,
}

/// What was seen of a lane.
#[derive(Debug, Default)]
struct Looked {
    /// The first leftover of the last look: an acknowledgement that has just come is not one.
    found: Option<u64>,
    /// How many looks are left out after the next trouble; it doubles each time.
    pause: u32,
    /// How many of them are still to be left out.
    left_out: u32,
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
    pub(crate) fn new(log: Log) -> Self {
        Self { log, lanes: HashMap::new() }
    }

    /// Looks until `end`.
    pub(crate) async fn watch(mut self, end: CancellationToken) {
        while end.run_until_cancelled(sleep(INTERVAL)).await.is_some() {
            if end.run_until_cancelled(self.look_at_all()).await.is_none() {
                return;
            }
        }
    }

    async fn look_at_all(&mut self) {
        for lane in Lane::ALL {
            let mut looked = self.lanes.remove(&lane).unwrap_or_default();
            if looked.left_out > 0 {
                looked.left_out -= 1;
            } else {
                // One that takes too long is a broker that is away: the next look will tell.
                if let Ok(Err(failure)) = timeout(LOOK_TIMEOUT, self.look(lane, &mut looked)).await {
                    looked.rest();
                    warn!(%lane, error = %error_chain(&failure), "cannot look for acknowledged messages in the log");
                }
            }
            self.lanes.insert(lane, looked);
        }
    }

    async fn look(&self, lane: Lane, looked: &mut Looked) -> Result<(), LookError> {
        let Log { stream, connection, namespace, .. } = &self.log;
        let (name, generation) = (lane.to_string(), connection.generation());
        let floor = stream.consumer_info(&name).await?.ack_floor.stream_sequence;
        let first = match stream.get_next_raw_message_by_subject(namespace.lane_commands(lane)).await {
            Ok(message) => Some(message.sequence).filter(|first| *first <= floor),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => None,
            Err(error) => return Err(error.into()),
        };
        let Some(first) = first else {
            *looked = Looked::default();
            return Ok(());
        };
        // What was seen on a connection says nothing about the log behind the next one.
        let is_same = connection.is_up() && connection.generation() == generation;
        if looked.found.replace(first) == Some(first) && is_same {
            stream.reset_consumer(&name, Some(first)).await?;
            looked.rest();
            warn!(%lane, first, floor, "the broker kept messages that were acknowledged; they are delivered again");
        }
        Ok(())
    }
}

impl Looked {
    /// Leaves out looks: what did not help is not done again and again.
    fn rest(&mut self) {
        self.left_out = self.pause;
        self.pause = (self.pause * 2).clamp(1, MAX_PAUSE);
    }
}
