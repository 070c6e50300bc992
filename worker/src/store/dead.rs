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
#[derive(Debug, Clone)]
pub enum DeadMessage {
    /// Readable, but it cannot be applied.
    Command {
        /// The command.
        accepted: Box<Accepted>,
        /// Why; never quotes the message.
        reason: String,
    },
    /// No worker can read it.
    Unreadable {
        /// Its sequence in the stream.
        sequence: u64,
        /// The workspace, if its subject names one.
        workspace: Option<WorkspaceId>,
        /// Its bytes.
        raw: RawMessage,
        /// Why; never quotes the message.
        reason: String,
    },
}

impl Store {
    /// Sets messages aside as dead letters and settles their sequences, in one transaction. Idempotent.
    pub async fn bury(&self, messages: &[DeadMessage], now: Timestamp) -> Result<(), StoreError> {
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
    messages: &[DeadMessage],
    now: Timestamp,
) -> Result<(), StoreError> {
    let operations: Vec<Uuid> =
        messages.iter().filter_map(|message| Some(message.command()?.envelope.operation.0)).collect();
    let known = ledger::find(transaction, &operations).await?;
    let mut seen: HashSet<Uuid> = known.iter().map(|row| row.operation).collect();
    let known_sequences: HashSet<i64> = known.iter().map(|row| row.sequence).collect();
    let (mut rows, mut copies) = (Vec::new(), Vec::new());
    for message in messages {
        match message.command() {
            Some(accepted) if seen.insert(accepted.envelope.operation.0) => {
                rows.push(ledger::dead_row(accepted, now));
            }
            Some(accepted) if known_sequences.contains(&column(accepted.sequence)) => {}
            Some(accepted) => copies.push(SettledCopy::of(accepted, CopyReason::DeadLetter)),
            None => copies.push(message.unread_copy()),
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
    message: &DeadMessage,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known = OnConflict::column(dead_letter::Column::Sequence).do_nothing().to_owned();
    let insert = dead_letter::Entity::insert(message.row(now)).on_conflict(known);
    insert.exec_without_returning(transaction).await.context("inserting a dead letter")?;
    Ok(())
}

impl DeadMessage {
    fn command(&self) -> Option<&Accepted> {
        match self {
            Self::Command { accepted, .. } => Some(accepted),
            Self::Unreadable { .. } => None,
        }
    }

    fn unread_copy(&self) -> SettledCopy {
        let workspace = match self {
            Self::Command { accepted, .. } => Some(accepted.envelope.workspace.clone()),
            Self::Unreadable { workspace, .. } => workspace.clone(),
        };
        SettledCopy { sequence: self.sequence(), reason: CopyReason::DeadLetter, workspace, operation: None }
    }

    fn sequence(&self) -> u64 {
        match self {
            Self::Command { accepted, .. } => accepted.sequence,
            Self::Unreadable { sequence, .. } => *sequence,
        }
    }

    fn row(&self, now: Timestamp) -> dead_letter::ActiveModel {
        let (workspace, raw, reason) = match self {
            Self::Command { accepted, reason } => (Some(&accepted.envelope.workspace), &accepted.raw, reason),
            Self::Unreadable { workspace, raw, reason, .. } => (workspace.as_ref(), raw, reason),
        };
        let operation = self.command().map(|accepted| accepted.envelope.operation.0);
        dead_letter::ActiveModel {
            sequence: Set(column(self.sequence())),
            operation: Set(operation.or_else(|| message_id(raw))),
            workspace: Set(workspace.map(ToString::to_string)),
            subject: Set(storable(&raw.subject)),
            headers: Set(headers(raw)),
            payload: Set(raw.payload.to_vec()),
            reason: Set(storable(reason)),
            error_fingerprint: Set(fingerprint(reason)),
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
