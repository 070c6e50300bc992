//! Dead letters: messages that cannot be applied, kept byte for byte.

use std::collections::HashSet;
use std::fmt::Write;

use protocol::id::WorkspaceId;
use protocol::message::header;
use protocol::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ConnectionTrait, EntityTrait, Set};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::entity::dead_letter;
use super::settled::{CopyReason, SettledCopy, insert_copies};
use super::{Context, Store, StoreError, column, commit, ledger, with_timeout};
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
    for message in messages {
        insert_letter(transaction, message, now).await?;
    }
    Ok(())
}

async fn insert_letter(
    transaction: &impl ConnectionTrait,
    message: &DeadMessage<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = OnConflict::column(dead_letter::Column::Sequence).do_nothing().to_owned();
    let insert = dead_letter::Entity::insert(message.row(now)).on_conflict(known);
    insert.exec_without_returning(transaction).await.context("inserting a dead letter")?;
    Ok(())
}

impl<'a> DeadMessage<'a> {
    /// A command that can be read and not be applied.
    pub fn of(command: &'a Accepted, reason: &'a str) -> Self {
        let (workspace, raw) = (Some(&command.envelope.workspace), &command.raw);
        Self { sequence: command.sequence, workspace, command: Some(command), raw, reason }
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

/// PostgreSQL stores no NUL in text, and nothing may keep a dead letter from being stored.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// The same for the same error.
fn fingerprint(reason: &str) -> String {
    let digest = Sha256::digest(reason.as_bytes());
    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
