//! Whether the log is the one that SQL knows: asked before the first pull on every connection, and whenever a pull fails.
//!
//! A broker can come back with less than it had: recreated empty, or without its tail after a power failure with
//! `--log-sync interval`. Its next messages would get sequences that were used before. SQL would take them for settled,
//! their successors would overtake them, and `active` would stay as an older command left it. So the log is renumbered
//! then ([`Numbering`]): everything that it holds and will hold gets a number above all that SQL knows. What was
//! applied before is found in the ledger by its operation; nothing has to be purged, and publishing goes on.

use std::error::Error;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{InfoError, RawMessageError, State};
use protocol::message::header;
use runtime::telemetry::error_chain;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::log::Log;
use crate::store::{Newest, Numbering, StoreError};

/// How long a check may take before it is made again: a lost reply would hold up everything.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long until a check that failed is repeated.
const RETRY: Duration = Duration::from_millis(250);
/// How often a check may find that the log has to be renumbered, before it is given up for this time.
const RENUMBERINGS: usize = 4;

/// Why the log could not be compared with SQL.
#[derive(Debug, thiserror::Error)]
pub enum ConsistencyError {
    /// SQL does not answer.
    #[error("reading what SQL knows of the log")]
    Store(#[from] StoreError),
    /// The broker does not answer.
    #[error("reading the state of the log")]
    State(#[from] InfoError),
    /// The broker does not answer.
    #[error("reading the newest settled message from the log")]
    Message(#[from] RawMessageError),
    /// It was renumbered several times, and is behind SQL again.
    #[error("the log is behind SQL, however it is numbered")]
    Behind,
}

impl ConsistencyError {
    fn log_is_missing(&self) -> bool {
        let Self::State(error) = self else { return false };
        let cause = error.source().and_then(|cause| cause.downcast_ref::<jetstream::Error>());
        cause.is_some_and(|cause| cause.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
    }
}

impl Log {
    /// Compares the log with SQL, and renumbers it if it is behind. How it is numbered now.
    pub(super) async fn verify(&self) -> Result<Numbering, ConsistencyError> {
        for _ in 0..RENUMBERINGS {
            let numbering = self.store.numbering().await?;
            let newest = self.store.newest().await?;
            let state = self.stream.get_info().await?.state;
            if self.is_consistent(numbering, newest, &state).await? {
                return Ok(numbering);
            }
            error!(
                last = state.last_sequence,
                known = newest.number,
                "the log has lost messages that were settled: it is renumbered from here on"
            );
            self.store.renumber(numbering, first(&state), state.last_sequence, self.clock.now()).await?;
        }
        Err(ConsistencyError::Behind)
    }

    /// Renumbers the log, unless another worker did.
    pub(crate) async fn renumber(&self) -> Result<(), ConsistencyError> {
        let state = self.stream.get_info().await?.state;
        error!("the log holds a message under the number of another one: it is renumbered");
        Ok(self.store.renumber(self.numbering, first(&state), state.last_sequence, self.clock.now()).await?)
    }

    /// Verifies again at every new connection and every doubt, and says so in `verified_on`; ends the session if the log
    /// has another numbering now.
    pub(crate) async fn watch(self, verified_on: watch::Sender<u64>, ends: Ends) {
        let mut verified = *verified_on.borrow();
        loop {
            tokio::select! {
                () = ends.session.cancelled() => return,
                () = self.connection.later_than(verified) => {}
            }
            let seen = self.connection.generation();
            let verified_in_time = tokio::select! {
                () = ends.session.cancelled() => return,
                // The answer went to the connection that is gone.
                () = self.connection.later_than(seen) => continue,
                verified = timeout(VERIFY_TIMEOUT, self.verify()) => verified,
            };
            let Ok(found) = verified_in_time else { continue };
            match found {
                Ok(found) if found == self.numbering => {
                    verified = seen;
                    verified_on.send_replace(seen);
                }
                Ok(_) => {
                    ends.renumbered.cancel();
                    return ends.session.cancel();
                }
                // Declared again by the next session.
                Err(failure) if failure.log_is_missing() => return ends.session.cancel(),
                Err(failure) => {
                    warn!(error = %error_chain(&failure), "the log could not be compared with SQL, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// The log has reached what SQL knows, and the newest message that SQL knows is not another one in the log.
    async fn is_consistent(
        &self,
        numbering: Numbering,
        newest: Newest,
        state: &State,
    ) -> Result<bool, ConsistencyError> {
        let last = numbering.number(state.last_sequence).max(numbering.first() - 1);
        if last < newest.number {
            return Ok(false);
        }
        let Some((number, operation)) = newest.operation else { return Ok(true) };
        let Some(sequence) = numbering.in_stream(number).filter(|sequence| *sequence >= first(state)) else {
            return Ok(true);
        };
        // No worker pulls before this check: a message that was stored after the loss is still there.
        let message = self.stored(sequence).await?;
        Ok(message.is_none_or(|message| names(&message, &operation.to_string())))
    }
}

/// How a session is ended from within.
pub(crate) struct Ends {
    /// Pulls no more.
    pub(crate) session: CancellationToken,
    /// What was pulled and not begun is dropped: the log has it under another number now, or has lost it.
    pub(crate) renumbered: CancellationToken,
}

/// The first sequence that a message has, or that the next one will get.
fn first(state: &State) -> u64 {
    if state.messages == 0 { state.last_sequence.saturating_add(1) } else { state.first_sequence }
}

/// A replay's id has a suffix.
fn names(message: &StreamMessage, operation: &str) -> bool {
    let id = message.headers.get(header::MESSAGE_ID).map(async_nats::HeaderValue::as_str);
    id.is_some_and(|id| id.split(':').next() == Some(operation))
}
