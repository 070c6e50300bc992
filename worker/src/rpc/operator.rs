//! Answers the operator's calls: the table of verbs, and what all of them have in common.

use futures::future::BoxFuture;
use protocol::id::WorkspaceId;
use protocol::message::operator::{
    ActedBy, AuditBalance, AuditLog, DeadLetterDiscard, DeadLetterEdit, DeadLetterExport, DeadLetterList,
    DeadLetterShow, DialectSeen, OperatorCall, OperatorError, ReplayChange, ReplayList, ReplayPlan, ReplayShow,
    ReplayStart, SchemaAdd, SchemaList, TokenCreate, TokenList, TokenRevoke, TokensUsed, WorkspaceCreate,
    WorkspaceDialect, WorkspaceDisable, WorkspaceEnable, WorkspaceList, WorkspacePause, WorkspaceResume, WorkspaceShow,
};
use protocol::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use serde_json::Value;
use tracing::warn;

use crate::log::Log;
use crate::rpc::balance::balance;
use crate::rpc::credential_projection::CredentialProjection;
use crate::store::audit::{Act, record};
use crate::store::entity::{credential, workspace};
use crate::store::retry::retry_contended;
use crate::store::{Context, Store, StoreError, with_timeout};

mod audit;
mod dead_letters;
mod profiles;
mod replays;
mod tokens;
mod workspaces;

/// What calls are answered from.
#[derive(Clone, Copy)]
pub struct Operator<'a> {
    store: &'a Store,
    now: Timestamp,
    /// The log, and where credentials are projected; none without a broker.
    broker: Option<(&'a Log, &'a CredentialProjection)>,
}

impl<'a> Operator<'a> {
    /// Answers calls from the database alone.
    pub const fn new(store: &'a Store, now: Timestamp) -> Self {
        Self { store, now, broker: None }
    }

    /// Answers those that need the log, too, and projects credentials that changed.
    pub(crate) const fn with_broker(self, log: &'a Log, projection: &'a CredentialProjection) -> Self {
        Self { broker: Some((log, projection)), ..self }
    }

    /// Answers the call of a verb: its reply as JSON.
    #[inline(never)]
    pub fn answer(self, verb: &'a str, payload: &'a [u8]) -> BoxFuture<'a, Result<Value, OperatorError>> {
        Box::pin(self.dispatch(verb, payload))
    }

    async fn dispatch(self, verb: &str, call: &[u8]) -> Result<Value, OperatorError> {
        match verb {
            WorkspaceCreate::VERB => self.in_store(call, workspaces::create).await,
            WorkspaceList::VERB => self.in_store(call, workspaces::list).await,
            WorkspaceShow::VERB => self.in_store(call, workspaces::show).await,
            WorkspaceEnable::VERB => self.projected(self.in_store(call, workspaces::enable).await).await,
            WorkspacePause::VERB => self.projected(self.in_store(call, workspaces::pause).await).await,
            WorkspaceResume::VERB => self.projected(self.in_store(call, workspaces::resume).await).await,
            WorkspaceDisable::VERB => self.projected(self.in_store(call, workspaces::disable).await).await,
            WorkspaceDialect::VERB => self.projected(self.in_store(call, profiles::choose_dialect).await).await,
            DialectSeen::VERB => self.in_store(call, profiles::see_dialect).await,
            TokenCreate::VERB => self.projected(self.in_store(call, tokens::create).await).await,
            TokenList::VERB => self.in_store(call, tokens::list).await,
            TokenRevoke::VERB => self.projected(self.in_store(call, tokens::revoke).await).await,
            TokensUsed::VERB => self.in_store(call, tokens::note_uses).await,
            SchemaAdd::VERB => self.projected(self.in_store(call, profiles::add_schema).await).await,
            SchemaList::VERB => self.in_store(call, profiles::list_schemas).await,
            DeadLetterList::VERB => self.in_store(call, dead_letters::list).await,
            DeadLetterShow::VERB => self.in_store(call, dead_letters::show).await,
            DeadLetterEdit::VERB => self.in_store(call, dead_letters::edit).await,
            DeadLetterDiscard::VERB => self.in_store(call, dead_letters::discard).await,
            DeadLetterExport::VERB => self.in_store(call, dead_letters::export).await,
            ReplayPlan::VERB => self.in_store(call, replays::plan).await,
            ReplayStart::VERB => self.in_store(call, replays::start).await,
            ReplayChange::VERB => self.in_store(call, replays::change).await,
            ReplayList::VERB => self.in_store(call, replays::list).await,
            ReplayShow::VERB => self.in_store(call, replays::show).await,
            AuditLog::VERB => self.in_store(call, audit::log).await,
            AuditBalance::VERB => encoded(balance(self.log()?, decoded(call)?).await?),
            _ => Err(invalid(format!("no worker knows the call {verb}: do all processes have the same version?"))),
        }
    }

    /// Answers by what a handler does in the database; done again if another transaction gets in its way.
    async fn in_store<C: OperatorCall>(
        self,
        call: &[u8],
        handler: impl AsyncFn(&Store, &C, Timestamp) -> Result<C::Reply, Failure>,
    ) -> Result<Value, OperatorError> {
        let call: C = decoded(call)?;
        let attempt = || with_timeout("carrying out an operator's call", settled(handler(self.store, &call, self.now)));
        let done = retry_contended(attempt).await.unwrap_or_else(|error| {
            warn!(verb = C::VERB, reason = error.reason(), "an operator's call cannot be carried out now");
            Err(OperatorError::Unavailable { detail: "the database does not answer".to_owned() })
        });
        encoded(done?)
    }

    /// Projects what a call changed of credentials, before the reply: a token works, or works no more, when the caller
    /// hears of it.
    async fn projected(self, done: Result<Value, OperatorError>) -> Result<Value, OperatorError> {
        if done.is_ok()
            && let Some((_, projection)) = self.broker
            && let Err(error) = projection.project(self.store).await
        {
            warn!(%error, "credentials were not projected; the next reconciliation will");
        }
        done
    }

    fn log(self) -> Result<&'a Log, OperatorError> {
        let needed = || invalid("this call needs the log, not the database alone".to_owned());
        self.broker.map(|(log, _)| log).ok_or_else(needed)
    }
}

