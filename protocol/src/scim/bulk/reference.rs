//! References to what another operation of the same request creates: `bulkId:` and that operation's bulkId (RFC 7644
//! §3.7.2).

use serde_json::Value;

use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};

const PREFIX: &str = "bulkId:";

/// The bulkId that a text refers to.
pub(super) fn bulk_id(text: &str) -> Option<&str> {
    let (prefix, bulk_id) = text.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then_some(bulk_id)
}

/// The bulkIds that a body refers to, each once.
pub(super) fn referenced(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(body, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(bulk_id(text).map(str::to_owned)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(members) => members.values().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts ids in the place of references: 409 if one of them has none.
pub fn resolve(body: &mut Value, id_of: &impl Fn(&str) -> Option<ResourceId>) -> Result<(), ScimError> {
    match body {
        Value::String(text) => {
            if let Some(bulk_id) = bulk_id(text) {
                *text = id_of(bulk_id).ok_or_else(unknown)?.to_string();
            }
            Ok(())
        }
        Value::Array(values) => values.iter_mut().try_for_each(|value| resolve(value, id_of)),
        Value::Object(members) => members.values_mut().try_for_each(|value| resolve(value, id_of)),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// 409: no operation of the request has this bulkId.
pub(super) fn unknown() -> ScimError {
    conflict("it refers to a bulkId that no POST of the request has")
}

/// 409: the operation that it refers to was refused.
pub(super) fn failed() -> ScimError {
    conflict("an operation whose bulkId it refers to has failed; nothing was changed by this one")
}

fn conflict(detail: &str) -> ScimError {
    ScimError { status: 409, scim_type: Some(ScimType::InvalidValue), detail: detail.to_owned() }
}
