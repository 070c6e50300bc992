//! Who holds the names that a batch's commands claim.

use std::collections::{BTreeSet, HashMap};

use protocol::id::{OperationId, ResourceId, WorkspaceId};
use protocol::scim::name::CanonicalName;
use protocol::scim::resource_type::ResourceType;
use sea_orm::prelude::Uuid;
use sea_orm::{DatabaseTransaction, DbErr, EntityTrait, QueryResult};

use super::working::Name;
use crate::store::entity::{group, user};
use crate::store::lookup::{Lock, look_up};
use crate::store::stored_resource::Key;
use crate::store::{Context, StoreError};

/// A stored resource that holds a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) id: ResourceId,
    /// The operation that created it, if that is known.
    pub(super) created_by: Option<OperationId>,
}

/// Who holds names before the batch.
pub(super) struct Holders(HashMap<Name, Holder>);

impl Holders {
    /// Reads who holds these names, in one statement for each kind that is named.
    pub(super) async fn read(
        transaction: &DatabaseTransaction,
        user_names: &BTreeSet<(WorkspaceId, CanonicalName)>,
        group_names: &BTreeSet<(WorkspaceId, CanonicalName)>,
    ) -> Result<Self, StoreError> {
        let of_users = {
            use user::Column::{CreatedBy, Id, UserNameKey, Workspace};
            let doing = "reading who holds a userName";
            held::<user::Entity>(transaction, [Workspace, Id, UserNameKey, CreatedBy], user_names, doing).await?
        };
        let of_groups = {
            use group::Column::{CreatedBy, DisplayNameKey, Id, Workspace};
            let doing = "reading who holds a displayName";
            held::<group::Entity>(transaction, [Workspace, Id, DisplayNameKey, CreatedBy], group_names, doing).await?
        };
        let of_kind = |kind, held: Vec<Held>| held.into_iter().map(move |held| named(kind, held));
        let all = of_kind(ResourceType::User, of_users).chain(of_kind(ResourceType::Group, of_groups));
        Ok(Self(all.collect::<Result<_, _>>()?))
    }

    /// Each name with the id of who holds it.
    pub(super) fn ids(&self) -> impl Iterator<Item = (Name, ResourceId)> + '_ {
        self.0.iter().map(|(name, holder)| (name.clone(), holder.id))
    }

    /// Who holds a name.
    pub(super) fn of(&self, name: &Name) -> Option<Holder> {
        self.0.get(name).copied()
    }
}

/// A row that holds a name: workspace, id, name, and the operation that created it.
type Held = (String, Uuid, String, Option<Uuid>);

/// The rows that hold the names. `columns` are those of [`Held`], in its order.
async fn held<E: EntityTrait>(
    transaction: &DatabaseTransaction,
    columns: [E::Column; 4],
    names: &BTreeSet<(WorkspaceId, CanonicalName)>,
    doing: &'static str,
) -> Result<Vec<Held>, StoreError> {
    let [workspace, _, name, _] = columns;
    let claimed: Vec<_> =
        names.iter().map(|(workspace, name)| [workspace.as_str().into(), name.as_str().into()]).collect();
    let rows = look_up::<E, 2>(transaction, &columns, [workspace, name], &claimed, Lock::None).await.context(doing)?;
    let read = |row: &QueryResult| -> Result<Held, DbErr> {
        let at = |index| row.try_get_by_index(index);
        Ok((at(0)?, row.try_get_by_index(1)?, at(2)?, row.try_get_by_index(3)?))
    };
    rows.iter().map(|row| read(row).context(doing)).collect()
}

fn named(kind: ResourceType, (workspace, id, name, created_by): Held) -> Result<(Name, Holder), StoreError> {
    let key = Key::of(workspace, id)?;
    // The canonical form is its own canonical form.
    let holder = Holder { id: key.id, created_by: created_by.map(OperationId) };
    Ok(((key.workspace, kind, CanonicalName::of(&name)), holder))
}
