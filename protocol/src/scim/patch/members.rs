//! Operations on a group's members: they become a delta of rows and never touch the group's attributes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{PatchOp, PatchPath, PatchRequest, Verb, mutability};
use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Filter, FilterValue};
use crate::scim::members::{MemberDelta, invalid_member, sent_id};

/// Reads an operation whose path begins with `members`.
pub(super) fn operation(path: &PatchPath, verb: Verb, value: Option<Value>) -> Result<Vec<PatchOp>, ScimError> {
    if path.attribute().sub_attribute().is_some() {
        return Err(mutability("the parts of a member are immutable: remove the member and add another"));
    }
    let value = value.filter(|value| !value.is_null());
    let operation = match (verb, path.filter(), value) {
        (Verb::Remove, Some(filter), _) => PatchOp::RemoveMembers(filtered(filter)?),
        (Verb::Add | Verb::Replace, Some(_), _) => {
            let detail = "members can be added and replaced only as a whole: leave the filter out";
            return Err(ScimError::bad_request(ScimType::InvalidPath, detail));
        }
        // RFC 7644 §3.5.2.2 knows no value here and would remove everybody; Entra means those in the value.
        (Verb::Remove, None, Some(value)) => PatchOp::RemoveMembers(ids(value)?),
        (Verb::Remove | Verb::Replace, None, None) => PatchOp::ReplaceMembers(BTreeSet::new()),
        (Verb::Replace, None, Some(value)) => PatchOp::ReplaceMembers(ids(value)?),
        (Verb::Add, None, Some(value)) => PatchOp::AddMembers(ids(value)?),
        (Verb::Add, None, None) => return Ok(Vec::new()),
    };
    let changes_nothing =
        matches!(&operation, PatchOp::AddMembers(ids) | PatchOp::RemoveMembers(ids) if ids.is_empty());
    Ok(if changes_nothing { Vec::new() } else { vec![operation] })
}

impl PatchRequest {
    /// Whether all members are replaced, by some or by none.
    pub fn replaces_members(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation, PatchOp::ReplaceMembers(_)))
    }

    /// What the operations on `members` come to, taken together.
    pub fn member_delta(&self) -> MemberDelta {
        self.operations.iter().fold(MemberDelta::default(), |mut edit, operation| {
            match operation {
                PatchOp::AddMembers(ids) => edit.add(ids),
                PatchOp::RemoveMembers(ids) => edit.remove(ids),
                PatchOp::ReplaceMembers(ids) => {
                    edit = MemberDelta { clear: true, add: ids.clone(), ..MemberDelta::default() }
                }
                PatchOp::Add { .. }
                | PatchOp::Replace { .. }
                | PatchOp::Remove { .. }
                | PatchOp::RemoveValues { .. } => {}
            }
            edit
        })
    }
}

fn ids(value: Value) -> Result<BTreeSet<ResourceId>, ScimError> {
    let elements = if let Value::Array(elements) = value { elements } else { vec![value] };
    elements.into_iter().filter_map(|element| sent_id(element).transpose()).collect()
}

/// The ids that a filter names: `value eq "…"`, and several of these joined by `or`.
fn filtered(filter: &Filter) -> Result<BTreeSet<ResourceId>, ScimError> {
    if let Filter::Or(filters) = filter {
        return filters.iter().map(filtered).try_fold(BTreeSet::new(), |mut all, ids| {
            all.extend(ids?);
            Ok(all)
        });
    }
    match filter.as_equality() {
        Some((path, FilterValue::String(id))) if path.sub_attribute().is_some_and(|sub| sub.name == "value") => {
            Ok(BTreeSet::from([id.parse().map_err(|_| invalid_member())?]))
        }
        _ => {
            let detail = "members can be removed only by value eq \"<id>\", several joined by or";
            Err(ScimError::bad_request(ScimType::InvalidFilter, detail))
        }
    }
}
