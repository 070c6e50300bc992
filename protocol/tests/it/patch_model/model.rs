//! RFC 7644 §3.5.2, sentence by sentence, over plain JSON; and the rules of ours that go beyond it, each said where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::scim::schema::{AttributeDefinition, Kind, Mutability};
use serde_json::{Map, Value, json};

use super::ENTERPRISE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Replace,
    Remove,
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) target: Target,
    pub(super) value: Option<Value>,
}

/// What a path selects.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// No path: attributes with their values, by what they are called.
    Set(BTreeMap<String, (Spot, Value)>),
    /// The extension's URN: the same within it.
    Extension(BTreeMap<String, (Spot, Value)>),
    Spot(Spot),
}

#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) extension: bool,
    pub(super) attribute: &'static AttributeDefinition,
    /// A part of the values that are meant, and what it is in them.
    pub(super) filter: Option<(&'static AttributeDefinition, Value)>,
    pub(super) sub: Option<&'static AttributeDefinition>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urn = if self.extension { format!("{ENTERPRISE}:") } else { String::new() };
        let filter = self.filter.as_ref().map(|(sub, value)| format!("[{} eq {value}]", sub.name));
        let sub = self.sub.map(|sub| format!(".{}", sub.name));
        write!(f, "{urn}{}{}{}", self.attribute.name, filter.unwrap_or_default(), sub.unwrap_or_default())
    }
}

impl Operation {
    pub(super) fn has_filter(&self) -> bool {
        match &self.target {
            Target::Set(set) | Target::Extension(set) => set.values().any(|(spot, _)| spot.filter.is_some()),
            Target::Spot(spot) => spot.filter.is_some(),
        }
    }

    /// Whether it writes an attribute in two ways, such as `emails` and `emails.value`: the one may undo the other.
    pub(super) fn overlaps(&self) -> bool {
        let (Target::Set(set) | Target::Extension(set)) = &self.target else { return false };
        let names: BTreeSet<_> = set.values().map(|(spot, _)| (spot.extension, spot.attribute.name)).collect();
        names.len() < set.len()
    }

    pub(super) fn to_json(&self) -> Value {
        let op = format!("{:?}", self.verb).to_lowercase();
        let object = |set: &BTreeMap<String, (Spot, Value)>| {
            Value::Object(set.iter().map(|(name, (_, value))| (name.clone(), value.clone())).collect())
        };
        match (&self.target, &self.value) {
            (Target::Set(set), _) => json!({ "op": op, "value": object(set) }),
            (Target::Extension(set), _) => json!({ "op": op, "path": ENTERPRISE, "value": object(set) }),
            (Target::Spot(spot), Some(value)) => json!({ "op": op, "path": spot.to_string(), "value": value }),
            (Target::Spot(spot), None) => json!({ "op": op, "path": spot.to_string() }),
        }
    }
}

type Object = Map<String, Value>;

/// The request is refused.
#[derive(Debug)]
pub(super) struct Refused;

/// "Each operation against an attribute MUST be applied in the order in which it appears", and a failure leaves the
/// original resource.
pub(super) fn apply(before: &Object, operations: &[Operation]) -> Result<Object, Refused> {
    let mut after = before.clone();
    for operation in operations {
        match (&operation.target, operation.verb) {
            // "If path is unspecified, the operation fails" (§3.5.2.2).
            (Target::Set(_), Verb::Remove) => return Err(Refused),
            (Target::Set(set) | Target::Extension(set), Verb::Add | Verb::Replace) => {
                // Ours: what cannot be written is left out of a set of attributes, as it is of a PUT.
                for (spot, value) in set.values().filter(|(spot, _)| !is_read_only(spot)) {
                    at(&mut after, operation.verb, spot, Some(value))?;
                }
            }
            (Target::Extension(_), Verb::Remove) => drop(after.remove(ENTERPRISE)),
            (Target::Spot(spot), _) if is_read_only(spot) => return Err(Refused),
            (Target::Spot(spot), verb) => at(&mut after, verb, spot, operation.value.as_ref())?,
        }
    }
    let is_named = after.get("userName").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
    if is_named { Ok(after) } else { Err(Refused) }
}

fn is_read_only(spot: &Spot) -> bool {
    spot.attribute.mutability == Mutability::ReadOnly
        || spot.sub.is_some_and(|sub| sub.mutability == Mutability::ReadOnly)
}