fn decoded<C: OperatorCall>(call: &[u8]) -> Result<C, OperatorError> {
    serde_json::from_slice(call).map_err(|error| invalid(format!("the call cannot be decoded: {error}")))
}

fn encoded(reply: impl Serialize) -> Result<Value, OperatorError> {
    let failed = |error| OperatorError::Unavailable { detail: format!("the reply cannot be written: {error}") };
    serde_json::to_value(reply).map_err(failed)
}

const fn invalid(detail: String) -> OperatorError {
    OperatorError::Invalid { detail }
}

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] OperatorError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A refusal is an answer; only failures of the database are redone.
async fn settled<R>(call: impl Future<Output = Result<R, Failure>>) -> Result<Result<R, OperatorError>, StoreError> {
    match call.await {
        Ok(reply) => Ok(Ok(reply)),
        Err(Failure::Refused(error)) => Ok(Err(error)),
        Err(Failure::Store(error)) => Err(error),
    }
}

/// The profile travels with the workspace's credentials: raised versions make every ingress take it over.
async fn announce(transaction: &DatabaseTransaction, id: &WorkspaceId) -> Result<(), StoreError> {
    let raise = credential::Entity::update_many()
        .col_expr(credential::Column::Version, Expr::col(credential::Column::Version).add(1))
        .filter(credential::Column::Workspace.eq(id.as_str()));
    raise.exec(transaction).await.context("announcing how requests are served")?;
    Ok(())
}

/// Writes an act in a workspace into the audit log, in its transaction.
async fn audited<C: OperatorCall>(
    transaction: &DatabaseTransaction,
    by: &ActedBy,
    workspace: &WorkspaceId,
    target: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let act = Act { by, verb: C::VERB, workspace: Some(workspace), target, counts: &[] };
    record(transaction, act, now).await
}

/// The workspace's row under its lock.
async fn find_locked(
    transaction: &DatabaseTransaction,
    id: &WorkspaceId,
) -> Result<Option<workspace::Model>, StoreError> {
    let row = workspace::Entity::find_by_id(id.as_str()).lock_exclusive();
    row.one(transaction).await.context("locking a workspace")
}

fn not_found(id: &WorkspaceId) -> OperatorError {
    OperatorError::NotFound { what: format!("workspace {id}") }
}
