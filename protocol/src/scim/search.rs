//! The form of a resource's attributes by which filters and sorting compare them in SQL.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::scim::attributes::Attributes;
use crate::scim::name::CanonicalName;
use crate::scim::schema::{AttributeDefinition, Kind, ResourceSchema};

impl Attributes {
    /// The attributes, each text in the form in which it is compared: in canonical form unless `caseExact` (RFC 7643
    /// §2.2), a `dateTime` as milliseconds since the Unix epoch. SQL can fold no case as Unicode does; so it is done
    /// once, when a resource is written, and what a filter compares with is brought into the same form.
    ///
    /// What no schema knows is left out.
    pub fn search_form(&self, schema: &ResourceSchema) -> Map<String, Value> {
        let mut form = Map::new();
        for (name, value) in self.as_map() {
            if let Some(definition) = schema.resource_type().attribute(name) {
                form.insert(name.clone(), searched(definition, value));
            } else if let Some(extension) = schema.extension(name) {
                form.insert(name.clone(), parts(extension.attributes, value));
            }
        }
        form
    }
}

fn searched(definition: &AttributeDefinition, value: &Value) -> Value {
    match (value, definition.kind) {
        (Value::Array(values), _) => values.iter().map(|value| searched(definition, value)).collect(),
        (Value::Object(_), Kind::Complex) => parts(definition.sub_attributes, value),
        (Value::String(text), Kind::DateTime) => {
            DateTime::parse_from_rfc3339(text).map_or(Value::Null, |time| Value::from(time.timestamp_millis()))
        }
        (Value::String(text), _) if !definition.case_exact => Value::from(CanonicalName::of(text).as_str()),
        _ => value.clone(),
    }
}

fn parts(definitions: &'static [AttributeDefinition], value: &Value) -> Value {
    let parts = value.as_object().into_iter().flatten().filter_map(|(name, value)| {
        let definition = definitions.iter().find(|definition| definition.name == name)?;
        Some((name.clone(), searched(definition, value)))
    });
    Value::Object(parts.collect())
}
