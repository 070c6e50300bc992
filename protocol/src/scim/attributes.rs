//! A resource's attributes: a JSON object checked against its schema, with canonical names. A group's members are no
//! attribute: see [`crate::scim::members`].

mod view;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::view::UserView;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::members::MEMBERS;
use crate::scim::schema::ResourceSchema;
use crate::scim::value::{self, invalid_value};

/// Attributes with canonical names and values of their schema's types; nothing unassigned, nothing read-only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// Checks the body of a POST or PUT against the schema (RFC 7643 §2, RFC 7644 §3.3): 400 `invalidValue` names the
    /// attribute that is wrong or missing, 400 `invalidSyntax` says that the body is no object.
    ///
    /// Ignored without an error are attributes and extensions that the schema does not know (providers send their own),
    /// read-only attributes, `schemas` (its order, its case and its completeness differ between providers; what is
    /// answered is derived from the attributes), `password`, which is never kept, and a group's `members`, which
    /// [`UnparsedBody`](crate::scim::body::UnparsedBody) reads.
    pub fn parse(schema: impl Into<ResourceSchema>, body: Value) -> Result<Self, ScimError> {
        let schema = schema.into();
        let resource_type = schema.resource_type();
        let Value::Object(given) = body else {
            return Err(ScimError::bad_request(ScimType::InvalidSyntax, "the body must be a JSON object"));
        };
        let mut kept = Map::new();
        for (name, value) in given {
            if let Some(definition) = resource_type.attribute(&name) {
                if value::is_kept(definition) && definition.name != MEMBERS {
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
}
