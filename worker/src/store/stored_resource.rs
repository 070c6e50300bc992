//! Resources as rows and back. Names are stored with the canonical form by which they are compared.

use protocol::access::Standing;
use protocol::id::{OperationId, ResourceId, WorkspaceId};
use protocol::scim::attributes::Attributes;
use protocol::scim::name::CanonicalName;
use protocol::scim::resource::{Meta, Resource, Version};
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use protocol::time::Timestamp;
use sea_orm::entity::prelude::Json;
use serde_json::{Map, Value};

use super::entity::{group, user};
use super::{StoreError, column, sequence};
use crate::accepted::Accepted;

/// What a row holds: a resource without members, and what only the worker knows of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredResource {
    /// The resource; a user's with `active`.
    pub(crate) resource: Resource,
    /// The command whose word on access counts so far; none for a group.
    pub(crate) standing: Standing,
    /// The sequence of the last command that was applied to it, whether or not it changed anything.
    pub(crate) last_sequence: u64,
    /// The operation that created it, if that is known.
    pub(crate) created_by: Option<OperationId>,
    /// The sequence of the identity provider's last command that changed it; 0 if that is not known.
    pub(crate) provider_sequence: u64,
    /// How many member rows it has; 0 for a user.
    pub(crate) member_count: u64,
    /// The schemas of the command that writes the row; none where it is only read.
    pub(crate) extensions: Extensions,
}

/// Where a resource is: unique over all kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) workspace: WorkspaceId,
    pub(crate) id: ResourceId,
}

impl Key {
    /// From columns. A workspace that cannot be read is not one that could have been written.
    pub(crate) fn of(workspace: String, id: sea_orm::prelude::Uuid) -> Result<Self, StoreError> {
        let workspace = WorkspaceId::try_from(workspace);
        let workspace = workspace.map_err(|error| StoreError::unreadable("reading a row's workspace", error))?;
        Ok(Self { workspace, id: ResourceId(id) })
    }

    /// Of the resource that a command is for.
    pub(crate) fn of_command(command: &Accepted) -> Self {
        Self { workspace: command.envelope.workspace.clone(), id: command.envelope.resource }
    }
}

impl StoredResource {
    /// Reads a user's row.
    pub(crate) fn of_user(row: user::Model) -> Result<Self, StoreError> {
        let mut attributes = attributes(row.attributes)?;
        attributes.set("active", Value::Bool(row.active));
        let meta = meta(row.created_at, row.modified_at, row.version);
        let ownership = ownership(row.ownership)?;
        let resource = Resource::new(ResourceType::User, ResourceId(row.id), attributes, meta, ownership);
        Ok(Self {
            resource,
            standing: standing(row.active_seq, row.active_arrived),
            last_sequence: sequence(row.last_sequence),
            created_by: row.created_by.map(OperationId),
            provider_sequence: sequence(row.provider_sequence),
            member_count: 0,
            extensions: Extensions::default(),
        })
    }

    /// Reads a group's row.
    pub(crate) fn of_group(row: group::Model) -> Result<Self, StoreError> {
        let attributes = attributes(row.attributes)?;
        let meta = meta(row.created_at, row.modified_at, row.version);
        let ownership = ownership(row.ownership)?;
        let resource = Resource::new(ResourceType::Group, ResourceId(row.id), attributes, meta, ownership);
        Ok(Self {
            resource,
            standing: Standing::default(),
            last_sequence: sequence(row.last_sequence),
            created_by: row.created_by.map(OperationId),
            provider_sequence: sequence(row.provider_sequence),
            member_count: sequence(row.member_count),
            extensions: Extensions::default(),
        })
    }

    /// Writes a user's row.
    pub(crate) fn user_row(&self, workspace: &WorkspaceId) -> Result<user::Model, StoreError> {
        let Resource { attributes, meta, ownership, id, .. } = &self.resource;
        let mut stored = attributes.clone();
        let active = stored.take("active").and_then(|value| value.as_bool()).unwrap_or(true);
        let user = attributes.user();
        let user_name = user.user_name().unwrap_or_default().to_owned();
        let display_name = user.display_name().map(ToOwned::to_owned);
        Ok(user::Model {
            workspace: workspace.to_string(),
            id: id.0,
            user_name_key: CanonicalName::of(&user_name).as_str().to_owned(),
            user_name,
            display_name_key: display_name.as_deref().map(|name| CanonicalName::of(name).as_str().to_owned()),
            display_name,
            external_id: user.external_id().map(ToOwned::to_owned),
            active,
            active_seq: column(self.standing.sequence),
            active_arrived: self.standing.arrived.map(Timestamp::as_millis),
            search: self.search_form(&stored),
            attributes: Value::Object(stored.into_map()),
            ownership: json(ownership)?,
            version: meta.version.number(),
            last_sequence: column(self.last_sequence),
            created_at: meta.created.as_millis(),
            modified_at: meta.last_modified.as_millis(),
            created_by: self.created_by.map(|operation| operation.0),
            provider_sequence: column(self.provider_sequence),
        })
    }

    /// Writes a group's row.
    pub(crate) fn group_row(&self, workspace: &WorkspaceId) -> Result<group::Model, StoreError> {
        let Resource { attributes, meta, ownership, id, .. } = &self.resource;
        let display_name = attributes.string("displayName").unwrap_or_default().to_owned();
        Ok(group::Model {
            workspace: workspace.to_string(),
            id: id.0,
            display_name_key: CanonicalName::of(&display_name).as_str().to_owned(),
            display_name,
            external_id: attributes.string("externalId").map(ToOwned::to_owned),
            search: self.search_form(attributes),
            attributes: Value::Object(attributes.clone().into_map()),
            ownership: json(ownership)?,
            member_count: column(self.member_count),
            version: meta.version.number(),
            last_sequence: column(self.last_sequence),
            created_at: meta.created.as_millis(),
            modified_at: meta.last_modified.as_millis(),
            created_by: self.created_by.map(|operation| operation.0),
            provider_sequence: column(self.provider_sequence),
        })
    }

    fn search_form(&self, attributes: &Attributes) -> Json {
        Value::Object(attributes.search_form(&self.extensions.of(self.resource.resource_type)))
    }

    /// The unique name, in canonical form.
    pub(crate) fn name(&self) -> Option<CanonicalName> {
        self.resource.attributes.string(self.resource.resource_type.unique_attribute()).map(CanonicalName::of)
    }
}

/// The command whose word on access counts, from its columns.
pub(super) fn standing(active_seq: i64, active_arrived: Option<i64>) -> Standing {
    Standing { sequence: sequence(active_seq), arrived: active_arrived.map(Timestamp::from_millis) }
}

fn attributes(stored: Json) -> Result<Attributes, StoreError> {
    let map: Map<String, Value> = parsed(stored)?;
    Ok(Attributes::from_stored(map))
}

fn ownership(stored: Json) -> Result<protocol::scim::resource::Ownership, StoreError> {
    parsed(stored)
}

fn meta(created: i64, modified: i64, version: i64) -> Meta {
    Meta {
        created: Timestamp::from_millis(created),
        last_modified: Timestamp::from_millis(modified),
        version: Version::from_number(version),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(stored: Json) -> Result<T, StoreError> {
    serde_json::from_value(stored).map_err(|_| StoreError::unreadable("reading a row", "its JSON has the wrong type"))
}

fn json(value: &impl serde::Serialize) -> Result<Json, StoreError> {
    serde_json::to_value(value).map_err(|_| StoreError::broken("writing a row", "it cannot be written as JSON"))
}
