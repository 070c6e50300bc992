//! Schemas as JSON (RFC 7643 §7): what `/Schemas` shows, what an operator's file holds, and how a custom schema travels.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{AttributeDefinition, Kind, Mutability, Returned, Schema, Uniqueness};

/// A schema as JSON. What is left out has the default of RFC 7643 §2.2; what is not known is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaJson {
    /// The URN.
    pub id: String,
    /// The name for people.
    #[serde(default)]
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Its attributes.
    pub attributes: Vec<AttributeJson>,
}

/// An attribute's definition as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributeJson {
    /// The name.
    pub name: String,
    /// The type of a single value.
    #[serde(rename = "type", default)]
    pub kind: Kind,
    /// Whether it holds a list of values.
    #[serde(default)]
    pub multi_valued: bool,
    /// What it is, for people.
    #[serde(default)]
    pub description: String,
    /// Whether a resource cannot be without it.
    #[serde(default)]
    pub required: bool,
    /// Whether values that differ in letter case differ.
    #[serde(default)]
    pub case_exact: bool,
    /// Who may write it, and when.
    #[serde(default)]
    pub mutability: Mutability,
    /// When it is part of an answer.
    #[serde(default)]
    pub returned: Returned,
    /// Among which resources a value may occur only once.
    #[serde(default)]
    pub uniqueness: Uniqueness,
    /// Values that are suggested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// What a reference may point to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// The parts of a complex value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub_attributes: Vec<Self>,
}

impl From<&Schema> for SchemaJson {
    fn from(schema: &Schema) -> Self {
        Self {
            id: schema.id.to_owned(),
            name: schema.name.to_owned(),
            description: schema.description.to_owned(),
            attributes: schema.attributes.iter().map(AttributeJson::from).collect(),
        }
    }
}

impl From<&AttributeDefinition> for AttributeJson {
    fn from(definition: &AttributeDefinition) -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            name: definition.name.to_owned(),
            kind: definition.kind,
            multi_valued: definition.multi_valued,
            description: definition.description.to_owned(),
            required: definition.required,
            case_exact: definition.case_exact,
            mutability: definition.mutability,
            returned: definition.returned,
            uniqueness: definition.uniqueness,
            canonical_values: words(definition.canonical_values),
            reference_types: words(definition.reference_types),
            sub_attributes: definition.sub_attributes.iter().map(Self::from).collect(),
        }
    }
}

/// The one schema in memory for each text. Schemas come from operators, few and small, and are needed until the end; so
/// they live as long as the process, like the built-in ones, and every path can point into them.
static INTERNED: Mutex<Option<HashMap<SchemaJson, &'static Schema>>> = Mutex::new(None);

impl SchemaJson {
    /// The schema that the text stands for.
    pub(super) fn intern(self) -> &'static Schema {
        let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
        let interned = interned.get_or_insert_default();
        if let Some(schema) = interned.get(&self) {
            return schema;
        }
        let schema: &'static Schema = Box::leak(Box::new(Schema {
            id: leaked(&self.id),
            name: leaked(&self.name),
            description: leaked(&self.description),
            attributes: definitions(&self.attributes),
        }));
        interned.insert(self, schema);
        schema
    }
}

fn definitions(texts: &[AttributeJson]) -> &'static [AttributeDefinition] {
    texts.iter().map(definition).collect::<Vec<_>>().leak()
}

fn definition(text: &AttributeJson) -> AttributeDefinition {
    AttributeDefinition {
        name: leaked(&text.name),
        description: leaked(&text.description),
        kind: text.kind,
        multi_valued: text.multi_valued,
        required: text.required,
        defaulted: false,
        case_exact: text.case_exact,
        mutability: text.mutability,
        returned: text.returned,
        uniqueness: text.uniqueness,
        sub_attributes: definitions(&text.sub_attributes),
        canonical_values: words(&text.canonical_values),
        reference_types: words(&text.reference_types),
    }
}

fn words(texts: &[String]) -> &'static [&'static str] {
    texts.iter().map(|text| leaked(text)).collect::<Vec<_>>().leak()
}

fn leaked(text: &str) -> &'static str {
    text.to_owned().leak()
}
