//! Locks every row that a batch may write, then reads what its commands may see: in this order, because READ COMMITTED
//! sees each statement's own moment.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use protocol::decide::{claimed_names, named_members};
use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::scim::resource_type::ResourceType;
use sea_orm::prelude::Uuid;
use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};

use super::conditions::{keys_in, portions};
use super::earlier::read_creates;
use super::holders::Holders;
use super::lock::lock;
use super::working::{MAX_SHOWN, Name, WorkingSet};
use crate::accepted::Accepted;
use crate::store::entity::{group, group_member, user};
use crate::store::lookup::{Lock, look_up_rows};
use crate::store::members::find_live;
use crate::store::stored_resource::Key;
use crate::store::{Context, StoreError};

/// The most members that a command names and that are looked for one by one. Of more, all rows of the group are read.
const MAX_BY_ID: usize = 2_000;

/// What a batch's commands name.
#[derive(Default)]
pub(super) struct Named {
    pub(super) users: BTreeSet<Key>,
    pub(super) groups: BTreeSet<Key>,
    /// Resources that a command deletes.
    pub(super) deleted: BTreeSet<Key>,
    names: BTreeSet<Name>,
    members: BTreeMap<Key, BTreeSet<ResourceId>>,
    /// Groups of which all member rows are read, so that only the difference to those is written.
    whole: BTreeSet<Key>,
    /// Members of groups that are answered in full.
    shown: BTreeSet<Key>,
}

/// Locks and reads.
pub(super) async fn load(transaction: &DatabaseTransaction, commands: &[&Accepted]) -> Result<WorkingSet, StoreError> {
    let mut named = Named::of(commands);
    // Deleting a user changes the groups that it is in: they are locked, too.
    let groups_of_deleted = memberships_of(transaction, &named.deleted).await?;
    named.groups.extend(groups_of_deleted.into_iter().map(|(group, _)| group));

    let mut set = WorkingSet::default();
    lock::<user::Entity>(transaction, &named.users, &mut set).await?;
    lock::<group::Entity>(transaction, &named.groups, &mut set).await?;

    for (group, member) in memberships_of(transaction, &named.deleted).await? {
        if !named.groups.contains(&group) {
            return Err(StoreError::lost_race("reading the groups of a resource that is deleted"));
        }
        set.members.entry(group).or_default().read(member);
    }
    read_all_members(transaction, &named.whole, &mut set).await?;
    named.members.retain(|group, _| !named.whole.contains(group));
    read_members(transaction, &named.members, &mut set).await?;
    let holders = Holders::read(transaction, &named.names).await?;
    set.holders.extend(holders.ids());
    // Boxed: what is rarely read makes no batch larger.
    Box::pin(read_creates(transaction, commands, &holders, &mut set)).await?;
    for shown in portions(&named.shown) {
        set.live.extend(find_live(transaction, &shown).await?);
    }
    Ok(set)
}

impl Named {
    pub(super) fn of(commands: &[&Accepted]) -> Self {
        let mut named = Self::default();
        for accepted in commands {
            named.add(accepted);
        }
        named
    }

    fn add(&mut self, accepted: &Accepted) {
        let envelope = &accepted.envelope;
        let in_workspace = |id| Key { workspace: envelope.workspace.clone(), id };
        let key = in_workspace(envelope.resource);
        let names = claimed_names(envelope.resource_type, &envelope.body);
        self.names.extend(names.into_iter().map(|name| (envelope.workspace.clone(), envelope.resource_type, name)));
        match envelope.resource_type {
            ResourceType::User => {
                self.users.insert(key.clone());
            }
            ResourceType::Group => {
                self.groups.insert(key.clone());
                let members = named_members(envelope.resource_type, &envelope.body);
                let is_whole = matches!(envelope.body, Command::Create { .. } | Command::Replace { .. });
                if is_whole && members.len() <= MAX_SHOWN {
                    self.shown.extend(members.iter().copied().map(in_workspace));
                }
                if members.len() > MAX_BY_ID || (replaces_members(&envelope.body) && !members.is_empty()) {
                    self.whole.insert(key.clone());
                }
                self.members.entry(key.clone()).or_default().extend(members);
            }
        }
        if let Command::Delete { .. } = envelope.body {
            self.deleted.insert(key);
        }
    }
}

/// Whether a command says who all the members are.
fn replaces_members(command: &Command) -> bool {
    match command {
        Command::Create { .. } | Command::Replace { .. } => true,
        Command::Patch { request, .. } => request.replaces_members(),
        Command::Delete { .. } => false,
    }
}

pub(super) async fn memberships_of(
    transaction: &DatabaseTransaction,
    members: &BTreeSet<Key>,
) -> Result<Vec<(Key, ResourceId)>, StoreError> {
    let mut found = Vec::new();
    for some in portions(members) {
        let any = keys_in(transaction, group_member::Column::Workspace, group_member::Column::MemberId, &some);
        let rows = group_member::Entity::find().filter(any).all(transaction).await;
        for row in rows.context("reading memberships")? {
            found.push((Key::of(row.workspace, row.group_id)?, ResourceId(row.member_id)));
        }
    }
    Ok(found)
}

/// All member rows of groups: their ids and nothing else, one by one.
async fn read_all_members(
    transaction: &DatabaseTransaction,
    groups: &BTreeSet<Key>,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    let doing = "reading all members";
    for some in portions(groups) {
        let columns = [group_member::Column::Workspace, group_member::Column::GroupId, group_member::Column::MemberId];
        let any = keys_in(transaction, group_member::Column::Workspace, group_member::Column::GroupId, &some);
        let rows = group_member::Entity::find().select_only().columns(columns).filter(any);
        let mut rows = rows.into_tuple::<(String, Uuid, Uuid)>().stream(transaction).await.context(doing)?;
        let mut read: BTreeMap<Uuid, BTreeMap<String, Vec<ResourceId>>> = BTreeMap::new();
        while let Some((workspace, group, member)) = rows.try_next().await.context(doing)? {
            let groups = read.entry(group).or_default();
            match groups.get_mut(&workspace) {
                Some(members) => members.push(ResourceId(member)),
                None => drop(groups.insert(workspace, vec![ResourceId(member)])),
            }
        }
        for (group, groups) in read {
            for (workspace, members) in groups {
                set.members.entry(Key::of(workspace, group)?).or_default().read_all(members);
            }
        }
    }
    for group in groups {
        set.members.entry(group.clone()).or_default().whole = true;
    }
    Ok(())
}

/// Of the members that commands name, those that have a row.
async fn read_members(
    transaction: &DatabaseTransaction,
    named: &BTreeMap<Key, BTreeSet<ResourceId>>,
    set: &mut WorkingSet,
) -> Result<(), StoreError> {
    let key = [group_member::Column::Workspace, group_member::Column::GroupId, group_member::Column::MemberId];
    let named = named.iter().flat_map(|(group, members)| members.iter().map(move |member| (group, member.0)));
    let keys: Vec<_> =
        named.map(|(group, member)| [group.workspace.as_str().into(), group.id.0.into(), member.into()]).collect();
    let rows = look_up_rows::<group_member::Entity, 3>(transaction, key, &keys, Lock::None).await;
    for row in rows.context("reading members")? {
        set.members.entry(Key::of(row.workspace, row.group_id)?).or_default().read(ResourceId(row.member_id));
    }
    Ok(())
}
