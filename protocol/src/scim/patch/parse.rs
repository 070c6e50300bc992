//! JSON to [`PatchOp`]s: every leniency that identity providers need in a PATCH is here.

use serde_json::{Map, Value};

use super::{PATCH_SCHEMA, PatchOp, PatchPath, PatchRequest, Verb, members, mutability};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::path::AttributePath;
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{ResourceSchema, Schema};
use crate::scim::value::invalid_value;

/// The operations of a request's body.
pub(super) fn operations(schema: &ResourceSchema, body: Value) -> Result<Vec<PatchOp>, ScimError> {
    let Value::Object(mut body) = body else { return Err(invalid_syntax("the body must be a JSON object")) };
    let schemas = take(&mut body, "schemas");
    let mut schemas = schemas.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
    if !schemas.any(|schema| schema.eq_ignore_ascii_case(PATCH_SCHEMA)) {
        return Err(invalid_syntax(format!("schemas must contain {PATCH_SCHEMA}")));
    }
    let Some(Value::Array(operations)) = take(&mut body, "Operations") else {
        return Err(invalid_syntax("Operations must be a list"));
    };
    if operations.is_empty() || operations.len() > PatchRequest::MAX_OPERATIONS {
        return Err(invalid_syntax(format!("Operations must be 1 to {}", PatchRequest::MAX_OPERATIONS)));
    }
    let mut parsed = Vec::with_capacity(operations.len());
    for each in operations {
        parsed.extend(operation(schema, each)?);
    }
    Ok(parsed)
}

/// One operation: one [`PatchOp`] for each attribute that it names; none if it changes nothing that is kept.
pub(super) fn operation(schema: &ResourceSchema, operation: Value) -> Result<Vec<PatchOp>, ScimError> {
    let Value::Object(mut operation) = operation else { return Err(invalid_syntax("an operation must be an object")) };
    // Entra capitalises: "Add", "Replace", "Remove".
    let verb = match take(&mut operation, "op").as_ref().and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref()
    {
        Some("add") => Verb::Add,
        Some("replace") => Verb::Replace,
        Some("remove") => Verb::Remove,
        _ => return Err(invalid_syntax("op must be add, replace or remove")),
    };
    let value = take(&mut operation, "value");
    let path = match take(&mut operation, "path") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(path)) => path,
        Some(_) => return Err(ScimError::bad_request(ScimType::InvalidPath, "path must be a string")),
    };
    match path.trim() {
        "" => without_path(schema, verb, value),
        path if path.eq_ignore_ascii_case(schema.resource_type().schema().id) => without_path(schema, verb, value),
        path => match schema.extension(path) {
            Some(extension) => on_extension(schema.resource_type(), extension, verb, value),
            None => on_path(PatchPath::parse(schema, path)?, verb, value),
        },
    }
}

/// RFC 7644 §3.5.2.1, §3.5.2.3: without a path, the value is a set of attributes. Its names may be paths themselves
/// (Entra: `name.givenName`, `urn:…:User:department`). What the schema does not know or the server alone may write is
/// ignored: Okta repeats `id`, others `schemas` and `meta`.
fn without_path(schema: &ResourceSchema, verb: Verb, value: Option<Value>) -> Result<Vec<PatchOp>, ScimError> {
    if verb == Verb::Remove {
        return Err(ScimError::bad_request(ScimType::NoTarget, "a remove needs a path"));
    }
    let Some(Value::Object(attributes)) = value else {
        return Err(invalid_value("value", "of an operation without a path must be an object"));
    };
    let mut parsed = Vec::with_capacity(attributes.len());
    for (name, value) in attributes {
        if let Some(extension) = schema.extension(&name) {
            parsed.extend(on_extension(schema.resource_type(), extension, verb, Some(value))?);
        } else if let Ok(path) = PatchPath::parse(schema, &name)
            && path.is_kept()
        {
            parsed.extend(on_path(path, verb, Some(value))?);
        }
    }
    Ok(parsed)
}

