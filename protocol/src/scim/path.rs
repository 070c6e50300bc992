//! Attribute paths (RFC 7644 §3.10), resolved against the schema: a value of this type names an attribute that exists.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{AttributeDefinition, Extensions, Kind, ResourceSchema, Schema};

/// An attribute, or a sub-attribute of it, of one kind of resource. Printed with canonical names, the extension's URN
/// in front where there is one.
///
/// Travels as its text, with the schema that it points into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PathJson", into = "PathJson")]
pub struct AttributePath {
    resource_type: ResourceType,
    extension: Option<&'static Schema>,
    attribute: &'static AttributeDefinition,
    sub_attribute: Option<&'static AttributeDefinition>,
}

/// No such attribute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The text is not an attribute path.
    #[error("this is not an attribute path")]
    Malformed,
    /// The schema has no attribute of that name.
    #[error("a {kind} has no attribute '{path}'", kind = resource_type.name())]
    Unknown {
        /// The kind of resource.
        resource_type: ResourceType,
        /// The path as it was given.
        path: String,
    },
}

/// An attribute path as it is written, before the schema is asked (RFC 7644 §3.4.2.2, `attrPath`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnresolvedPath<'a> {
    pub(crate) urn: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) sub_attribute: Option<&'a str>,
}

impl<'a> UnresolvedPath<'a> {
    /// Reads a path without spaces around it; none if it is malformed.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (urn, rest) = text.rsplit_once(':').map_or((None, text), |(urn, rest)| (Some(urn), rest));
        let (name, sub_attribute) = rest.split_once('.').map_or((rest, None), |(name, sub)| (name, Some(sub)));
        let is_urn = |urn: &str| urn.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":._-".contains(&byte));
        let is_path = urn.is_none_or(is_urn) && is_attribute_name(name) && sub_attribute.is_none_or(is_attribute_name);
        is_path.then_some(Self { urn, name, sub_attribute })
    }

    /// The path that is only a name.
    pub(crate) const fn of_name(name: &'a str) -> Self {
        Self { urn: None, name, sub_attribute: None }
    }
}

impl fmt::Display for UnresolvedPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = self.urn {
            write!(f, "{urn}:")?;
        }
        f.write_str(self.name)?;
        self.sub_attribute.map_or(Ok(()), |sub_attribute| write!(f, ".{sub_attribute}"))
    }
}

/// Whether an attribute may have that name: RFC 7644 §3.4.2.2 has `ATTRNAME`, and RFC 7643 §2.4 the name `$ref`.
pub(crate) fn is_attribute_name(name: &str) -> bool {
    let is_name_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    name.eq_ignore_ascii_case("$ref")
        || name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(is_name_char)
}

impl AttributePath {
    /// Reads a path such as `userName`, `name.givenName` or `urn:…:enterprise:2.0:User:manager.value`, in any letter
    /// case.
    pub fn parse(schema: impl Into<ResourceSchema>, text: &str) -> Result<Self, PathError> {
        let path = UnresolvedPath::parse(text.trim()).ok_or(PathError::Malformed)?;
        Self::resolve(&schema.into(), &path)
    }

    /// Looks a path up in the schema.
    pub(crate) fn resolve(schema: &ResourceSchema, path: &UnresolvedPath<'_>) -> Result<Self, PathError> {
        let resource_type = schema.resource_type();
        let unknown = || PathError::Unknown { resource_type, path: path.to_string() };
        let (extension, attribute) = match path.urn {
            None => (None, resource_type.attribute(path.name)),
            Some(urn) if urn.eq_ignore_ascii_case(resource_type.schema().id) => {
                (None, resource_type.attribute(path.name))
            }
            Some(urn) => {
                let extension = schema.extension(urn).ok_or_else(unknown)?;
                (Some(extension), extension.attribute(path.name))
            }
        };
        let attribute =
            Self { resource_type, extension, attribute: attribute.ok_or_else(unknown)?, sub_attribute: None };
        match path.sub_attribute {
            None => Ok(attribute),
            Some(name) => attribute.sub(name).ok_or_else(unknown),
        }
    }

