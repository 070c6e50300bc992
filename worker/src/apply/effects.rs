//! Writes what a batch came to: the difference between the working set now and as it was read, in few statements, rows
//! in the order of their keys.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::ResourceId;
use protocol::scim::name::CanonicalName;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter};

use super::conditions::{keys_in, portions};
use super::emails::Emails;
use super::membership::Membership;
use super::upsert::{BySteps, all_written, update};
use super::working::{Entry, WorkingSet};
use crate::store::bulk_insert::{insert, one_of};
use crate::store::entity::{group, group_member, user};
use crate::store::fence::reserved_name;
use crate::store::resource_table::ResourceTable;
use crate::store::stored_resource::{Key, StoredResource};
use crate::store::{Context, MAX_GROUPS, MAX_ROWS, MAX_VALUES, StoreError};

/// Writes all effects: first what goes, so that its names are free, then what changes, then what is new.
pub(super) async fn write(transaction: &DatabaseTransaction, set: &WorkingSet) -> Result<(), StoreError> {
    let (users, groups) = (Difference::of(&set.users), Difference::of(&set.groups));
    let mut emails = Emails::of(&set.users);
    let gone = users.deleted.union(&users.lifted).cloned().collect();
    delete::<user::Entity>(transaction, &gone).await?;
    for key in &gone {
        emails.deleted(key);
    }
    delete::<group::Entity>(transaction, &groups.deleted).await?;
    write_rows::<user::Entity>(transaction, &users, |key, row| emails.written(key, row)).await?;
    emails.write(transaction).await?;
    write_rows::<group::Entity>(transaction, &groups, |_, _| {}).await?;
    write_members(transaction, set, &users, &groups).await
}

/// What happened to the resources of one kind.
struct Difference<'a> {
    deleted: BTreeSet<Key>,
    /// Fences that are not needed any more. Groups may name who was never there: these memberships stay.
    lifted: BTreeSet<Key>,
    updated: Vec<(&'a Key, &'a StoredResource, &'a StoredResource)>,
    created: Vec<(&'a Key, &'a StoredResource)>,
    /// Users that are written over a fence.
    unfenced: Vec<(&'a Key, &'a StoredResource)>,
}

impl<'a> Difference<'a> {
    fn of(entries: &'a BTreeMap<Key, Entry>) -> Self {
        let (deleted, lifted) = (BTreeSet::new(), BTreeSet::new());
        let mut difference = Self { deleted, lifted, updated: Vec::new(), created: Vec::new(), unfenced: Vec::new() };
        for (key, entry) in entries {
            match (&entry.stored, &entry.now) {
                (None, None) if entry.fence.is_some() && entry.fence_lifted => {
                    difference.lifted.insert(key.clone());
                }
                (Some(_), None) => {
                    difference.deleted.insert(key.clone());
                }
                (Some(stored), Some(now)) if stored != now => difference.updated.push((key, stored, now)),
                (None, None) | (Some(_), Some(_)) => {}
                (None, Some(now)) if entry.fence.is_some() => difference.unfenced.push((key, now)),
                (None, Some(now)) => difference.created.push((key, now)),
            }
        }
        // In the order of the unique index: two batches that claim the same names wait, they do not deadlock.
        difference.created.sort_by_cached_key(|(key, image)| (key.workspace.clone(), image.name()));
        difference
    }

    /// Rows whose old name another row of the batch takes over. Unique indexes are checked row by row, so these names
    /// are given up before anything else is written.
    fn handing_over(&self) -> Vec<&'a Key> {
        let claimed: BTreeSet<(&str, Option<CanonicalName>)> = self
            .updated
            .iter()
            .map(|(key, _, now)| (key, now))
            .chain(self.created.iter().chain(&self.unfenced).map(|(key, now)| (key, now)))
            .map(|(key, now)| (key.workspace.as_str(), now.name()))
            .collect();
        let renamed = self.updated.iter().filter(|(_, stored, now)| stored.name() != now.name());
        renamed
            .filter(|(key, stored, _)| claimed.contains(&(key.workspace.as_str(), stored.name())))
            .map(|(key, ..)| *key)
            .collect()
    }

    fn steps(stored: &StoredResource, now: &StoredResource) -> i64 {
        now.resource.meta.version.number().saturating_sub(stored.resource.meta.version.number())
    }
}

/// A row that is there already stays: the count of written rows says that another transaction was faster.
fn unless_there() -> OnConflict {
    OnConflict::new().do_nothing().to_owned()
}

async fn delete<E: ResourceTable>(transaction: &DatabaseTransaction, keys: &BTreeSet<Key>) -> Result<(), StoreError> {
    let (doing, [workspace, id]) = ("deleting resources", E::KEY);
    for some in portions(keys) {
        let any = keys_in(transaction, workspace, id, &some);
        let deleted = E::delete_many().filter(any).exec(transaction).await.context(doing)?;
        all_written(deleted.rows_affected, some.len(), doing)?;
    }
    Ok(())
}