/// An operation on a whole extension is one on each of its attributes that is named; a remove, on all of them.
fn on_extension(
    resource_type: ResourceType,
    extension: &'static Schema,
    verb: Verb,
    value: Option<Value>,
) -> Result<Vec<PatchOp>, ScimError> {
    let path = |definition| PatchPath::whole(AttributePath::of_extension(resource_type, extension, definition));
    match (verb, value) {
        (Verb::Remove, _) | (Verb::Replace, Some(Value::Null)) => {
            Ok(extension.attributes.iter().map(|definition| PatchOp::Remove { path: path(definition) }).collect())
        }
        (Verb::Add | Verb::Replace, Some(Value::Object(attributes))) => {
            let mut parsed = Vec::with_capacity(attributes.len());
            for (name, value) in attributes {
                if let Some(definition) = extension.attribute(&name) {
                    parsed.extend(on_path(path(definition), verb, Some(value))?);
                }
            }
            Ok(parsed)
        }
        (Verb::Add, Some(Value::Null)) => Ok(Vec::new()),
        (Verb::Add | Verb::Replace, _) => Err(invalid_value(extension.id, "must be an object")),
    }
}

fn on_path(path: PatchPath, verb: Verb, value: Option<Value>) -> Result<Vec<PatchOp>, ScimError> {
    if path.is_read_only() {
        return Err(mutability(format!("{} is read-only", path.attribute())));
    }
    if !path.is_kept() {
        return Ok(Vec::new());
    }
    if path.attribute().resource_type() == ResourceType::Group && path.attribute().parent().is("members") {
        return members::operation(&path, verb, value);
    }
    match (verb, value) {
        (Verb::Remove, Some(value)) if path.is_list() && !value.is_null() => remove_values(path, value),
        (Verb::Remove, _) => remove(path).map(|operation| vec![operation]),
        (Verb::Add | Verb::Replace, None) => Err(invalid_value(&path.attribute().to_string(), "needs a value")),
        (Verb::Add, Some(value)) => {
            Ok(path.check(value)?.map(|value| PatchOp::Add { path, value }).into_iter().collect())
        }
        // RFC 7643 §2.5: null and the empty list are "unassigned", so replacing by them removes.
        (Verb::Replace, Some(value)) if is_unassigned(&value) => remove(path).map(|operation| vec![operation]),
        (Verb::Replace, Some(value)) => {
            let mut parsed = unassigned_parts(&path, &value);
            parsed.extend(path.check(value)?.map(|value| PatchOp::Replace { path, value }));
            Ok(parsed)
        }
    }
}

/// Parts of a complex value that are null: what is not named stays, so these have to be removed one by one.
fn unassigned_parts(path: &PatchPath, value: &Value) -> Vec<PatchOp> {
    let named = value.as_object().filter(|_| path.is_complex()).into_iter().flatten();
    let unassigned = named.filter(|(_, part)| is_unassigned(part)).filter_map(|(name, _)| path.part(name));
    unassigned.filter(PatchPath::is_kept).map(|path| PatchOp::Remove { path }).collect()
}

fn remove(path: PatchPath) -> Result<PatchOp, ScimError> {
    let definition = path.attribute().attribute();
    if definition.required && !definition.defaulted {
        return Err(mutability(format!("{} is required and cannot be removed", path.attribute())));
    }
    Ok(PatchOp::Remove { path })
}

/// RFC 7644 §3.5.2.2 knows no value here and would remove all of them; who sends one means those in it, as with members.
fn remove_values(path: PatchPath, value: Value) -> Result<Vec<PatchOp>, ScimError> {
    let Some(Value::Array(values)) = path.check(value)? else { return Ok(Vec::new()) };
    Ok(vec![PatchOp::RemoveValues { path, values }])
}

fn is_unassigned(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.iter().all(is_unassigned),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Takes a member of an object by its name in any letter case (RFC 7643 §2.1).
fn take(object: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = object.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    object.remove(&key)
}

fn invalid_syntax(detail: impl Into<String>) -> ScimError {
    ScimError::bad_request(ScimType::InvalidSyntax, detail)
}
