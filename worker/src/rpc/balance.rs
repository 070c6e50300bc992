//! Conservation: every sequence that the log has given out is still in the log, in the ledger, or among the settled
//! copies.

use async_nats::jetstream::stream::InfoError;
use futures::{StreamExt, stream};
use protocol::message::admin::{AdminError, AdminReply, AdminResult, Balance};
use runtime::telemetry::error_chain;

use crate::log::{Found, Log};
use crate::store::{StoreError, to_u64};

/// The most sequences that are looked for in the log.
const MAX_UNSETTLED: usize = 10_000;
/// How many of them at a time.
const CONCURRENCY: usize = 16;
/// The most sequences that are listed.
const MAX_LISTED: usize = 100;

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
pub(crate) async fn balance(log: &Log) -> AdminResult {
    match draw(log).await {
        Ok(Some(balance)) => Ok(AdminReply::Balance(balance)),
        Err(error) => Err(AdminError::Unavailable { detail: error_chain(&error) }),
        Ok(None) => Err(AdminError::Conflict {
            detail: format!(
                "more than {MAX_UNSETTLED} messages are not settled yet; ask again when the log is shorter"
            ),
        }),
    }
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
