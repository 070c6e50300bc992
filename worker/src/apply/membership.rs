//! A group's member rows, as far as a batch names them.

use std::collections::BTreeSet;

use protocol::id::ResourceId;
use protocol::scim::members::MemberDelta;

/// The rows of one group that a batch may touch. Rows that no command names are not read.
#[derive(Debug, Clone, Default)]
pub(super) struct Membership {
    /// Of the ids that the batch names, those that have a row.
    pub(super) stored: BTreeSet<ResourceId>,
    /// The same after the commands so far.
    now: BTreeSet<ResourceId>,
    /// All rows were read, so that the difference is known even when all are replaced.
    pub(super) whole: bool,
    /// All rows go, also those that were not read.
    pub(super) cleared: bool,
}

impl Membership {
    /// Of a group that is deleted.
    pub(super) fn cleared() -> Self {
        Self { cleared: true, ..Self::default() }
    }

    /// A row that was read.
    pub(super) fn read(&mut self, member: ResourceId) {
        self.stored.insert(member);
        self.now.insert(member);
    }

    /// All rows.
    pub(super) fn read_all(&mut self, members: Vec<ResourceId>) {
        self.stored.extend(members.iter().copied());
        self.now.extend(members);
    }

    /// Whether the id has a row.
    pub(super) fn contains(&self, member: ResourceId) -> bool {
        self.now.contains(&member)
    }

    /// Carries out an edit; returns the count of all rows after it.
    pub(super) fn edit(&mut self, edit: &MemberDelta, count: u64) -> u64 {
        let mut count = count;
        if edit.clear {
            self.cleared |= !self.whole;
            self.now.clear();
            count = 0;
        }
        for member in &edit.remove {
            count = count.saturating_sub(u64::from(self.now.remove(member)));
        }
        for member in &edit.add {
            count = count.saturating_add(u64::from(self.now.insert(*member)));
        }
        count
    }

    /// Rows to delete.
    pub(super) fn removed(&self) -> impl Iterator<Item = ResourceId> + '_ {
        self.stored.iter().filter(|member| !self.cleared && !self.now.contains(member)).copied()
    }

    /// Of the rows that were read, those that stay.
    pub(super) fn kept(&self) -> impl Iterator<Item = ResourceId> + '_ {
        self.stored.iter().filter(|member| self.now.contains(member)).copied()
    }

    /// Rows to insert.
    pub(super) fn added(&self) -> impl Iterator<Item = ResourceId> + '_ {
        self.now.iter().filter(|member| self.cleared || !self.stored.contains(member)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> ResourceId {
        ResourceId(uuid::Uuid::from_u128(n))
    }

    fn edit(clear: bool, remove: &[u128], add: &[u128]) -> MemberDelta {
        let ids = |numbers: &[u128]| numbers.iter().copied().map(id).collect();
        MemberDelta { clear, remove: ids(remove), add: ids(add) }
    }

    #[test]
    fn only_the_difference_is_written() {
        let mut membership = Membership::default();
        membership.read(id(1));
        assert_eq!(membership.edit(&edit(false, &[1], &[2, 3]), 10), 11);
        assert_eq!(membership.edit(&edit(false, &[3], &[1]), 11), 11);
        assert_eq!((membership.removed().count(), membership.added().collect::<Vec<_>>()), (0, vec![id(2)]));
    }

    #[test]
    fn of_a_group_that_is_known_whole_only_the_difference_is_written_after_a_clear() {
        let mut membership = Membership { whole: true, ..Membership::default() };
        membership.read_all(vec![id(1), id(2), id(3)]);
        assert_eq!(membership.edit(&edit(true, &[], &[2, 3, 4]), 3), 3);
        assert!(!membership.cleared);
        assert_eq!(membership.removed().collect::<Vec<_>>(), [id(1)]);
        assert_eq!(membership.added().collect::<Vec<_>>(), [id(4)]);
    }

    #[test]
    fn after_a_clear_the_rows_that_stay_are_written_again() {
        let mut membership = Membership::default();
        membership.read(id(1));
        assert_eq!(membership.edit(&edit(true, &[], &[1]), 10), 1);
        assert_eq!((membership.removed().count(), membership.added().collect::<Vec<_>>()), (0, vec![id(1)]));
    }
}
