//! Conservation: every sequence that the log has given out is still in the log, in the ledger, or among the settled
//! copies.

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::stream::InfoError;
use futures::{StreamExt, stream};
use protocol::message::operator::{AuditBalance, Balance, OperatorError};
use runtime::telemetry::error_chain;
use runtime::{backoff, clock};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::log::{Found, Log};
use crate::metrics::METRICS;
use crate::store::{StoreError, to_u64};

/// The most sequences that are looked for in the log.
const MAX_UNSETTLED: usize = 10_000;
/// How many of them at a time.
const CONCURRENCY: usize = 16;
/// The most sequences that are listed.
const MAX_LISTED: usize = 100;

/// How often it is drawn for metrics, by one worker of all, in milliseconds; and how often each sees whose turn it is.
const DRAW_INTERVAL_MILLIS: i64 = 10 * 60 * 1000;
const LOOK_INTERVAL: Duration = Duration::from_mins(1);
/// The bucket's key that holds when it was drawn last.
const TURN_KEY: &str = "balance";

/// Why there is no balance now.
#[derive(Debug, thiserror::Error)]
enum BalanceError {
    #[error("reading what SQL knows of the log")]
    Store(#[from] StoreError),
    #[error("reading the state of the log")]
    State(#[from] InfoError),
    #[error("reading message {0} from the log")]
    Message(u64),
}

/// Draws the balance. While commands are on their way it is one of a moving log; what is missing is missing all the
/// same.
pub(crate) async fn balance(log: &Log, _: AuditBalance) -> Result<Balance, OperatorError> {
    match draw(log).await {
        Ok(Some(balance)) => Ok(balance),
        Err(error) => Err(OperatorError::Unavailable { detail: error_chain(&error) }),
        Ok(None) => Err(OperatorError::Conflict {
            detail: format!(
                "more than {MAX_UNSETTLED} messages are not settled yet; ask again when the log is shorter"
            ),
        }),
    }
}

/// Draws the balance every ten minutes, unless another worker does, for metrics and status.
pub(crate) async fn draw_in_turn(log: Log, bucket: kv::Store, end: CancellationToken) {
    let mut own = 0;
    while end.run_until_cancelled(sleep(backoff::doubled(LOOK_INTERVAL, LOOK_INTERVAL, 0))).await.is_some() {
        let now = clock::now().as_millis();
        let Ok(entry) = bucket.entry(TURN_KEY).await else { continue };
        let (last, revision) = entry.map_or((0, 0), |entry| (millis(&entry.value), entry.revision));
        if last != own {
            // Another one draws it: what this one has is old.
            METRICS.balance_drawn_at.set(0);
        }
        let is_due = now.saturating_sub(last) >= DRAW_INTERVAL_MILLIS;
        if !is_due || bucket.update(TURN_KEY, now.to_string().into(), revision).await.is_err() {
            continue;
        }
        own = now;
        match draw(&log).await {
            Ok(Some(balance)) => {
                METRICS.missing_sequences.set(i64::try_from(balance.missing).unwrap_or(i64::MAX));
                METRICS.balance_drawn_at.set(now);
            }
            // The log is long: the next time.
            Ok(None) => {}
            Err(error) => warn!(error = %error_chain(&error), "the balance cannot be drawn now"),
        }
    }
}

fn millis(value: &[u8]) -> i64 {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

async fn draw(log: &Log) -> Result<Option<Balance>, BalanceError> {
    let (store, numbering) = (&log.store, log.numbering);
    // In this order: what the log had given out before SQL was asked.
    let state = log.stream.get_info().await?.state;
    let (first, last) = (numbering.first(), numbering.number(state.last_sequence).max(numbering.first() - 1));
    let Some(unsettled) = store.unsettled(first, last, MAX_UNSETTLED).await? else { return Ok(None) };
    let mut workspaces = store.settled_by_workspace(first, last).await?;
    let mut absent = Vec::new();
    let found = stream::iter(unsettled).map(|sequence| async move { (sequence, log.get(sequence).await) });
    let mut found = found.buffered(CONCURRENCY);
    while let Some((sequence, found)) = found.next().await {
        match found {
            Found::Pending(message) => workspaces.of(message.workspace).pending += 1,
            Found::Gone => absent.push(sequence),
            Found::Unknown => return Err(BalanceError::Message(sequence)),
        }
    }
    // What was settled while the log was being read is not missing.
    let settled_meanwhile = store.settled(&absent).await?;
    absent.retain(|sequence| *sequence > numbering.inherited() && !settled_meanwhile.contains(sequence));
    let missing = to_u64(absent.len());
    absent.truncate(MAX_LISTED);
    Ok(Some(Balance {
        epoch: numbering.epoch,
        first,
        last,
        in_log: log.stream.get_info().await?.state.messages,
        workspaces: workspaces.into_list(),
        missing,
        missing_sequences: absent,
    }))
}
