//! The order of a list: `sortBy` and `sortOrder` (RFC 7644 §3.4.2.3).

use serde::{Deserialize, Serialize};

use crate::scim::error::{ScimError, ScimType};
use crate::scim::path::AttributePath;
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{Extensions, Kind};

/// By what a list is sorted. Resources without a value come last, in descending order first; equal ones by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sort {
    /// The attribute, for each kind of resource that has it. What is compared is [`AttributePath::compared`].
    pub by: Vec<AttributePath>,
    /// From the greatest to the least.
    pub descending: bool,
}

/// Which values are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Text, byte by byte; booleans, false before true.
    Text,
    /// Numbers and times.
    Number,
}

impl KeyKind {
    /// Of the values at a path.
    pub fn of(path: &AttributePath) -> Self {
        match path.compared().map(|definition| definition.kind) {
            Some(Kind::Integer | Kind::Decimal | Kind::DateTime) => Self::Number,
            Some(Kind::String | Kind::Boolean | Kind::Binary | Kind::Reference | Kind::Complex) | None => Self::Text,
        }
    }
}

impl Sort {
    /// Reads both parameters, for a list of these kinds: 400 `invalidPath` for an attribute that none of them has or
    /// that cannot be ordered, 400 `invalidValue` for an unknown order.
    pub fn parse(
        extensions: &Extensions,
        kinds: &[ResourceType],
        sort_by: &str,
        sort_order: Option<&str>,
    ) -> Result<Self, ScimError> {
        let descending = match sort_order {
            None => false,
            Some(order) if order.eq_ignore_ascii_case("ascending") => false,
            Some(order) if order.eq_ignore_ascii_case("descending") => true,
            Some(_) => return Err(invalid(ScimType::InvalidValue, "sortOrder must be ascending or descending")),
        };
        let paths = kinds.iter().filter_map(|kind| AttributePath::parse(extensions.of(*kind), sort_by).ok());
        let by: Vec<_> = paths.filter(|path| path.compared().is_some()).collect();
        if by.is_empty() {
            return Err(invalid(ScimType::InvalidPath, "sortBy must be an attribute that has an order"));
        }
        Ok(Self { by, descending })
    }

    /// What is compared: where kinds of resource differ in it, as the first one does. The others are without a value.
    pub fn key_kind(&self) -> KeyKind {
        self.by.first().map_or(KeyKind::Text, KeyKind::of)
    }

    /// The attribute of that kind of resource; none if the kind has none such, so that all its resources are unassigned.
    pub fn of(&self, resource_type: ResourceType) -> Option<&AttributePath> {
        self.by.iter().find(|path| path.resource_type() == resource_type)
    }
}

fn invalid(scim_type: ScimType, detail: &str) -> ScimError {
    ScimError::bad_request(scim_type, detail)
}