/// Writes what changed and what is new; `note` sees each row.
async fn write_rows<'a, E: ResourceTable>(
    transaction: &DatabaseTransaction,
    difference: &Difference<'a>,
    mut note: impl FnMut(&'a Key, &E::Model),
) -> Result<(), StoreError> {
    let [workspace, id] = E::KEY;
    for key in difference.handing_over() {
        let update = E::update_many().col_expr(E::NAME, reserved_name(key).into()).filter(keys_in(
            transaction,
            workspace,
            id,
            std::slice::from_ref(key),
        ));
        update.exec(transaction).await.context("giving up a name")?;
    }
    let mut row = |key: &'a Key, stored: &StoredResource| -> Result<E::Model, StoreError> {
        let row = E::write(stored, &key.workspace)?;
        note(key, &row);
        Ok(row)
    };
    let mut updates = BySteps::new();
    for (key, stored, now) in &difference.updated {
        updates.entry(Difference::steps(stored, now)).or_default().push(row(key, now)?);
    }
    for (key, now) in &difference.unfenced {
        // The version of a fence is 0.
        updates.entry(now.resource.meta.version.number()).or_default().push(row(key, now)?);
    }
    update::<E>(transaction, updates).await?;
    let doing = "inserting resources";
    let rows = difference.created.iter().map(|(key, now)| row(key, now)).collect::<Result<Vec<_>, _>>()?;
    let inserted = insert::<E>(transaction, rows, Some(unless_there()), doing).await?;
    all_written(inserted, difference.created.len(), doing)
}

async fn write_members(
    transaction: &DatabaseTransaction,
    set: &WorkingSet,
    users: &Difference<'_>,
    groups: &Difference<'_>,
) -> Result<(), StoreError> {
    let cleared = set.members.iter().filter(|(_, membership)| membership.cleared).map(|(group, _)| group.clone());
    for some in portions(&cleared.chain(groups.deleted.iter().cloned()).collect()) {
        let any = keys_in(transaction, group_member::Column::Workspace, group_member::Column::GroupId, &some);
        group_member::Entity::delete_many().filter(any).exec(transaction).await.context("clearing groups")?;
    }
    let live = |group: &Key| set.groups.get(group).is_some_and(|entry| entry.now.is_some());
    let rows = set.members.iter().filter(|(group, _)| live(group));
    let (many, few): (Vec<_>, Vec<_>) = rows.clone().partition(|(_, members)| members.removed().count() > MAX_GROUPS);
    for (group, members) in many {
        delete_many_members(transaction, group, members).await?;
    }
    let removed: Vec<_> =
        few.into_iter().flat_map(|(group, members)| members.removed().map(move |id| (group, id))).collect();
    delete_members(transaction, &removed).await?;
    for some in portions(&users.deleted.union(&groups.deleted).cloned().collect()) {
        let any = keys_in(transaction, group_member::Column::Workspace, group_member::Column::MemberId, &some);
        let deleted = group_member::Entity::delete_many().filter(any).exec(transaction).await;
        // All rows that name a deleted resource are gone already, unless one came meanwhile to a group without lock.
        all_written(deleted.context("deleting memberships")?.rows_affected, 0, "deleting memberships")?;
    }
    let added: Vec<_> = rows.flat_map(|(group, members)| members.added().map(move |id| (group, id))).collect();
    insert_members(transaction, &added).await
}

async fn delete_members(transaction: &DatabaseTransaction, pairs: &[(&Key, ResourceId)]) -> Result<(), StoreError> {
    for some in pairs.chunks(MAX_GROUPS) {
        let mut by_group: BTreeMap<&Key, Vec<sea_orm::prelude::Uuid>> = BTreeMap::new();
        for (group, member) in some {
            by_group.entry(group).or_default().push(member.0);
        }
        let any = by_group.into_iter().fold(Condition::any(), |any, (group, members)| {
            let workspace = group_member::Column::Workspace.eq(group.workspace.as_str());
            let group = group_member::Column::GroupId.eq(group.id.0);
            any.add(Condition::all().add(workspace).add(group).add(one_of(
                transaction,
                group_member::Column::MemberId,
                members,
            )))
        });
        let deleted = group_member::Entity::delete_many().filter(any).exec(transaction).await;
        all_written(deleted.context("removing members")?.rows_affected, some.len(), "removing members")?;
    }
    Ok(())
}

/// Deletes many rows of one group, by those that go or, if all are known and these are fewer, by those that stay.
async fn delete_many_members(
    transaction: &DatabaseTransaction,
    group: &Key,
    members: &Membership,
) -> Result<(), StoreError> {
    let doing = "removing many members";
    let ids = |ids: &[ResourceId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    let delete = |these: Condition| {
        group_member::Entity::delete_many()
            .filter(group_member::Column::Workspace.eq(group.workspace.as_str()))
            .filter(group_member::Column::GroupId.eq(group.id.0))
            .filter(these)
            .exec(transaction)
    };
    let (removed, kept): (Vec<_>, Vec<_>) = (members.removed().collect(), members.kept().collect());
    if members.whole && kept.len() <= MAX_ROWS && kept.len() < removed.len() {
        let others = Condition::all().add(group_member::Column::MemberId.is_not_in(ids(&kept)));
        return all_written(delete(others).await.context(doing)?.rows_affected, removed.len(), doing);
    }
    for some in removed.chunks(MAX_VALUES) {
        let these = Condition::all().add(one_of(transaction, group_member::Column::MemberId, ids(some)));
        all_written(delete(these).await.context(doing)?.rows_affected, some.len(), doing)?;
    }
    Ok(())
}

async fn insert_members(transaction: &DatabaseTransaction, pairs: &[(&Key, ResourceId)]) -> Result<(), StoreError> {
    let row = |(group, member): &(&Key, ResourceId)| {
        let workspace = group.workspace.to_string();
        group_member::Model { workspace, group_id: group.id.0, member_id: member.0 }
    };
    let rows = pairs.iter().map(row).collect();
    let inserted = insert::<group_member::Entity>(transaction, rows, Some(unless_there()), "adding members").await?;
    all_written(inserted, pairs.len(), "adding members")
}
