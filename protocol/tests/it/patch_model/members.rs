//! A group's members as a set of numbers, changed by one operation after the other.

use std::collections::BTreeSet;

use proptest::prelude::*;
use protocol::scim::members::MemberDelta;
use serde_json::{Value, json};

use crate::values::id;

/// An operation in one of the forms in which providers send it.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Add(BTreeSet<u32>),
    AddWithoutPath(BTreeSet<u32>),
    Replace(BTreeSet<u32>),
    RemoveListed(BTreeSet<u32>),
    RemoveFiltered(u32),
    RemoveAll,
}

pub(super) fn any_set() -> impl Strategy<Value = BTreeSet<u32>> {
    prop::collection::btree_set(0..6_u32, 0..4)
}

pub(super) fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        any_set().prop_map(Operation::Add),
        any_set().prop_map(Operation::AddWithoutPath),
        any_set().prop_map(Operation::Replace),
        any_set().prop_map(Operation::RemoveListed),
        (0..6_u32).prop_map(Operation::RemoveFiltered),
        Just(Operation::RemoveAll),
    ]
}

impl Operation {
    pub(super) fn to_json(&self) -> Value {
        let list = |members: &BTreeSet<u32>| -> Value {
            members.iter().map(|member| json!({ "value": id(*member).to_string() })).collect()
        };
        match self {
            Self::Add(members) => json!({ "op": "Add", "path": "members", "value": list(members) }),
            Self::AddWithoutPath(members) => json!({ "op": "add", "value": { "id": "x", "members": list(members) } }),
            Self::Replace(members) => json!({ "op": "replace", "path": "members", "value": list(members) }),
            Self::RemoveListed(members) => json!({ "op": "Remove", "path": "members", "value": list(members) }),
            Self::RemoveFiltered(member) => {
                json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", id(*member)) })
            }
            Self::RemoveAll => json!({ "op": "remove", "path": "members" }),
        }
    }

    pub(super) fn apply(&self, members: &mut BTreeSet<u32>) {
        match self {
            Self::Add(added) | Self::AddWithoutPath(added) => members.extend(added),
            Self::Replace(new) => members.clone_from(new),
            Self::RemoveListed(gone) => members.retain(|member| !gone.contains(member)),
            Self::RemoveFiltered(gone) => drop(members.remove(gone)),
            Self::RemoveAll => members.clear(),
        }
    }
}

/// What a worker makes of the rows: it deletes, then inserts.
pub(super) fn edited(before: &BTreeSet<u32>, edit: &MemberDelta) -> BTreeSet<String> {
    let kept = before.iter().map(|member| id(*member)).filter(|member| !edit.clear && !edit.remove.contains(member));
    kept.chain(edit.add.iter().copied()).map(|member| member.to_string()).collect()
}