    /// The attribute of an extension.
    pub(crate) fn of_extension(
        resource_type: ResourceType,
        extension: &'static Schema,
        attribute: &'static AttributeDefinition,
    ) -> Self {
        Self { resource_type, extension: Some(extension), attribute, sub_attribute: None }
    }

    /// The sub-attribute of that name of this path's attribute, in any letter case.
    #[must_use]
    pub fn sub(&self, name: &str) -> Option<Self> {
        let sub_attribute = self.attribute.sub_attribute(name)?;
        Some(Self { sub_attribute: Some(sub_attribute), ..self.clone() })
    }

    /// The path without its sub-attribute.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self { sub_attribute: None, ..self.clone() }
    }

    /// The kind of resource that has the attribute.
    pub const fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The extension that the attribute belongs to; none for the core schema's and the common ones.
    pub const fn extension(&self) -> Option<&'static Schema> {
        self.extension
    }

    /// The attribute.
    pub const fn attribute(&self) -> &'static AttributeDefinition {
        self.attribute
    }

    /// The sub-attribute, if the path goes that far.
    pub const fn sub_attribute(&self) -> Option<&'static AttributeDefinition> {
        self.sub_attribute
    }

    /// What a comparison with this path looks at: the last part of it, or the `value` of a complex attribute whose
    /// sub-attribute is not named (RFC 7644 §3.4.2.2). None for a complex attribute without `value`.
    pub fn compared(&self) -> Option<&'static AttributeDefinition> {
        match (self.sub_attribute, self.attribute.kind) {
            (Some(sub_attribute), _) => Some(sub_attribute),
            (None, Kind::Complex) => self.attribute.sub_attribute("value"),
            (None, _) => Some(self.attribute),
        }
    }

    /// Whether the path is a core or common attribute of that name, without a sub-attribute.
    pub fn is(&self, name: &str) -> bool {
        self.extension.is_none() && self.sub_attribute.is_none() && self.attribute.name == name
    }
}

impl fmt::Display for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(extension) = self.extension {
            write!(f, "{}:", extension.id)?;
        }
        f.write_str(self.attribute.name)?;
        match self.sub_attribute {
            Some(sub_attribute) => write!(f, ".{}", sub_attribute.name),
            None => Ok(()),
        }
    }
}

/// How a path travels.
#[derive(Serialize, Deserialize)]
struct PathJson {
    resource_type: ResourceType,
    text: String,
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    extensions: Extensions,
}

impl From<AttributePath> for PathJson {
    fn from(path: AttributePath) -> Self {
        let extensions = Extensions::holding(path.resource_type, path.extension);
        Self { resource_type: path.resource_type, text: path.to_string(), extensions }
    }
}

impl TryFrom<PathJson> for AttributePath {
    type Error = PathError;

    fn try_from(path: PathJson) -> Result<Self, PathError> {
        Self::parse(path.extensions.of(path.resource_type), &path.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        AttributePath::parse(ResourceType::User, text).map_or_else(|error| error.to_string(), |path| path.to_string())
    }

    #[test]
    fn names_become_canonical() {
        assert_eq!(canonical("USERNAME"), "userName");
        assert_eq!(canonical("Name.GIVENNAME"), "name.givenName");
        assert_eq!(canonical("urn:ietf:params:scim:schemas:core:2.0:user:title"), "title");
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value";
        assert_eq!(canonical(&manager.to_uppercase()), manager);
    }

    #[test]
    fn an_unknown_attribute_is_named() {
        assert_eq!(canonical("shoeSize"), "a User has no attribute 'shoeSize'");
        assert_eq!(canonical("userName.size"), "a User has no attribute 'userName.size'");
        assert_eq!(canonical("urn:x:y:userName"), "a User has no attribute 'urn:x:y:userName'");
        assert_eq!(canonical("a b c"), "this is not an attribute path");
    }
}
