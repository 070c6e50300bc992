//! A resource's attributes: a JSON object checked against its schema, with canonical names.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::ResourceId;
use crate::scim::error::ScimError;
use crate::scim::resource::ResourceType;

/// Attributes with canonical names and values of their schema's types; nothing unassigned, nothing read-only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(Map<String, Value>);

impl Attributes {
    /// Checks a request's body against the schema.
    pub fn parse(_resource_type: ResourceType, _body: Value) -> Result<Self, ScimError> {
        Err(ScimError::not_found())
    }
    /// Trusts what was stored.
    pub fn from_stored(map: Map<String, Value>) -> Self {
        Self(map)
    }
    /// The object itself.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
    /// The object itself.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }
    /// A simple string attribute.
    pub fn string(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
    /// A simple boolean attribute.
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
    /// The ids in `members`.
    pub fn member_ids(&self) -> impl Iterator<Item = ResourceId> + '_ {
        std::iter::empty()
    }
}
