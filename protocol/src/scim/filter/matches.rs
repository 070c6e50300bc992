//! [`Filter`] against JSON in memory, following `caseExact` (RFC 7644 §3.4.2.2): what SQL has to agree with.

use std::cmp::Ordering;

use chrono::DateTime;
use serde_json::Value;

use super::{CompareOp, Filter, FilterValue};
use crate::scim::name::CanonicalName;
use crate::scim::path::AttributePath;
use crate::scim::schema::AttributeDefinition;

impl Filter {
    /// Whether a resource matches, as it is rendered: with `id`, `meta`, `schemas` and every attribute that is compared.
    pub fn matches(&self, resource: &Value) -> bool {
        evaluate(self, Subject::Resource(resource))
    }
}

/// Whether one value of a complex attribute meets the filter in the brackets of its value path.
pub(crate) fn matches_value(filter: &Filter, value: &Value) -> bool {
    evaluate(filter, Subject::Value(value))
}

/// What paths start from.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Resource(&'a Value),
    /// One value of the complex attribute around the brackets.
    Value(&'a Value),
}

fn evaluate(filter: &Filter, subject: Subject<'_>) -> bool {
    match filter {
        Filter::And(filters) => filters.iter().all(|filter| evaluate(filter, subject)),
        Filter::Or(filters) => filters.iter().any(|filter| evaluate(filter, subject)),
        Filter::Not(filter) => !evaluate(filter, subject),
        Filter::Present(path) => subject.values(path).iter().any(|value| value.as_str() != Some("")),
        Filter::Compare { path, op, value } => compare(subject, path, *op, value),
        Filter::ValuePath { attribute, filter } => {
            subject.values(attribute).into_iter().any(|value| matches_value(filter, value))
        }
    }
}

fn compare(subject: Subject<'_>, path: &AttributePath, op: CompareOp, wanted: &FilterValue) -> bool {
    let Some(definition) = path.compared() else { return false };
    let values = subject.values(path);
    let mut values =
        values.into_iter().filter_map(|value| if value.is_object() { value.get("value") } else { Some(value) });
    match (op, wanted) {
        (CompareOp::Eq, FilterValue::Null) => values.next().is_none(),
        (CompareOp::Ne, FilterValue::Null) => values.next().is_some(),
        (CompareOp::Ne, _) => !values.any(|value| holds(definition, value, CompareOp::Eq, wanted)),
        _ => values.any(|value| holds(definition, value, op, wanted)),
    }
}

fn holds(definition: &AttributeDefinition, value: &Value, op: CompareOp, wanted: &FilterValue) -> bool {
    match (value, wanted) {
        (Value::Bool(value), FilterValue::Boolean(wanted)) => ordered(op, value.cmp(wanted)),
        (Value::Number(value), FilterValue::Number(wanted)) => {
            value.as_f64().partial_cmp(&wanted.as_f64()).is_some_and(|ordering| ordered(op, ordering))
        }
        (Value::String(value), FilterValue::Time(wanted)) => DateTime::parse_from_rfc3339(value)
            .is_ok_and(|value| ordered(op, value.timestamp_millis().cmp(&wanted.as_millis()))),
        (Value::String(value), FilterValue::String(wanted)) if definition.case_exact => text_holds(op, value, wanted),
        (Value::String(value), FilterValue::String(wanted)) => {
            text_holds(op, CanonicalName::of(value).as_str(), CanonicalName::of(wanted).as_str())
        }
        _ => false,
    }
}

fn text_holds(op: CompareOp, value: &str, wanted: &str) -> bool {
    match op {
        CompareOp::Co => value.contains(wanted),
        CompareOp::Sw => value.starts_with(wanted),
        CompareOp::Ew => value.ends_with(wanted),
        _ => ordered(op, value.cmp(wanted)),
    }
}

const fn ordered(op: CompareOp, ordering: Ordering) -> bool {
    match op {
        CompareOp::Eq => ordering.is_eq(),
        CompareOp::Ne => ordering.is_ne(),
        CompareOp::Gt => ordering.is_gt(),
        CompareOp::Ge => ordering.is_ge(),
        CompareOp::Lt => ordering.is_lt(),
        CompareOp::Le => ordering.is_le(),
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => false,
    }
}

impl<'a> Subject<'a> {
    /// The values at a path, those of a multi-valued attribute one by one.
    fn values(self, path: &AttributePath) -> Vec<&'a Value> {
        let parents = match self {
            Self::Value(value) => vec![value],
            Self::Resource(resource) => {
                let container = match path.extension() {
                    Some(extension) => resource.get(extension.id),
                    None => Some(resource),
                };
                each(container.and_then(|container| container.get(path.attribute().name))).collect()
            }
        };
        match path.sub_attribute() {
            Some(sub_attribute) => parents.into_iter().flat_map(|value| each(value.get(sub_attribute.name))).collect(),
            None => parents,
        }
    }
}

/// The values of a list, or the one value.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.map(|value| value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice)).into_iter().flatten()
}
