//! The schemas that a workspace's resources follow: the built-in ones and, where an operator has added some, its own.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::text::{AttributeJson, SchemaJson};
use super::{AttributeDefinition, Kind, Mutability, Schema, Uniqueness};
use crate::scim::resource_type::ResourceType;

/// A workspace's own extension schemas; none at first. Cheap to clone. Travels with every command, so that what was
/// accepted under a schema is applied under it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<ExtensionJson>", into = "Vec<ExtensionJson>")]
pub struct Extensions(Arc<[Extension]>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Extension {
    resource_type: ResourceType,
    schema: &'static Schema,
}

/// An extension as JSON: for which kind of resource, and the schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionJson {
    /// The kind of resource that may follow it.
    pub resource_type: ResourceType,
    /// The schema.
    pub schema: SchemaJson,
}

/// A kind of resource with every schema that one of the kind may follow.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceSchema {
    resource_type: ResourceType,
    extensions: Extensions,
}

impl From<ResourceType> for ResourceSchema {
    /// With the built-in schemas alone.
    fn from(resource_type: ResourceType) -> Self {
        Self { resource_type, extensions: Extensions::default() }
    }
}

impl Extensions {
    /// The most extensions of one workspace.
    pub const MAX_SCHEMAS: usize = 16;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A kind of resource with these extensions.
    pub fn of(&self, resource_type: ResourceType) -> ResourceSchema {
        ResourceSchema { resource_type, extensions: self.clone() }
    }

    /// These and those of `schemas` that are not built in, each once.
    pub(crate) fn holding(resource_type: ResourceType, schemas: impl IntoIterator<Item = &'static Schema>) -> Self {
        let mut held: Vec<Extension> = Vec::new();
        for schema in schemas {
            let extension = Extension { resource_type, schema };
            if !resource_type.built_in().contains(&schema) && !held.contains(&extension) {
                held.push(extension);
            }
        }
        Self(held.into())
    }
}

impl ResourceSchema {
    /// The kind.
    pub const fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The workspace's own extensions, of all kinds.
    pub const fn custom(&self) -> &Extensions {
        &self.extensions
    }

    /// The schemas that a resource of the kind may follow beside its core schema.
    pub fn extensions(&self) -> impl Iterator<Item = &'static Schema> + '_ {
        let own = self.extensions.0.iter().filter(|extension| extension.resource_type == self.resource_type);
        self.resource_type.built_in().iter().copied().chain(own.map(|extension| extension.schema))
    }

    /// The extension with that URN, in any letter case.
    pub fn extension(&self, urn: &str) -> Option<&'static Schema> {
        self.extensions().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }
}

impl From<Vec<ExtensionJson>> for Extensions {
    fn from(texts: Vec<ExtensionJson>) -> Self {
        let own = |text: ExtensionJson| Extension { resource_type: text.resource_type, schema: text.schema.intern() };
        Self(texts.into_iter().map(own).collect())
    }
}

impl From<Extensions> for Vec<ExtensionJson> {
    fn from(extensions: Extensions) -> Self {
        let text = |extension: &Extension| ExtensionJson {
            resource_type: extension.resource_type,
            schema: SchemaJson::from(extension.schema),
        };
        extensions.0.iter().map(text).collect()
    }
}

impl ExtensionJson {
    /// The longest name and URN, in bytes.
    const LONGEST: usize = 256;
    /// The most attributes and sub-attributes in all.
    const MAX_ATTRIBUTES: usize = 200;

    /// Checks a schema that an operator adds: says what is wrong with it, and where.
    pub fn check(&self) -> Result<(), String> {
        let urn = &self.schema.id;
        if !urn.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))
            || urn.len() > Self::LONGEST
            || !urn.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._-".contains(&byte))
        {
            return Err(format!(
                "id must be a URN of at most {} letters, digits, '.', '_', '-' and ':'",
                Self::LONGEST
            ));
        }
        let known = ResourceType::ALL.into_iter().flat_map(|kind| {
            kind.built_in().iter().copied().chain(std::iter::once(kind.schema())).map(|schema| schema.id)
        });
        if known.into_iter().any(|id| id.eq_ignore_ascii_case(urn)) {
            return Err("this schema is built in".to_owned());
        }
        let count: usize = self.schema.attributes.iter().map(|attribute| 1 + attribute.sub_attributes.len()).sum();
        if count == 0 || count > Self::MAX_ATTRIBUTES {
            return Err(format!("a schema has 1 to {} attributes", Self::MAX_ATTRIBUTES));
        }
        check_all(&self.schema.attributes, None)
    }

    /// Whether resources that follow `older` are well-formed under this one: every attribute of it is unchanged, and none
    /// that is new is required.
    pub fn continues(&self, older: &Self) -> bool {
        let kept = |attribute: &AttributeJson| self.schema.attributes.contains(attribute);
        let welcome = |attribute: &AttributeJson| !attribute.required || older.schema.attributes.contains(attribute);
        self.resource_type == older.resource_type
            && older.schema.attributes.iter().all(kept)
            && self.schema.attributes.iter().all(welcome)
    }
}

fn check_all(attributes: &[AttributeJson], parent: Option<&str>) -> Result<(), String> {
    for (index, attribute) in attributes.iter().enumerate() {
        let path = parent.map_or_else(|| attribute.name.clone(), |parent| format!("{parent}.{}", attribute.name));
        let twice = attributes.iter().take(index).any(|other| other.name.eq_ignore_ascii_case(&attribute.name));
        check_one(attribute, parent.is_some(), twice).map_err(|wrong| format!("attribute '{path}' {wrong}"))?;
        check_all(&attribute.sub_attributes, Some(&path))?;
    }
    Ok(())
}

fn check_one(attribute: &AttributeJson, is_sub: bool, twice: bool) -> Result<(), &'static str> {
    let name = attribute.name.as_bytes();
    let wrong = [
        (
            !name.first().is_some_and(u8::is_ascii_alphabetic)
                || name.len() > ExtensionJson::LONGEST
                || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')),
            "must have a name of letters, digits, '_' and '-' that begins with a letter",
        ),
        (twice, "is there twice"),
        (is_sub && attribute.kind == Kind::Complex, "is complex within a complex attribute"),
        (attribute.kind == Kind::Complex && attribute.sub_attributes.is_empty(), "is complex and has no subAttributes"),
        (
            attribute.kind != Kind::Complex && !attribute.sub_attributes.is_empty(),
            "has subAttributes and is not complex",
        ),
        (attribute.uniqueness != Uniqueness::None, "is unique: only uniqueness 'none' is supported here"),
        (
            is_sub && attribute.mutability == Mutability::Immutable,
            "is immutable: only whole attributes can be, not their parts",
        ),
        (is_sub && attribute.required, "is required: only whole attributes can be, not their parts"),
        (
            attribute.required && matches!(attribute.mutability, Mutability::ReadOnly | Mutability::WriteOnly),
            "is required, but of what clients write there nothing is kept",
        ),
    ];
    wrong.into_iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, what)| Err(what))
}

impl ResourceSchema {
    /// Every attribute of the workspace's own extensions of this kind, with the URN that it is under.
    pub(crate) fn custom_attributes(&self) -> impl Iterator<Item = (&'static str, &'static AttributeDefinition)> + '_ {
        let built_in = self.resource_type.built_in();
        let own = self.extensions().filter(|schema| !built_in.contains(schema));
        own.flat_map(|schema| schema.attributes.iter().map(move |attribute| (schema.id, attribute)))
    }
}
