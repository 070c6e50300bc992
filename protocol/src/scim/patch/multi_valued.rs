//! When two values of a multi-valued attribute are one, and what a value must hold to be selected.

use serde_json::{Map, Value};

use crate::scim::filter::{CompareOp, Filter, FilterValue};
use crate::scim::name::CanonicalName;

/// What a value must hold to be selected by a filter over `type` or `primary` alone. Entra writes
/// `phoneNumbers[type eq "work"].value` although the user has no number: the value is then created with that type.
pub(super) fn template(filter: &Filter) -> Option<Map<String, Value>> {
    let (name, value) = match filter {
        Filter::Compare { path, op: CompareOp::Eq, value } => (path.sub_attribute()?.name, value),
        Filter::And(filters) => {
            return filters.iter().try_fold(Map::new(), |mut all, filter| {
                for (name, value) in template(filter)? {
                    // Two types at once are nothing that a value could have.
                    all.insert(name, value).is_none().then_some(())?;
                }
                Some(all)
            });
        }
        _ => return None,
    };
    let value = match (name, value) {
        ("type", FilterValue::String(text)) => Value::String(text.clone()),
        ("primary", FilterValue::Boolean(true)) => Value::Bool(true),
        _ => return None,
    };
    Some(Map::from_iter([(name.to_owned(), value)]))
}

/// The new value, with what only the old one has if both are objects.
pub(super) fn merged(old: Option<Value>, new: &Value) -> Value {
    match (old, new) {
        (Some(Value::Object(mut old)), Value::Object(new)) => {
            old.extend(new.clone());
            Value::Object(old)
        }
        _ => new.clone(),
    }
}

/// A value that is there already, with what is new in another form of it; its `type` stays as it was written first.
pub(super) fn completed(existing: Value, new: &Value) -> Value {
    let kind = existing.get("type").cloned();
    let mut completed = merged(Some(existing), new);
    if let (Some(kind), Value::Object(members)) = (kind, &mut completed) {
        members.insert("type".to_owned(), kind);
    }
    completed
}

/// Whether two values of a multi-valued attribute are one: equal, or of the same `type` and `value`.
pub(super) fn is_same(left: &Value, right: &Value) -> bool {
    left == right
        || left.get("value").is_some_and(|value| Some(value) == right.get("value"))
            && is_same_type(left.get("type"), right.get("type"))
}

/// `type` is not `caseExact`.
fn is_same_type(left: Option<&Value>, right: Option<&Value>) -> bool {
    match (left.and_then(Value::as_str), right.and_then(Value::as_str)) {
        (Some(left), Some(right)) => CanonicalName::of(left) == CanonicalName::of(right),
        _ => left == right,
    }
}

/// Whether a value has the type that a template would give another one.
pub(super) fn has_type_of(value: &Value, template: &Map<String, Value>) -> bool {
    template.get("type").is_some_and(|kind| is_same_type(value.get("type"), Some(kind)))
}

/// Whether a value has everything that `part` names.
pub(super) fn has(value: &Value, part: &Value) -> bool {
    let Value::Object(members) = part else { return value == part };
    members.iter().all(|(name, part)| {
        if name == "type" { is_same_type(value.get(name), Some(part)) } else { value.get(name) == Some(part) }
    })
}
