//! What the tables of users and groups differ in: everything else is done to both by the same functions.

use std::collections::BTreeSet;

use protocol::id::WorkspaceId;
use protocol::scim::resource_type::ResourceType;
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Func, OnConflict};
use sea_orm::{EntityTrait, IntoActiveModel, Iterable};
use serde::Serialize;

use super::StoreError;
use super::emails::listed;
use super::entity::{group, user};
use super::fence::{Fence, no_fence};
use super::stored_resource::{Key, StoredResource};

/// A table of resources of one kind.
pub(crate) trait ResourceTable:
    EntityTrait<Model: IntoActiveModel<Self::ActiveModel> + Serialize + Send + Sync>
{
    /// The kind.
    const KIND: ResourceType;
    /// Its columns for the workspace and the id: the key.
    const KEY: [Self::Column; 2];
    /// Its column for the unique name, in canonical form.
    const NAME: Self::Column;
    /// Its column for the operation that created a row.
    const CREATED_BY: Self::Column;
    /// Its column for the version.
    const VERSION: Self::Column;

    /// Reads a row; not a fence.
    fn read(row: Self::Model) -> Result<StoredResource, StoreError>;

    /// Writes a row.
    fn write(stored: &StoredResource, workspace: &WorkspaceId) -> Result<Self::Model, StoreError>;

    /// A row's key.
    fn key(row: &Self::Model) -> Result<Key, StoreError>;

    /// What a resource is called among members and groups.
    fn display() -> Expr;

    /// What an update does with a row that is there, beside the check of its version.
    fn on_update() -> OnConflict;

    /// What a row says, if it is a fence.
    fn fence(_: &Self::Model) -> Option<Fence> {
        None
    }

    /// The condition that a row is no fence, if there are fences in the table.
    fn no_fence() -> Option<Expr> {
        None
    }

    /// The e-mail addresses by which a row is listed.
    fn emails(_: &Self::Model) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

impl ResourceTable for user::Entity {
    const KIND: ResourceType = ResourceType::User;
    const KEY: [user::Column; 2] = [user::Column::Workspace, user::Column::Id];
    const NAME: user::Column = user::Column::UserNameKey;
    const CREATED_BY: user::Column = user::Column::CreatedBy;
    const VERSION: user::Column = user::Column::Version;

    fn read(row: user::Model) -> Result<StoredResource, StoreError> {
        StoredResource::of_user(row)
    }

    fn write(stored: &StoredResource, workspace: &WorkspaceId) -> Result<user::Model, StoreError> {
        stored.user_row(workspace)
    }

    fn key(row: &user::Model) -> Result<Key, StoreError> {
        Key::of(row.workspace.clone(), row.id)
    }

    fn display() -> Expr {
        let names = [user::Column::DisplayName, user::Column::UserName];
        Func::coalesce(names.map(|name| Expr::col((Self, name)))).into()
    }

    /// Users are also written over fences, whose version is 0. `active` changes only where a later command than the stored
    /// one says so.
    fn on_update() -> OnConflict {
        use user::Column::{Active, ActiveArrived, ActiveSeq, Id, Workspace};
        let later = |column: user::Column| -> Expr {
            let newer = Expr::col((Self, ActiveSeq)).lt(Expr::col(("excluded", ActiveSeq)));
            let (new, stored) = (Expr::col(("excluded", column)), Expr::col((Self, column)));
            CaseStatement::new().case(newer, new).finally(stored).into()
        };
        let plain = |column: &user::Column| !matches!(column, Workspace | Id | Active | ActiveSeq | ActiveArrived);
        OnConflict::columns(Self::KEY)
            .update_columns(user::Column::iter().filter(plain))
            .values([Active, ActiveSeq, ActiveArrived].map(|column| (column, later(column))))
            .to_owned()
    }

    fn fence(row: &user::Model) -> Option<Fence> {
        Fence::of(row)
    }

    fn no_fence() -> Option<Expr> {
        Some(no_fence(Self))
    }

    fn emails(row: &user::Model) -> BTreeSet<String> {
        listed(&row.search)
    }
}

impl ResourceTable for group::Entity {
    const KIND: ResourceType = ResourceType::Group;
    const KEY: [group::Column; 2] = [group::Column::Workspace, group::Column::Id];
    const NAME: group::Column = group::Column::DisplayNameKey;
    const CREATED_BY: group::Column = group::Column::CreatedBy;
    const VERSION: group::Column = group::Column::Version;

    fn read(row: group::Model) -> Result<StoredResource, StoreError> {
        StoredResource::of_group(row)
    }

    fn write(stored: &StoredResource, workspace: &WorkspaceId) -> Result<group::Model, StoreError> {
        stored.group_row(workspace)
    }

    fn key(row: &group::Model) -> Result<Key, StoreError> {
        Key::of(row.workspace.clone(), row.id)
    }

    fn display() -> Expr {
        Expr::col((Self, group::Column::DisplayName))
    }

    fn on_update() -> OnConflict {
        use group::Column::{CreatedAt, Id, Workspace};
        let plain = |column: &group::Column| !matches!(column, Workspace | Id | CreatedAt);
        OnConflict::columns(Self::KEY).update_columns(group::Column::iter().filter(plain)).to_owned()
    }
}
