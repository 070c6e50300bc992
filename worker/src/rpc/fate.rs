//! What became of an operation: the ledger knows those that ended, the log those that wait.

use std::time::Duration;

use protocol::id::{OperationId, WorkspaceId};
use protocol::message::query::{Answer, Fate, Query};
use tokio::time::timeout;

use crate::answer;
use crate::log::Found;
use crate::log::delivery::Content;
use crate::rpc::queries::Queries;

/// How long the ledger is waited for before the log is asked: while the database is away, what waits is still known.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(1);

/// What the log says of a sequence.
enum InLog {
    /// It holds this operation there, stored in time.
    Valid,
    /// It holds nothing there, or something else, or a copy that was stored too late.
    Otherwise,
    /// It did not answer.
    Unknown,
}

impl Queries {
    /// Looks in the ledger, then in the log, then in the ledger again: what left the log in between is in it.
    pub(super) async fn fate(&self, workspace: &WorkspaceId, operation: OperationId, sequence: Option<u64>) -> Answer {
        let query = Query::Fate { operation, sequence };
        let ledger = timeout(LEDGER_TIMEOUT, answer::answer(&self.store, workspace, &query)).await;
        let ledger = ledger.unwrap_or(Answer::Unavailable);
        let Some(sequence) = sequence else { return ledger };
        if matches!(ledger, Answer::Fate { fate: Fate::Ended(_) }) {
            return ledger;
        }
        match self.in_log(operation, sequence).await {
            // Also while the database is away: it will be applied.
            InLog::Valid => Answer::Fate { fate: Fate::Queued },
            InLog::Unknown => Answer::Unavailable,
            InLog::Otherwise => match answer::answer(&self.store, workspace, &query).await {
                Answer::Fate { fate: Fate::Unknown } => Answer::Fate { fate: Fate::Gone },
                ended => ended,
            },
        }
    }

    async fn in_log(&self, operation: OperationId, sequence: u64) -> InLog {
        match self.log.get(self.log.numbering.number(sequence)).await {
            Found::Pending(message) => match message.content {
                Content::Command(accepted) if accepted.envelope.operation == operation => InLog::Valid,
                // A newer worker can say.
                Content::TooNew(_) => InLog::Unknown,
                Content::Command(_) | Content::Late { .. } | Content::Unreadable { .. } => InLog::Otherwise,
            },
            Found::Gone => InLog::Otherwise,
            Found::Unknown => InLog::Unknown,
        }
    }
}
