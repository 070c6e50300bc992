//! [`PatchRequest`] to [`Attributes`]: all operations or none.

use serde_json::{Map, Value};

use super::multi_valued::{completed, has, has_type_of, is_same, merged, template};
use super::{PatchOp, PatchPath, PatchRequest};
use crate::scim::attributes::Attributes;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Filter, matches_value};
use crate::scim::value::{check_count, invalid_value, is_primary, primaries};

impl PatchRequest {
    /// The attributes after all operations, each applied to the result of the one before (RFC 7644 §3.5.2). Operations
    /// on a group's `members` change nothing here: see [`PatchRequest::member_delta`].
    pub fn apply(&self, before: &Attributes) -> Result<Attributes, ScimError> {
        let mut after = before.clone();
        for operation in &self.operations {
            apply(operation, &mut after)?;
        }
        after.check_required(&self.resource_type.into())?;
        Ok(after)
    }
}

/// What is done to the values that a path selects.
#[derive(Clone, Copy)]
enum Edit<'a> {
    Add(&'a Value),
    Replace(&'a Value),
    Remove,
    RemoveValues(&'a [Value]),
}

impl Edit<'_> {
    const fn removes(self) -> bool {
        matches!(self, Self::Remove | Self::RemoveValues(_))
    }
}

fn apply(operation: &PatchOp, attributes: &mut Attributes) -> Result<(), ScimError> {
    let (path, edit) = match operation {
        PatchOp::Add { path, value } => (path, Edit::Add(value)),
        PatchOp::Replace { path, value } => (path, Edit::Replace(value)),
        PatchOp::Remove { path } => (path, Edit::Remove),
        PatchOp::RemoveValues { path, values } => (path, Edit::RemoveValues(values)),
        PatchOp::AddMembers(_) | PatchOp::RemoveMembers(_) | PatchOp::ReplaceMembers(_) => return Ok(()),
    };
    let Some(extension) = path.attribute().extension() else {
        return on_attribute(attributes.as_map_mut(), path, edit);
    };
    let mut container = match attributes.take(extension.id) {
        Some(Value::Object(container)) => container,
        _ => Map::new(),
    };
    on_attribute(&mut container, path, edit)?;
    if !container.is_empty() {
        attributes.set(extension.id, Value::Object(container));
    }
    Ok(())
}

/// Edits the path's attribute in the object that holds it; what becomes empty is unassigned and goes (RFC 7643 §2.5).
fn on_attribute(container: &mut Map<String, Value>, path: &PatchPath, edit: Edit<'_>) -> Result<(), ScimError> {
    let definition = path.attribute().attribute();
    let before = container.remove(definition.name);
    let after = if definition.multi_valued {
        let values = if let Some(Value::Array(values)) = before { values } else { Vec::new() };
        Some(on_values(values, path, edit)?).filter(|values| !values.is_empty()).map(Value::Array)
    } else {
        on_single(before, path, edit)?
    };
    if let Some(value) = after {
        container.insert(definition.name.to_owned(), value);
    }
    Ok(())
}

fn on_single(before: Option<Value>, path: &PatchPath, edit: Edit<'_>) -> Result<Option<Value>, ScimError> {
    if let Some(filter) = path.filter()
        && !before.as_ref().is_some_and(|value| matches_value(filter, value))
    {
        return if edit.removes() { Ok(before) } else { Err(no_target(path)) };
    }
    if let Some(sub_attribute) = path.attribute().sub_attribute() {
        return Ok(on_sub_attribute(before, sub_attribute.name, edit));
    }
    Ok(match edit {
        Edit::Remove | Edit::RemoveValues(_) => None,
        // RFC 7644 §3.5.2.1, §3.5.2.3: what the value does not name stays.
        Edit::Add(value) | Edit::Replace(value) => Some(merged(before, value)),
    })
}

fn on_values(before: Vec<Value>, path: &PatchPath, edit: Edit<'_>) -> Result<Vec<Value>, ScimError> {
    let mut edited = match (path.filter(), path.attribute().sub_attribute()) {
        (None, None) => on_all_values(before, edit),
        (filter, _) => on_selected_values(before, filter, path, edit)?,
    };
    // RFC 7644 §3.5.2: a value that becomes primary takes this from the one that was.
    if edited.iter().any(|value| value.touched && is_primary(&value.value)) {
        for other in edited.iter_mut().filter(|value| !value.touched && is_primary(&value.value)) {
            if let Value::Object(members) = &mut other.value {
                members.insert("primary".to_owned(), Value::Bool(false));
            }
        }
    }
    let after: Vec<Value> = edited.into_iter().map(|value| value.value).collect();
    if primaries(&after) > 1 {
        return Err(invalid_value(&path.attribute().parent().to_string(), "would have more than one primary value"));
    }
    check_count(&after, &path.attribute().parent().to_string())?;
    Ok(after)
}

/// One value of a multi-valued attribute, and whether the operation has written it.
struct Edited {
    value: Value,
    touched: bool,
}

fn on_all_values(before: Vec<Value>, edit: Edit<'_>) -> Vec<Edited> {
    let mut values: Vec<Edited> = before.into_iter().map(|value| Edited { value, touched: false }).collect();
    match edit {
        Edit::Remove => Vec::new(),
        Edit::RemoveValues(gone) => {
            values.retain(|value| !gone.iter().any(|gone| has(&value.value, gone)));
            values
        }
        Edit::Replace(new) => elements(new).map(|value| Edited { value: value.clone(), touched: true }).collect(),
        Edit::Add(new) => {
            for value in elements(new) {
                // RFC 7644 §3.5.2.1: what is there already is not added again; RFC 7643 §2.4: nor the same type and value.
                match values.iter_mut().find(|existing| is_same(&existing.value, value)) {
                    Some(existing) => {
                        existing.value = completed(std::mem::take(&mut existing.value), value);
                        existing.touched = true;
                    }
                    None => values.push(Edited { value: value.clone(), touched: true }),
                }
            }
            values
        }
    }
}

fn on_selected_values(
    before: Vec<Value>,
    filter: Option<&Filter>,
    path: &PatchPath,
    edit: Edit<'_>,
) -> Result<Vec<Edited>, ScimError> {
    let sub_attribute = path.attribute().sub_attribute().map(|definition| definition.name);
    let mut found = false;
    let mut after = Vec::with_capacity(before.len() + 1);
    for value in before {
        if !filter.is_none_or(|filter| matches_value(filter, &value)) {
            after.push(Edited { value, touched: false });
            continue;
        }
        found = true;
        let value = on_selected(value, filter, sub_attribute, edit);
        after.extend(value.map(|value| Edited { value, touched: true }));
    }
    if !found && !edit.removes() {
        // RFC 7644 §3.5.2.3: a whole value that is to be replaced must be there.
        if filter.is_some() && sub_attribute.is_none() && matches!(edit, Edit::Replace(_)) {
            return Err(no_target(path));
        }
        let template = filter.map_or_else(|| Some(Map::new()), template);
        // Entra wants a type to occur once: a value that is there already is not the one that the filter means.
        let template = template.filter(|template| !after.iter().any(|other| has_type_of(&other.value, template)));
        let template = template.ok_or_else(|| no_target(path))?;
        let value = on_selected(Value::Object(template), filter, sub_attribute, edit);
        after.extend(value.map(|value| Edited { value, touched: true }));
    }
    Ok(after)
}

/// Edits one value that the path selects.
fn on_selected(value: Value, filter: Option<&Filter>, sub_attribute: Option<&str>, edit: Edit<'_>) -> Option<Value> {
    match (sub_attribute, edit) {
        (Some(name), edit) => on_sub_attribute(Some(value), name, edit),
        (None, Edit::Remove | Edit::RemoveValues(_)) => None,
        (None, Edit::Add(new)) => Some(merged(Some(value), new)),
        // RFC 7644 §3.5.2.3: the whole value is replaced; what selected it still does, unless the new value says otherwise.
        (None, Edit::Replace(new)) => Some(merged(filter.and_then(template).map(Value::Object), new)),
    }
}

fn on_sub_attribute(value: Option<Value>, name: &str, edit: Edit<'_>) -> Option<Value> {
    let mut members = if let Some(Value::Object(members)) = value { members } else { Map::new() };
    match edit {
        Edit::Add(value) | Edit::Replace(value) => members.insert(name.to_owned(), value.clone()),
        Edit::Remove | Edit::RemoveValues(_) => members.remove(name),
    };
    if members.is_empty() { None } else { Some(Value::Object(members)) }
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice).iter()
}

fn no_target(path: &PatchPath) -> ScimError {
    let detail = format!("no value of {} matches the filter of the path", path.attribute().parent());
    ScimError::bad_request(ScimType::NoTarget, detail)
}
