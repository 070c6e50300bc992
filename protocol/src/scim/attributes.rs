//! A resource's attributes: a JSON object checked against its schema, with canonical names.

mod bare;
mod view;

use serde_json::{Map, Value};

pub use self::bare::read_body;
pub use self::view::{GroupView, UserView};
use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::schema::{AttributeDefinition, ResourceSchema};
use crate::scim::value::{self, invalid_value};

/// Attributes with canonical names and values of their schema's types; nothing unassigned, nothing read-only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// Checks the body of a POST or PUT against the schema (RFC 7643 §2, RFC 7644 §3.3): 400 `invalidValue` names the
    /// attribute that is wrong or missing, 400 `invalidSyntax` says that the body is no object.
    ///
    /// Ignored without an error are attributes and extensions that the schema does not know (providers send their own),
    /// read-only attributes, `schemas` (its order, its case and its completeness differ between providers; what is
    /// answered is derived from the attributes), and `password`, which is never kept.
    pub fn parse(schema: impl Into<ResourceSchema>, body: Value) -> Result<Self, ScimError> {
        let schema = schema.into();
        let resource_type = schema.resource_type();
        let Value::Object(members) = body else {
            return Err(ScimError::bad_request(ScimType::InvalidSyntax, "the body must be a JSON object"));
        };
        let mut kept = Map::new();
        for (name, value) in members {
            if let Some(definition) = resource_type.attribute(&name) {
                if definition.name == "members" {
                    check_named(&value)?;
                    let members = checked_members(definition, value)?;
                    if members.is_some_and(|members| kept.insert(definition.name.to_owned(), members).is_some()) {
                        return Err(invalid_value(definition.name, "is given twice, in different letter case"));
                    }
                } else if value::is_kept(definition) {
                    value::insert(&mut kept, definition, value, definition.name)?;
                }
            } else if let Some(extension) = schema.extension(&name)
                && !value.is_null()
                && let Some(value) = value::complex(extension.attributes, value, extension.id)?
                && kept.insert(extension.id.to_owned(), value).is_some()
            {
                return Err(invalid_value(extension.id, "is given twice, in different letter case"));
            }
        }
        let attributes = Self(kept);
        attributes.check_required(&schema)?;
        attributes.check_members()?;
        Ok(attributes)
    }

    /// Trusts what was stored.
    pub fn from_stored(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// As a user's.
    pub fn user(&self) -> UserView<'_> {
        UserView(self)
    }

    /// As a group's.
    pub fn group(&self) -> GroupView<'_> {
        GroupView(self)
    }

    /// The object itself.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// The object itself.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// A simple string attribute of the core schema.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// A simple boolean attribute of the core schema.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// Sets a value that the server itself knows.
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// Takes an attribute out.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// A copy that leaves one attribute out.
    pub(crate) fn without(&self, left_out: &str) -> Self {
        let kept = self.0.iter().filter(|(name, _)| *name != left_out);
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The ids in `members`.
    pub(crate) fn member_ids(&self) -> impl Iterator<Item = ResourceId> + '_ {
        self.members().filter_map(member_id)
    }

    /// 400 `invalidValue` unless every required attribute has a value that is not blank: those of the core schema, and
    /// those of the workspace's own extensions that the resource follows.
    pub(crate) fn check_required(&self, schema: &ResourceSchema) -> Result<(), ScimError> {
        let core = schema.resource_type().schema().attributes;
        let blank = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.trim().is_empty(),
            Some(_) => false,
            None => true,
        };
        let missing = core
            .iter()
            .find(|definition| definition.required && !definition.defaulted && blank(self.0.get(definition.name)));
        if let Some(missing) = missing {
            return Err(invalid_value(missing.name, "is required and must not be empty"));
        }
        let missing = schema.custom_attributes().find(|(urn, definition)| {
            definition.required && self.0.get(*urn).is_some_and(|extension| blank(extension.get(definition.name)))
        });
        match missing {
            Some((urn, definition)) => {
                Err(invalid_value(&format!("{urn}:{}", definition.name), "is required and must not be empty"))
            }
            None => Ok(()),
        }
    }

    fn check_members(&self) -> Result<(), ScimError> {
        if self.members().all(|member| member_id(member).is_some()) { Ok(()) } else { Err(invalid_member()) }
    }

    fn members(&self) -> impl Iterator<Item = &Value> + '_ {
        self.0.get("members").and_then(Value::as_array).into_iter().flatten()
    }
}

/// The members, of each of whom only the id counts.
fn checked_members(definition: &AttributeDefinition, value: Value) -> Result<Option<Value>, ScimError> {
    let elements = if let Value::Array(elements) = value { elements } else { vec![value] };
    let checked = elements.into_iter().filter_map(|one| value::single(definition, one, definition.name).transpose());
    let members: Vec<Value> = checked.map(|member| member.map(bare::of)).collect::<Result<_, _>>()?;
    Ok(if members.is_empty() { None } else { Some(Value::Array(members)) })
}

/// 400 unless every element of `members` has an id: no element is left out in silence.
pub(crate) fn check_named(members: &Value) -> Result<(), ScimError> {
    let elements = members.as_array().map_or_else(|| std::slice::from_ref(members), Vec::as_slice);
    let nameless = |member: &Value| {
        member.as_object().is_some_and(|parts| !parts.keys().any(|name| name.eq_ignore_ascii_case("value")))
    };
    if elements.iter().any(nameless) { Err(invalid_member()) } else { Ok(()) }
}

/// The id in one element of `members`.
pub(crate) fn member_id(member: &Value) -> Option<ResourceId> {
    member.as_str().or_else(|| member.get("value")?.as_str())?.parse().ok()
}

pub(crate) fn invalid_member() -> ScimError {
    invalid_value("members.value", "must be the id of a user or group, a UUID")
}
