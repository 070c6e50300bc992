//! One value checked against its definition: the same check for bodies, PATCH operations and messages from the log.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::scim::error::{ScimError, ScimType};
use crate::scim::schema::{AttributeDefinition, Kind, Mutability};

/// The most values of one multi-valued attribute. A group's members are none: they are rows, as many as there are.
const MAX_VALUES: usize = 1000;

/// The value with canonical names and types, or none if it is unassigned: `null`, `[]` and `{}` are one state (RFC 7643
/// §2.5). `path` is how errors name the attribute; they never quote the value.
pub(crate) fn checked(definition: &AttributeDefinition, value: Value, path: &str) -> Result<Option<Value>, ScimError> {
    if !definition.multi_valued {
        return single(definition, only_element(value), path);
    }
    // OneLogin sends one value of a multi-valued attribute without its list.
    let values = if let Value::Array(values) = value { values } else { vec![value] };
    let mut kept = Vec::with_capacity(values.len());
    for value in values {
        kept.extend(single(definition, value, path)?);
    }
    if primaries(&kept) > 1 {
        return Err(invalid_value(path, "has more than one primary value"));
    }
    check_count(&kept, path)?;
    Ok(if kept.is_empty() { None } else { Some(Value::Array(kept)) })
}

/// Where one value is expected, a list of one is that one, and an empty list none: Entra's samples have `manager` in one.
pub(crate) fn only_element(value: Value) -> Value {
    match value {
        Value::Array(mut values) if values.len() <= 1 => values.pop().unwrap_or_default(),
        value => value,
    }
}

/// Bounds what one PATCH can make a worker compare.
pub(crate) fn check_count(values: &[Value], path: &str) -> Result<(), ScimError> {
    if values.len() > MAX_VALUES {
        return Err(invalid_value(path, &format!("has more than {MAX_VALUES} values")));
    }
    Ok(())
}

/// One value, also of a multi-valued attribute.
pub(crate) fn single(definition: &AttributeDefinition, value: Value, path: &str) -> Result<Option<Value>, ScimError> {
    if value.is_null() {
        return Ok(None);
    }
    let value = match (definition.kind, value) {
        (Kind::Complex, value) => return complex(definition.sub_attributes, value, path),
        (Kind::Boolean, value) => Value::Bool(boolean(&value).ok_or_else(|| invalid_value(path, "must be a boolean"))?),
        (Kind::String | Kind::Reference, Value::String(text)) => Value::String(text),
        (Kind::Binary, Value::String(text)) if text.bytes().all(is_base64) => Value::String(text),
        (Kind::DateTime, Value::String(text)) if DateTime::parse_from_rfc3339(&text).is_ok() => Value::String(text),
        (Kind::Integer, Value::Number(number)) if number.is_i64() => Value::Number(number),
        (Kind::Decimal, Value::Number(number)) => Value::Number(number),
        (kind, _) => return Err(invalid_value(path, expectation(kind))),
    };
    // PostgreSQL stores no NUL in text or JSON. Lone surrogates cannot get here: a Rust string is Unicode.
    if value.as_str().is_some_and(|text| text.contains('\0')) {
        return Err(invalid_value(path, "must not contain the character U+0000"));
    }
    Ok(Some(value))
}

/// An object whose members are attributes of `definitions`. Unknown members are ignored, read-only ones, too (RFC 7644
/// §3.3), and `password` is never kept.
pub(crate) fn complex(
    definitions: &'static [AttributeDefinition],
    value: Value,
    path: &str,
) -> Result<Option<Value>, ScimError> {
    let members = match value {
        Value::Object(members) => members,
        // Entra sends the bare id as `manager`, and bare ids as `members`: its `value` is meant.
        Value::String(text) if definitions.iter().any(|definition| definition.name == "value") => {
            Map::from_iter([("value".to_owned(), Value::String(text))])
        }
        _ => return Err(invalid_value(path, expectation(Kind::Complex))),
    };
    let mut kept = Map::new();
    for (name, value) in members {
        let Some(definition) = definitions.iter().find(|definition| definition.name.eq_ignore_ascii_case(&name)) else {
            continue;
        };
        if is_kept(definition) {
            insert(&mut kept, definition, value, &format!("{path}.{}", definition.name))?;
        }
    }
    Ok(if kept.is_empty() { None } else { Some(Value::Object(kept)) })
}

/// Checks a value and adds it under its canonical name, unless it is unassigned.
pub(crate) fn insert(
    object: &mut Map<String, Value>,
    definition: &AttributeDefinition,
    value: Value,
    path: &str,
) -> Result<(), ScimError> {
    let Some(value) = checked(definition, value, path)? else { return Ok(()) };
    match object.insert(definition.name.to_owned(), value) {
        None => Ok(()),
        // Which of two spellings is meant cannot be known.
        Some(_) => Err(invalid_value(path, "is given twice, in different letter case")),
    }
}

/// Whether clients may write the attribute and the server keeps what they wrote: not so for read-only attributes and
/// for the password, which rosterd never stores.
pub(crate) fn is_kept(definition: &AttributeDefinition) -> bool {
    match definition.mutability {
        Mutability::ReadWrite | Mutability::Immutable => true,
        Mutability::ReadOnly | Mutability::WriteOnly => false,
    }
}

/// A boolean, also as text in any letter case: Entra sends `"True"` and `"False"`.
pub(crate) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// How many of the values say that they are the primary one: at most one may (RFC 7643 §2.4).
pub(crate) fn primaries(values: &[Value]) -> usize {
    values.iter().filter(|value| is_primary(value)).count()
}

pub(crate) fn is_primary(value: &Value) -> bool {
    value.get("primary") == Some(&Value::Bool(true))
}

/// 400 `invalidValue`, naming the attribute.
pub(crate) fn invalid_value(path: &str, what: &str) -> ScimError {
    ScimError::bad_request(ScimType::InvalidValue, format!("{path} {what}"))
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'\r' | b'\n')
}

const fn expectation(kind: Kind) -> &'static str {
    match kind {
        Kind::String => "must be a string",
        Kind::Boolean => "must be a boolean",
        Kind::Decimal => "must be a number",
        Kind::Integer => "must be a whole number",
        Kind::DateTime => "must be a point in time such as 2026-01-31T08:00:00Z",
        Kind::Binary => "must be base64 text",
        Kind::Reference => "must be a URI",
        Kind::Complex => "must be an object",
    }
}
