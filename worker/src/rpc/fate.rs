//! What became of an operation: the ledger knows those that ended, the log those that wait.

use std::time::Duration;

use protocol::id::{OperationId, WorkspaceId};
use protocol::message::query::{Answer, Fate, GetFate, Query};
use tokio::time::timeout;

use crate::answer;
use crate::log::Found;
use crate::log::delivery::{Content, Delivery};
use crate::rpc::queries::Queries;

/// How long the ledger is waited for before the log is asked: while the database is away, what waits is still known.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(1);

impl Queries {
    /// Looks in the ledger, then in the log, then in the ledger again: what left the log in between is in it.
    pub(super) async fn fate(&self, workspace: &WorkspaceId, query: &Query, asked: &GetFate) -> Answer {
        let GetFate { operation, sequence } = *asked;
        let ledger = timeout(LEDGER_TIMEOUT, answer::answer(&self.store, workspace, query)).await;
        let ledger = ledger.unwrap_or(Answer::Unavailable);
        let Some(sequence) = sequence else { return ledger };
        if matches!(ledger, Answer::Fate(Fate::Ended(_))) {
            return ledger;
        }
        let in_log = self.log.get(self.log.numbering.number(sequence)).await;
        match &in_log {
            // Also while the database is away: it will be applied.
            Found::Pending(message) if is_of(message, operation) => Answer::Fate(Fate::Queued),
            // Of what is too new, a newer worker can say.
            Found::Pending(message) if matches!(message.content, Content::TooNew(_)) => Answer::Unavailable,
            Found::Unknown => Answer::Unavailable,
            Found::Pending(_) | Found::Gone => match answer::answer(&self.store, workspace, query).await {
                Answer::Fate(Fate::Unknown) => Answer::Fate(Fate::Gone),
                ended => ended,
            },
        }
    }
}

/// Whether it is a copy of this operation, stored in time.
fn is_of(message: &Delivery, operation: OperationId) -> bool {
    message.command().is_some_and(|accepted| accepted.envelope.operation == operation)
}
