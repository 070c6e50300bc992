//! Calls about how a workspace's requests are read: its own schemas and its dialect.

use protocol::message::operator::{DialectSeen, OperatorError, SchemaAdd, SchemaList, Workspace, WorkspaceDialect};
use protocol::scim::dialect::Dialect;
use protocol::scim::schema::{ExtensionJson, Extensions};
use protocol::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, Set};

use super::{Failure, workspaces};
use crate::store::entity::{schema, workspace};
use crate::store::{Context, Store, StoreError, commit, profiles};

/// Adds a schema, or replaces the one of the same URN by one that continues it.
pub(super) async fn add_schema(
    store: &Store,
    SchemaAdd { workspace: id, schema: added, by }: &SchemaAdd,
    now: Timestamp,
) -> Result<Vec<ExtensionJson>, Failure> {
    added.check().map_err(|detail| OperatorError::Invalid { detail })?;
    let transaction = store.begin().await?;
    super::find_locked(&transaction, id).await?.ok_or_else(|| super::not_found(id))?;
    let present = profiles::schemas(&transaction, Some(id)).await?;
    fits(&present, added)?;
    let definition = serde_json::to_value(added);
    let definition = definition.map_err(|_| StoreError::broken("writing a schema", "it cannot be written as JSON"))?;
    let urn = added.schema.id.to_ascii_lowercase();
    let row = schema::Model { workspace: id.to_string(), urn, definition, changed_at: now.as_millis() };
    let again = OnConflict::columns([schema::Column::Workspace, schema::Column::Urn])
        .update_columns([schema::Column::Definition, schema::Column::ChangedAt])
        .to_owned();
    let write = schema::Entity::insert(row.into_active_model()).on_conflict(again);
    write.exec_without_returning(&transaction).await.context("adding a schema")?;
    super::announce(&transaction, id).await?;
    super::audited::<SchemaAdd>(&transaction, by, id, &added.schema.id, now).await?;
    commit(transaction).await?;
    list_schemas(store, &SchemaList { workspace: id.clone() }, now).await
}

/// Whether there is room for the schema, and resources that follow its predecessor follow it, too.
fn fits(present: &[(String, ExtensionJson)], added: &ExtensionJson) -> Result<(), OperatorError> {
    let same = present.iter().find(|(_, text)| text.schema.id.eq_ignore_ascii_case(&added.schema.id));
    let detail = match same {
        Some((_, older)) if added.continues(older) => return Ok(()),
        Some(_) => {
            "a schema with this id is there already, and the new one changes or drops attributes of it, or requires new \
             ones; optional attributes can be added to a schema, or the new one given another id"
        }
        None if present.len() >= Extensions::MAX_SCHEMAS => "the workspace has as many schemas as it can have",
        None => return Ok(()),
    };
    Err(OperatorError::Conflict { detail: detail.to_owned() })
}

/// The workspace's own schemas, by URN.
pub(super) async fn list_schemas(
    store: &Store,
    call: &SchemaList,
    _: Timestamp,
) -> Result<Vec<ExtensionJson>, Failure> {
    let id = &call.workspace;
    let doing = "reading a workspace";
    let found = workspace::Entity::find_by_id(id.as_str()).one(store.reader()).await.context(doing)?;
    found.ok_or_else(|| super::not_found(id))?;
    let schemas = profiles::schemas(store.reader(), Some(id)).await?;
    Ok(schemas.into_iter().map(|(_, text)| text).collect())
}

/// Chooses the dialect, or leaves it to detection.
pub(super) async fn choose_dialect(
    store: &Store,
    WorkspaceDialect { workspace: id, dialect, by }: &WorkspaceDialect,
    now: Timestamp,
) -> Result<Workspace, Failure> {
    let transaction = store.begin().await?;
    let row = super::find_locked(&transaction, id).await?.ok_or_else(|| super::not_found(id))?;
    let version = row.version.saturating_add(1);
    let mut row = row.into_active_model();
    row.dialect = Set(dialect.map(|dialect| dialect.to_string()));
    row.version = Set(version);
    row.updated_at = Set(now.as_millis());
    let row = row.update(&transaction).await.context("choosing a dialect")?;
    super::announce(&transaction, id).await?;
    let chosen = dialect.map_or("detect", Dialect::as_str);
    super::audited::<WorkspaceDialect>(&transaction, by, id, chosen, now).await?;
    commit(transaction).await?;
    Ok(workspaces::read(row)?)
}

/// Remembers which dialect the workspace's requests speak.
pub(super) async fn see_dialect(store: &Store, call: &DialectSeen, _: Timestamp) -> Result<Workspace, Failure> {
    let DialectSeen { workspace: id, dialect: seen } = call;
    let transaction = store.begin().await?;
    let row = super::find_locked(&transaction, id).await?.ok_or_else(|| super::not_found(id))?;
    if row.seen_dialect.as_deref() == Some(seen.as_str()) {
        return Ok(workspaces::read(row)?);
    }
    let mut row = row.into_active_model();
    row.seen_dialect = Set(Some(seen.to_string()));
    let row = row.update(&transaction).await.context("noting a dialect")?;
    commit(transaction).await?;
    Ok(workspaces::read(row)?)
}