fn at(resource: &mut Object, verb: Verb, spot: &Spot, value: Option<&Value>) -> Result<(), Refused> {
    // Ours: a password is taken and never kept.
    if spot.attribute.mutability == Mutability::WriteOnly {
        return Ok(());
    }
    // "Unassigned" is null, and the empty list (RFC 7643 §2.5): adding it adds nothing, replacing by it removes.
    let is_nothing = value.is_some_and(is_nothing);
    let (verb, value) = match verb {
        Verb::Add if is_nothing => return Ok(()),
        Verb::Replace if is_nothing => (Verb::Remove, None),
        verb => (verb, value),
    };
    // "If the attribute is required or read-only … error" (§3.5.2.2). active has a default.
    if verb == Verb::Remove && spot.attribute.name == "userName" {
        return Err(Refused);
    }
    let mut container = if spot.extension { parts_of(resource.remove(ENTERPRISE)) } else { std::mem::take(resource) };
    let old = container.remove(spot.attribute.name);
    let new = if spot.attribute.multi_valued {
        let old = old.and_then(|old| old.as_array().cloned()).unwrap_or_default();
        list(old, verb, spot, value).map(|values| (!values.is_empty()).then(|| json!(values)))?
    } else {
        single(old, verb, spot, value)
    };
    container.extend(new.map(|new| (spot.attribute.name.to_owned(), new)));
    if !spot.extension {
        *resource = container;
    } else if !container.is_empty() {
        resource.insert(ENTERPRISE.to_owned(), json!(container));
    }
    Ok(())
}

fn single(old: Option<Value>, verb: Verb, spot: &Spot, value: Option<&Value>) -> Option<Value> {
    match (verb, value, spot.sub) {
        (Verb::Add | Verb::Replace, Some(value), Some(sub)) => {
            let mut parts = parts_of(old);
            parts.insert(sub.name.to_owned(), value.clone());
            Some(json!(parts))
        }
        // "Sub-attributes that are not specified SHALL be left unchanged."
        (verb, Some(value), None) if verb != Verb::Remove && spot.attribute.kind == Kind::Complex => {
            let mut parts = parts_of(old);
            for (name, part) in value.as_object().into_iter().flatten().filter(|(name, _)| is_written(spot, name)) {
                match (verb, part.is_null()) {
                    (_, false) => drop(parts.insert(name.clone(), part.clone())),
                    (Verb::Replace, true) => drop(parts.remove(name)),
                    (_, true) => {}
                }
            }
            (!parts.is_empty()).then(|| json!(parts))
        }
        (Verb::Add | Verb::Replace, value, _) => value.cloned(),
        (Verb::Remove, _, None) => None,
        (Verb::Remove, _, Some(sub)) => {
            let mut parts = parts_of(old);
            parts.remove(sub.name);
            (!parts.is_empty()).then(|| json!(parts))
        }
    }
}

fn list(old: Vec<Value>, verb: Verb, spot: &Spot, value: Option<&Value>) -> Result<Vec<Value>, Refused> {
    let mut values: Vec<(Value, bool)> = old.into_iter().map(|value| (value, false)).collect();
    if spot.filter.is_none() && spot.sub.is_none() {
        let given = value.and_then(Value::as_array).into_iter().flatten().map(without_nulls);
        // An element without anything is "unassigned", too: it is no value to add, and none to remove.
        let given: Vec<Value> = given.filter(|value| !value.is_null() && *value != json!({})).collect();
        // RFC 7643 §2.4: "The primary attribute value 'true' MUST appear no more than once."
        if given.iter().filter(|value| is_primary(value)).count() > 1 {
            return Err(Refused);
        }
        match verb {
            Verb::Add => given.into_iter().for_each(|new| add(&mut values, new)),
            Verb::Replace => values = given.into_iter().map(|new| (new, true)).collect(),
            Verb::Remove if value.is_none_or(Value::is_null) => values.clear(),
            // Ours: a remove with values removes these.
            Verb::Remove => values.retain(|(value, _)| !given.iter().any(|part| has(value, part))),
        }
    } else {
        selected(&mut values, verb, spot, value)?;
    }
    with_one_primary(values)
}

/// "If the target location already contains the value specified, no changes SHOULD be made." RFC 7643 §2.4: nor SHOULD
/// the same type and value occur twice; ours: then the rest is merged.
fn add(values: &mut Vec<(Value, bool)>, new: Value) {
    let is_same = |old: &Value| {
        *old == new
            || !old["value"].is_null() && old["value"] == new["value"] && equal(&old["type"], &new["type"], false)
    };
    match values.iter_mut().find(|(old, _)| is_same(old)) {
        None => values.push((new, true)),
        Some((old, written)) => {
            let kind = old.get("type").cloned();
            let parts = old.as_object_mut().unwrap();
            parts.extend(new.as_object().cloned().unwrap_or_default());
            parts.extend(kind.map(|kind| ("type".to_owned(), kind)));
            *written = true;
        }
    }
}

