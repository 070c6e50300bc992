//! How the requests of each workspace are served: rows of `schemas`, and the dialect and the pause in `workspaces`.

use std::collections::HashMap;

use protocol::id::WorkspaceId;
use protocol::profile::Profile;
use protocol::scim::dialect::Dialect;
use protocol::scim::schema::{ExtensionJson, Extensions};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::{schema, workspace};
use super::{Context, StoreError};

/// The profiles that differ from the default: of one workspace, or of all.
pub(crate) async fn find(
    connection: &impl ConnectionTrait,
    of: Option<&WorkspaceId>,
) -> Result<HashMap<String, Profile>, StoreError> {
    let mut profiles: HashMap<String, Profile> = HashMap::new();
    let only = of.map(|id| workspace::Column::Id.eq(id.as_str()));
    let is_own = workspace::Column::Dialect.is_not_null().or(workspace::Column::PausedAt.is_not_null());
    let rows = workspace::Entity::find()
        .select_only()
        .columns([workspace::Column::Id, workspace::Column::Dialect, workspace::Column::PausedAt])
        .filter(Condition::all().add(is_own).add_option(only))
        .into_tuple::<(String, Option<String>, Option<i64>)>();
    for (workspace, chosen, paused_at) in rows.all(connection).await.context("reading dialects and pauses")? {
        let profile = profiles.entry(workspace).or_default();
        profile.dialect = chosen.as_deref().map(dialect).transpose()?;
        profile.paused = paused_at.is_some();
    }
    let mut own: HashMap<String, Vec<ExtensionJson>> = HashMap::new();
    for (workspace, text) in schemas(connection, of).await? {
        own.entry(workspace).or_default().push(text);
    }
    for (workspace, texts) in own {
        profiles.entry(workspace).or_default().extensions = Extensions::from(texts);
    }
    Ok(profiles)
}

/// The workspaces' own schemas, each with its workspace, by workspace and URN.
pub(crate) async fn schemas(
    connection: &impl ConnectionTrait,
    of: Option<&WorkspaceId>,
) -> Result<Vec<(String, ExtensionJson)>, StoreError> {
    let only = of.map(|id| schema::Column::Workspace.eq(id.as_str()));
    let rows = schema::Entity::find()
        .filter(Condition::all().add_option(only))
        .order_by_asc(schema::Column::Workspace)
        .order_by_asc(schema::Column::Urn);
    let rows = rows.all(connection).await.context("reading schemas")?;
    let read = |row: schema::Model| {
        let text = serde_json::from_value(row.definition);
        let text = text.map_err(|_| StoreError::broken("reading a schema", "its JSON has the wrong type"))?;
        Ok((row.workspace, text))
    };
    rows.into_iter().map(read).collect()
}

/// Reads a dialect's word.
pub(crate) fn dialect(word: &str) -> Result<Dialect, StoreError> {
    word.parse().map_err(|error| StoreError::broken("reading a workspace's dialect", error))
}
