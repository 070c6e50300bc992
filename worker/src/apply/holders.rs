//! Who holds the names that a batch's commands claim.

use std::collections::{BTreeSet, HashMap};

use protocol::id::{OperationId, ResourceId};
use protocol::scim::name::CanonicalName;
use sea_orm::DatabaseTransaction;
use sea_orm::prelude::Uuid;

use super::working::Name;
use crate::store::entity::{group, user};
use crate::store::lookup::{Lock, look_up};
use crate::store::resource_table::ResourceTable;
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
    pub(super) async fn read(transaction: &DatabaseTransaction, names: &BTreeSet<Name>) -> Result<Self, StoreError> {
        let mut holders = Self(HashMap::new());
        holders.read_of::<user::Entity>(transaction, names).await?;
        holders.read_of::<group::Entity>(transaction, names).await?;
        Ok(holders)
    }

    async fn read_of<E: ResourceTable>(
        &mut self,
        transaction: &DatabaseTransaction,
        names: &BTreeSet<Name>,
    ) -> Result<(), StoreError> {
        let doing = "reading who holds a name";
        let [workspace, id] = E::KEY;
        let columns = [workspace, id, E::NAME, E::CREATED_BY];
        let names = names.iter().filter(|(_, kind, _)| *kind == E::KIND);
        let names: Vec<_> =
            names.map(|(workspace, _, name)| [workspace.as_str().into(), name.as_str().into()]).collect();
        let rows = look_up::<E, 2>(transaction, &columns, [workspace, E::NAME], &names, Lock::None).await;
        for row in rows.context(doing)? {
            let key = Key::of(row.try_get_by_index(0).context(doing)?, row.try_get_by_index(1).context(doing)?)?;
            // The canonical form is its own canonical form.
            let name = CanonicalName::of(&row.try_get_by_index::<String>(2).context(doing)?);
            let created_by = row.try_get_by_index::<Option<Uuid>>(3).context(doing)?.map(OperationId);
            self.0.insert((key.workspace, E::KIND, name), Holder { id: key.id, created_by });
        }
        Ok(())
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
