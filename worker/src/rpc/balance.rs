//! Conservation: every sequence that the log has given out is still in the log, in the ledger, or among the settled
//! copies.

use futures::{StreamExt, TryStreamExt, stream};
use protocol::id::WorkspaceId;
use protocol::message::admin::{AdminError, AdminReply, AdminResult, Balance};
use protocol::message::subject::CommandSubject;
use runtime::telemetry::error_chain;

use async_nats::jetstream::stream::LastRawMessageErrorKind;

use crate::log::consistency::{Consistency, ConsistencyError};
use crate::log::delivery::LogView;

/// The most sequences that are looked for in the log.
const MAX_UNSETTLED: usize = 10_000;
/// How many of them at a time.
const CONCURRENCY: usize = 16;
/// The most sequences that are listed.
const MAX_LISTED: usize = 100;

/// Draws the balance. While commands are on their way it is one of a moving log; what is missing is missing all the
/// same.
pub(crate) async fn balance(consistency: &Consistency, log: &LogView) -> AdminResult {
    let unavailable = |error: ConsistencyError| AdminError::Unavailable { detail: error_chain(&error) };
    match draw(consistency, log).await.map_err(unavailable)? {
        Some(balance) => Ok(AdminReply::Balance(balance)),
        None => Err(AdminError::Conflict {
            detail: format!(
                "more than {MAX_UNSETTLED} messages are not settled yet; ask again when the log is shorter"
            ),
        }),
    }
}

async fn draw(consistency: &Consistency, log: &LogView) -> Result<Option<Balance>, ConsistencyError> {
    let (store, numbering) = (&consistency.store, log.numbering);
    // In this order: what the log had given out before SQL was asked.
    let state = consistency.stream.get_info().await?.state;
    let (first, last) = (numbering.first(), numbering.number(state.last_sequence).max(numbering.first() - 1));
    let Some(unsettled) = store.unsettled(first, last, MAX_UNSETTLED).await? else { return Ok(None) };
    let mut workspaces = store.settled_by_workspace(first, last).await?;
    let found: Vec<(u64, Found)> = stream::iter(unsettled)
        .map(|sequence| async move { Ok::<_, ConsistencyError>((sequence, find(consistency, log, sequence).await?)) })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut absent = Vec::new();
    for (sequence, found) in found {
        match found {
            Found::Pending(workspace) => workspaces.of(workspace).pending += 1,
            Found::Absent => absent.push(sequence),
        }
    }
    // What was settled while the log was being read is not missing.
    let settled_meanwhile = store.settled(&absent).await?;
    absent.retain(|sequence| *sequence > numbering.inherited() && !settled_meanwhile.contains(sequence));
    let missing = u64::try_from(absent.len()).unwrap_or(u64::MAX);
    absent.truncate(MAX_LISTED);
    Ok(Some(Balance {
        epoch: numbering.epoch,
        first,
        last,
        in_log: consistency.stream.get_info().await?.state.messages,
        workspaces: workspaces.into_list(),
        missing,
        missing_sequences: absent,
    }))
}

enum Found {
    Pending(Option<WorkspaceId>),
    Absent,
}

async fn find(consistency: &Consistency, log: &LogView, number: u64) -> Result<Found, ConsistencyError> {
    let Some(sequence) = log.numbering.in_stream(number) else { return Ok(Found::Absent) };
    match consistency.stream.get_raw_message(sequence).await {
        Ok(message) => {
            let subject = CommandSubject::parse(&log.namespace, &message.subject);
            Ok(Found::Pending(subject.ok().map(|subject| subject.workspace)))
        }
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Found::Absent),
        Err(error) => Err(error.into()),
    }
}
