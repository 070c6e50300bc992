//! Keeps the list of e-mail addresses as the rows of users say, in the same transaction.
//!
//! By statements of the batch and not by triggers of the database: one statement for all that goes and one for all that
//! comes, none where no address changes, and one and the same rule for both databases, in Rust.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, Condition, DatabaseTransaction, EntityTrait, QueryFilter};

use super::working::Entry;
use crate::store::bulk_insert::insert;
use crate::store::emails::listed;
use crate::store::entity::{user, user_email};
use crate::store::stored_resource::Key;
use crate::store::{Context, MAX_GROUPS, StoreError};

/// What changes in the list.
pub(super) struct Emails<'a> {
    users: &'a BTreeMap<Key, Entry>,
    gone: Vec<user_email::Model>,
    new: Vec<user_email::Model>,
}

impl<'a> Emails<'a> {
    /// Of a batch over these users.
    pub(super) const fn of(users: &'a BTreeMap<Key, Entry>) -> Self {
        Self { users, gone: Vec::new(), new: Vec::new() }
    }

    /// A row is written.
    pub(super) fn written(&mut self, key: &Key, row: &user::Model) {
        self.change(key, &listed(&row.search));
    }

    /// A row is deleted.
    pub(super) fn deleted(&mut self, key: &Key) {
        self.change(key, &BTreeSet::new());
    }

    fn change(&mut self, key: &Key, now: &BTreeSet<String>) {
        const NOTHING: &BTreeSet<String> = &BTreeSet::new();
        let before = self.users.get(key).map_or(NOTHING, |entry| &entry.emails);
        let row = |value: &String| user_email::Model {
            workspace: key.workspace.to_string(),
            value: value.clone(),
            user_id: key.id.0,
        };
        self.gone.extend(before.difference(now).map(row));
        self.new.extend(now.difference(before).map(row));
    }

    /// The addresses that come, if none go.
    pub(super) fn if_none_go(self) -> Option<Vec<user_email::Model>> {
        self.gone.is_empty().then_some(self.new)
    }

    /// Writes the changes. One row too many or too few to delete is no reason to refuse: the filter asks the user's own
    /// row in any case.
    pub(super) async fn write(self, transaction: &DatabaseTransaction) -> Result<(), StoreError> {
        use user_email::Column::{UserId, Value, Workspace};
        for some in self.gone.chunks(MAX_GROUPS) {
            let any = some.iter().fold(Condition::any(), |any, row| {
                let (workspace, value) = (Workspace.eq(row.workspace.as_str()), Value.eq(row.value.as_str()));
                any.add(Condition::all().add(workspace).add(value).add(UserId.eq(row.user_id)))
            });
            let deleted = user_email::Entity::delete_many().filter(any).exec(transaction).await;
            deleted.context("deleting e-mail addresses")?;
        }
        let unless_there = OnConflict::new().do_nothing().to_owned();
        insert::<user_email::Entity>(transaction, self.new, Some(unless_there), "inserting e-mail addresses").await?;
        Ok(())
    }
}