/// The values that match the filter; all of them without one.
fn selected(values: &mut Vec<(Value, bool)>, verb: Verb, spot: &Spot, value: Option<&Value>) -> Result<(), Refused> {
    let matches = |value: &Value| {
        spot.filter.as_ref().is_none_or(|(sub, wanted)| equal(&value[sub.name], wanted, sub.case_exact))
    };
    let template = match &spot.filter {
        None => Some(Map::new()),
        Some((sub, wanted)) if sub.name == "type" || (sub.name == "primary" && *wanted == json!(true)) => {
            Some(Map::from_iter([(sub.name.to_owned(), wanted.clone())]))
        }
        Some(_) => None,
    };
    if verb == Verb::Remove {
        for (value, _) in values.iter_mut().filter(|(value, _)| matches(value)) {
            match spot.sub {
                None => *value = json!({}),
                Some(sub) => drop(value.as_object_mut().unwrap().remove(sub.name)),
            }
        }
        values.retain(|(value, _)| *value != json!({}));
        return Ok(());
    }
    if !values.iter().any(|(value, _)| matches(value)) {
        // "If the target location is a valuePath … and no record match was made … noTarget". Ours: where the filter says
        // enough of the value, it is made, unless it is the whole value that is to be replaced.
        if verb == Verb::Replace && spot.sub.is_none() {
            return Err(Refused);
        }
        values.push((json!(template.clone().ok_or(Refused)?), true));
        return written(values.last_mut().unwrap(), verb, spot, value, template.as_ref());
    }
    let mut matching = values.iter_mut().filter(|(value, _)| matches(value));
    matching.try_for_each(|each| written(each, verb, spot, value, template.as_ref()))
}

fn written(
    (old, is_written): &mut (Value, bool),
    verb: Verb,
    spot: &Spot,
    value: Option<&Value>,
    template: Option<&Object>,
) -> Result<(), Refused> {
    let value = without_nulls(value.ok_or(Refused)?);
    *is_written = true;
    let parts = old.as_object_mut().ok_or(Refused)?;
    if let Some(sub) = spot.sub {
        parts.insert(sub.name.to_owned(), value);
        return Ok(());
    }
    // "If the target location is a valuePath … all values … SHALL be replaced": what selects it stays.
    if verb == Verb::Replace {
        *parts = template.cloned().unwrap_or_default();
    }
    parts.extend(parts_of(Some(value)));
    Ok(())
}

/// "A PATCH operation that sets a value's primary to true SHALL cause … any other values in the array to false."
fn with_one_primary(mut values: Vec<(Value, bool)>) -> Result<Vec<Value>, Refused> {
    match values.iter().filter(|(value, written)| *written && is_primary(value)).count() {
        0 => {}
        1 => {
            let others = values.iter_mut().filter(|(value, written)| !written && is_primary(value));
            others.for_each(|(value, _)| value["primary"] = json!(false));
        }
        _ => return Err(Refused),
    }
    Ok(values.into_iter().map(|(value, _)| value).collect())
}

fn is_primary(value: &Value) -> bool {
    value["primary"] == json!(true)
}

fn is_written(spot: &Spot, name: &str) -> bool {
    spot.attribute.sub_attributes.iter().any(|sub| sub.name == name && sub.mutability != Mutability::ReadOnly)
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(|values| values.iter().all(Value::is_null))
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(parts) => {
            parts.iter().filter(|(_, part)| !part.is_null()).map(|(name, part)| (name.clone(), part.clone())).collect()
        }
        value => value.clone(),
    }
}

fn parts_of(value: Option<Value>) -> Object {
    value.and_then(|value| value.as_object().cloned()).unwrap_or_default()
}

fn has(value: &Value, part: &Value) -> bool {
    part.as_object().into_iter().flatten().all(|(name, part)| equal(&value[name], part, name != "type"))
}

fn equal(left: &Value, right: &Value, case_exact: bool) -> bool {
    match (left.as_str(), right.as_str()) {
        (Some(left), Some(right)) if !case_exact => left.eq_ignore_ascii_case(right),
        _ => left == right,
    }
}
