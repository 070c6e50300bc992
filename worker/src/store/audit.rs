//! The audit log: what operators did. Written in the transaction of the act, and never changed.

use protocol::id::WorkspaceId;
use protocol::message::operator::{ActedBy, AuditLog, AuditRecord};
use protocol::time::Timestamp;
use runtime::ids;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::Value;

use super::entity::audit_record;
use super::{Context, Store, StoreError};

/// The most acts in one answer.
const MAX_RECORDS: u32 = 1_000;
/// How many acts are given unless it is said.
const RECORDS: u32 = 100;

/// One act, about to be committed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act<'a> {
    /// Who, and why.
    pub(crate) by: &'a ActedBy,
    /// What: the verb of the call.
    pub(crate) verb: &'a str,
    /// In which workspace, if in one.
    pub(crate) workspace: Option<&'a WorkspaceId>,
    /// To what: an id, or the filter that chose it. No personal data: the log is kept for ever.
    pub(crate) target: &'a str,
    /// How many of what.
    pub(crate) counts: &'a [(&'a str, u64)],
}

/// Records an act in its transaction.
pub(crate) async fn record(transaction: &impl ConnectionTrait, act: Act<'_>, now: Timestamp) -> Result<(), StoreError> {
    let row = audit_record::Model {
        id: ids::record(),
        at: now.as_millis(),
        actor: act.by.actor.clone(),
        act: act.verb.to_owned(),
        workspace: act.workspace.map(ToString::to_string),
        target: act.target.to_owned(),
        reason: act.by.reason.clone(),
        counts: act.counts.iter().map(|(name, count)| ((*name).to_owned(), Value::from(*count))).collect(),
    };
    let insert = audit_record::Entity::insert(row.into_active_model());
    insert.exec_without_returning(transaction).await.context("writing the audit log")?;
    Ok(())
}

/// Acts, newest first.
pub(crate) async fn read(store: &Store, asked: &AuditLog) -> Result<Vec<AuditRecord>, StoreError> {
    let mut rows = audit_record::Entity::find();
    if let Some(actor) = &asked.actor {
        rows = rows.filter(audit_record::Column::Actor.eq(actor.as_str()));
    }
    if let Some(act) = &asked.act {
        let same = audit_record::Column::Act.eq(act.as_str());
        let kind = audit_record::Column::Act.starts_with(format!("{act}-"));
        rows = rows.filter(Condition::any().add(same).add(kind));
    }
    if let Some(workspace) = &asked.workspace {
        rows = rows.filter(audit_record::Column::Workspace.eq(workspace.as_str()));
    }
    if let Some(since) = asked.since {
        rows = rows.filter(audit_record::Column::At.gte(since.as_millis()));
    }
    if let Some(before) = asked.before {
        rows = rows.filter(audit_record::Column::Id.lt(before));
    }
    let most = asked.limit.unwrap_or(RECORDS).min(MAX_RECORDS);
    let rows = rows.order_by_desc(audit_record::Column::Id).limit(u64::from(most));
    let rows = rows.all(store.reader()).await.context("reading the audit log")?;
    rows.into_iter().map(read_row).collect()
}

fn read_row(row: audit_record::Model) -> Result<AuditRecord, StoreError> {
    let unreadable = || StoreError::unreadable("reading the audit log", "a row cannot be read");
    let workspace = row.workspace.map(WorkspaceId::try_from).transpose().map_err(|_| unreadable())?;
    let Value::Object(counts) = row.counts else { return Err(unreadable()) };
    let audit_record::Model { id, actor, act, target, reason, .. } = row;
    Ok(AuditRecord { id, at: Timestamp::from_millis(row.at), actor, act, workspace, target, reason, counts })
}
