//! The target of an operation: an attribute, or those values of it that match a filter (RFC 7644 §3.5.2).

use std::fmt;

use serde_json::Value;

use crate::scim::error::{ScimError, ScimType};
use crate::scim::filter::{Bracketed, Filter, parse_path, resolve_value_filter};
use crate::scim::path::AttributePath;
use crate::scim::schema::{Kind, Mutability, ResourceSchema};
use crate::scim::value;

/// A PATCH path: `attribute`, `attribute.sub`, `attribute[filter]` or `attribute[filter].sub`, with an extension's URN
/// in front where there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    attribute: AttributePath,
    filter: Option<Filter>,
}

impl PatchPath {
    /// Reads a path: 400 `invalidPath`, or `invalidFilter` if the schema refuses what stands in the brackets.
    pub fn parse(schema: &ResourceSchema, text: &str) -> Result<Self, ScimError> {
        if text.len() > Filter::MAX_LENGTH {
            return Err(invalid_path(format!("the path is longer than {} bytes", Filter::MAX_LENGTH)));
        }
        let written = parse_path(text).map_err(|error| invalid_path(error.to_string()))?;
        let attribute =
            AttributePath::resolve(schema, &written.path).map_err(|error| invalid_path(error.to_string()))?;
        let filter = written.filter.map(|filter| resolve_value_filter(schema, &attribute, &filter)).transpose()?;
        let Some(name) = written.sub_attribute else { return Ok(Self { attribute, filter }) };
        let unknown = || invalid_path(format!("{attribute} has no sub-attribute '{name}'"));
        Ok(Self { attribute: attribute.sub(name).ok_or_else(unknown)?, filter })
    }

    pub(super) const fn whole(attribute: AttributePath) -> Self {
        Self { attribute, filter: None }
    }

    /// The attribute, with the sub-attribute that the path ends in.
    pub const fn attribute(&self) -> &AttributePath {
        &self.attribute
    }

    /// Which values of the attribute are meant; all without it.
    pub const fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// Whether it names all values of a multi-valued attribute.
    pub(super) fn is_list(&self) -> bool {
        self.filter.is_none() && self.attribute.sub_attribute().is_none() && self.attribute.attribute().multi_valued
    }

    /// Whether it names the whole of a single complex value.
    pub(super) fn is_complex(&self) -> bool {
        self.attribute.sub_attribute().is_none()
            && !self.attribute.attribute().multi_valued
            && self.attribute.attribute().kind == Kind::Complex
    }

    /// The same attribute's part of that name.
    pub(super) fn part(&self, name: &str) -> Option<Self> {
        Some(Self { attribute: self.attribute.sub(name)?, filter: self.filter.clone() })
    }

    /// Whether a client may write here.
    pub(super) fn is_read_only(&self) -> bool {
        let parts = [Some(self.attribute.attribute()), self.attribute.sub_attribute()];
        parts.into_iter().flatten().any(|definition| definition.mutability == Mutability::ReadOnly)
    }

    /// Whether what is written here is kept.
    pub(super) fn is_kept(&self) -> bool {
        let parts = [Some(self.attribute.attribute()), self.attribute.sub_attribute()];
        parts.into_iter().flatten().all(value::is_kept)
    }

    /// The value with canonical names and types; none if nothing of it is known and writable.
    pub(super) fn check(&self, value: Value) -> Result<Option<Value>, ScimError> {
        let name = self.attribute.to_string();
        let attribute = self.attribute.attribute();
        match (self.attribute.sub_attribute(), &self.filter) {
            (Some(sub_attribute), _) => value::checked(sub_attribute, value, &name),
            (None, Some(_)) => value::single(attribute, value::only_element(value), &name),
            (None, None) => value::checked(attribute, value, &name),
        }
    }
}

impl fmt::Display for PatchPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(filter) = &self.filter else { return write!(f, "{}", self.attribute) };
        write!(f, "{}[{}]", self.attribute.parent(), Bracketed(filter))?;
        match self.attribute.sub_attribute() {
            Some(sub_attribute) => write!(f, ".{}", sub_attribute.name),
            None => Ok(()),
        }
    }
}

fn invalid_path(detail: impl Into<String>) -> ScimError {
    ScimError::bad_request(ScimType::InvalidPath, detail)
}
