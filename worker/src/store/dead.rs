//! Dead letters: messages that cannot be applied, kept byte for byte.

use std::collections::HashSet;

use protocol::id::WorkspaceId;
use protocol::message::header;
use protocol::message::operator::{DeadCause, DeadLetterState};
use protocol::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use uuid::Uuid;

use super::attempts::forget_attempts;
use super::dead_error::{fingerprint, insert_error, storable};
use super::entity::dead_letter;
use super::settled::{CopyReason, SettledCopy, insert_copies};
use super::{Context, Store, StoreError, column, commit, ledger, replayed, with_timeout};
use crate::accepted::{Accepted, RawMessage};

/// A message that cannot be applied.
#[derive(Debug, Clone, Copy)]
pub struct DeadMessage<'a> {
    /// Its number in the log.
    pub sequence: u64,
    /// The workspace, if the message or its subject names one.
    pub workspace: Option<&'a WorkspaceId>,
    /// The command, if it can be read.
    pub command: Option<&'a Accepted>,
    /// Its bytes.
    pub raw: &'a RawMessage,
    /// Why, in a word.
    pub cause: DeadCause,
    /// Why; never quotes the message.
    pub reason: &'a str,
}

impl Store {
    /// Sets messages aside as dead letters and settles their sequences, in one transaction. Idempotent.
    pub async fn bury(&self, messages: &[DeadMessage<'_>], now: Timestamp) -> Result<(), StoreError> {
        with_timeout("burying dead letters", async {
            let transaction = self.begin().await?;
            bury(&transaction, messages, now).await?;
            commit(transaction).await
        })
        .await
    }
}

/// Sets messages aside in a transaction: with a ledger row where the operation has none yet, else as settled copies.
pub(crate) async fn bury(
    transaction: &impl ConnectionTrait,
    messages: &[DeadMessage<'_>],
    now: Timestamp,
) -> Result<(), StoreError> {
    let operations: Vec<Uuid> =
        messages.iter().filter_map(|message| Some(message.command?.envelope.operation.0)).collect();
    let known = ledger::find(transaction, &operations).await?;
    let mut seen: HashSet<Uuid> = known.iter().map(|row| row.operation).collect();
    let known_sequences: HashSet<i64> = known.iter().map(|row| row.sequence).collect();
    let (mut rows, mut copies) = (Vec::new(), Vec::new());
    for message in messages {
        match message.command {
            Some(accepted) if accepted.replayed.is_some() => {
                replayed::settle_dead(transaction, accepted, (message.cause, message.reason), now).await?;
            }
            Some(accepted) if seen.insert(accepted.envelope.operation.0) => {
                rows.push(ledger::dead_row(accepted, now));
            }
            Some(accepted) if known_sequences.contains(&column(accepted.sequence)) => {}
            Some(accepted) => copies.push(SettledCopy::of(accepted, CopyReason::DeadLetter)),
            None => {
                let (sequence, workspace) = (message.sequence, message.workspace.cloned());
                copies.push(SettledCopy { sequence, reason: CopyReason::DeadLetter, workspace, operation: None });
            }
        }
    }
    ledger::insert(transaction, rows).await?;
    insert_copies(transaction, &copies, now).await?;
    for message in messages.iter().filter(|message| message.command.is_none_or(|accepted| accepted.replayed.is_none()))
    {
        insert_letter(transaction, message, now).await?;
    }
    // Should it be replayed, its crashes are counted anew.
    forget_attempts(transaction, &operations).await
}

async fn insert_letter(
    transaction: &impl ConnectionTrait,
    message: &DeadMessage<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = OnConflict::column(dead_letter::Column::Sequence).do_nothing().to_owned();
    let insert = dead_letter::Entity::insert(message.row(now)).on_conflict(known);
    let inserted = insert.exec_without_returning(transaction).await.context("inserting a dead letter")?;
    if inserted == 1 {
        insert_error(transaction, column(message.sequence), 0, message.reason, now).await?;
    }
    Ok(())
}

impl<'a> DeadMessage<'a> {
    /// A command that can be read and not be applied.
    pub fn of(command: &'a Accepted, cause: DeadCause, reason: &'a str) -> Self {
        let (workspace, raw) = (Some(&command.envelope.workspace), &command.raw);
        Self { sequence: command.sequence, workspace, command: Some(command), raw, cause, reason }
    }

    fn row(&self, now: Timestamp) -> dead_letter::ActiveModel {
        let operation = self.command.map(|accepted| accepted.envelope.operation.0);
        dead_letter::ActiveModel {
            sequence: Set(column(self.sequence)),
            operation: Set(operation.or_else(|| message_id(self.raw))),
            workspace: Set(self.workspace.map(ToString::to_string)),
            subject: Set(storable(&self.raw.subject)),
            headers: Set(headers(self.raw)),
            payload: Set(self.raw.payload.to_vec()),
            reason: Set(storable(self.reason)),
            error_fingerprint: Set(fingerprint(self.reason)),
            dead_at: Set(now.as_millis()),
            cause: Set(self.cause.as_str().to_owned()),
            state: Set(DeadLetterState::Dead.as_str().to_owned()),
            replay: Set(0),
            resource: Set(self.command.map(|accepted| accepted.envelope.resource.0)),
            kind: Set(self.command.map(|accepted| accepted.envelope.body.kind().to_owned())),
            accepted_at: Set(self.command.map(|accepted| accepted.accepted_at.as_millis())),
            edited: Set(None),
        }
    }
}

/// Its publisher may have said which operation it is.
fn message_id(raw: &RawMessage) -> Option<Uuid> {
    let id = raw.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(header::MESSAGE_ID))?;
    // An attempt's number follows the operation.
    Uuid::try_parse(id.1.split(':').next()?).ok()
}

/// As pairs: a name can come twice.
fn headers(raw: &RawMessage) -> serde_json::Value {
    raw.headers.iter().map(|(name, value)| serde_json::json!([storable(name), storable(value)])).collect()
}
