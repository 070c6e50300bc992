//! Carries out the operator's calls.

use futures::future::BoxFuture;
use protocol::id::WorkspaceId;
use protocol::message::admin::{AdminCall, AdminError, AdminReply, AdminResult, DeadLetter};
use protocol::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{DatabaseTransaction, EntityTrait, PaginatorTrait, QueryOrder, QuerySelect};
use tracing::warn;

use crate::store::entity::{dead_letter, workspace};
use crate::store::retry::retry_contended;
use crate::store::{Context, Store, StoreError, sequence, with_timeout};

mod profiles;
mod tokens;
mod workspaces;

/// The most dead letters in one list.
const MAX_DEAD_LETTERS: u64 = 100;

/// Carries out a call of one of [`AdminCall::WORKER_VERBS`], `audit-balance` aside: that one needs the log, too.
#[inline(never)]
pub fn admin(store: &Store, call: AdminCall, now: Timestamp) -> BoxFuture<'_, AdminResult> {
    Box::pin(answer(store, call, now))
}

async fn answer(store: &Store, call: AdminCall, now: Timestamp) -> AdminResult {
    let done =
        retry_contended(|| with_timeout("carrying out an operator's call", settled(carry_out(store, &call, now))));
    done.await.unwrap_or_else(|error| {
        warn!(verb = call.verb(), reason = error.reason(), "an operator's call cannot be carried out now");
        Err(AdminError::Unavailable { detail: "the database does not answer".to_owned() })
    })
}

/// Why a call was not carried out.
#[derive(Debug)]
enum Failure {
    /// It is refused.
    Refused(AdminError),
    /// The database failed.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::Refused(error)
    }
}

/// A refusal is an answer; only failures of the database are redone.
async fn settled(call: impl Future<Output = Result<AdminReply, Failure>>) -> Result<AdminResult, StoreError> {
    match call.await {
        Ok(reply) => Ok(Ok(reply)),
        Err(Failure::Refused(error)) => Ok(Err(error)),
        Err(Failure::Store(error)) => Err(error),
    }
}

async fn carry_out(store: &Store, call: &AdminCall, now: Timestamp) -> Result<AdminReply, Failure> {
    match call {
        AdminCall::WorkspaceCreate { workspace, name } => workspaces::create(store, workspace, name, now).await,
        AdminCall::WorkspaceList => workspaces::list(store).await,
        AdminCall::WorkspaceShow { workspace } => workspaces::show(store, workspace).await,
        AdminCall::WorkspaceEnable { workspace, token } => workspaces::enable(store, workspace, token, now).await,
        AdminCall::TokenCreate { workspace, token } => tokens::create(store, workspace, token, now).await,
        AdminCall::TokenList { workspace } => tokens::list(store, workspace).await,
        AdminCall::TokenRevoke { workspace, token } => tokens::revoke(store, workspace, token, now).await,
        AdminCall::SchemaAdd { workspace, schema } => profiles::add_schema(store, workspace, schema, now).await,
        AdminCall::SchemaList { workspace } => profiles::list_schemas(store, workspace).await,
        AdminCall::WorkspaceDialect { workspace, dialect } => {
            profiles::choose_dialect(store, workspace, *dialect, now).await
        }
        AdminCall::DialectSeen { workspace, dialect } => profiles::see_dialect(store, workspace, *dialect).await,
        AdminCall::DeadLetterList => Ok(dead_letters(store).await?),
        AdminCall::AuditBalance => {
            let detail = "this call needs the log, not the database alone".to_owned();
            Err(AdminError::Invalid { detail }.into())
        }
        AdminCall::UserSetTimezone { .. } => {
            let detail = "this call is for an ingress: it goes through the log".to_owned();
            Err(AdminError::Invalid { detail }.into())
        }
    }
}

async fn dead_letters(store: &Store) -> Result<AdminReply, StoreError> {
    let doing = "listing dead letters";
    let total = dead_letter::Entity::find().count(store.reader()).await.context(doing)?;
    let rows = dead_letter::Entity::find()
        .select_only()
        .columns([dead_letter::Column::Sequence, dead_letter::Column::Subject, dead_letter::Column::Reason])
        .expr_as(Expr::cust("CAST(length(payload) AS bigint)"), "bytes")
        .column(dead_letter::Column::DeadAt)
        .order_by_desc(dead_letter::Column::DeadAt)
        .order_by_desc(dead_letter::Column::Sequence)
        .limit(MAX_DEAD_LETTERS)
        .into_tuple::<(i64, String, String, i64, i64)>();
    let dead_letters = rows.all(store.reader()).await.context(doing)?.into_iter();
    let dead_letters = dead_letters.map(|(number, subject, reason, bytes, dead_at)| DeadLetter {
        sequence: sequence(number),
        subject,
        reason,
        bytes: u64::try_from(bytes).unwrap_or(0),
        dead_at: Timestamp::from_millis(dead_at),
    });
    Ok(AdminReply::DeadLetters { total, dead_letters: dead_letters.collect() })
}

/// The workspace's row under its lock.
async fn find_locked(
    transaction: &DatabaseTransaction,
    id: &WorkspaceId,
) -> Result<Option<workspace::Model>, StoreError> {
    let row = workspace::Entity::find_by_id(id.as_str()).lock_exclusive();
    row.one(transaction).await.context("locking a workspace")
}

fn not_found(id: &WorkspaceId) -> AdminError {
    AdminError::NotFound { what: format!("workspace {id}") }
}
