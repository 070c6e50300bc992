//! Filters (RFC 7644 §3.4.2.2): resolved once against the schema, then seen by everybody as this small tree.

mod any_type;
mod lexer;
mod matches;
mod parse;
mod resolve;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use matches::matches_value;
pub(crate) use parse::parse_path;
pub(crate) use resolve::resolve_value_filter;

use crate::scim::error::ScimError;
use crate::scim::path::AttributePath;
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{Extensions, ResourceSchema, Schema};
use crate::time::Timestamp;

/// A filter whose attributes exist and whose values have their types. Travels as its text, with the kind of resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "FilterJson", into = "FilterJson")]
pub enum Filter {
    /// All of them hold. At least two.
    And(Vec<Self>),
    /// At least one of them holds. At least two.
    Or(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The attribute has a value (`pr`).
    Present(AttributePath),
    /// The attribute's value, or one of its values, compares so. What is compared is [`AttributePath::compared`].
    Compare {
        /// The attribute.
        path: AttributePath,
        /// How.
        op: CompareOp,
        /// With what.
        value: FilterValue,
    },
    /// One and the same value of the complex attribute meets the inner filter, whose paths are sub-attributes of it.
    ValuePath {
        /// The attribute.
        attribute: AttributePath,
        /// What one of its values must meet.
        filter: Box<Self>,
    },
}

/// One kind of resource in a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TypeFilter {
    /// The kind.
    pub resource_type: ResourceType,
    /// Only those that match; all without it.
    pub filter: Option<Filter>,
}

/// How two values are compared (RFC 7644 §3.4.2.2, table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal: no value of the attribute is equal, so it also holds where there is none.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

/// The right side of a comparison, of the attribute's type.
#[derive(Debug, Clone, PartialEq)]
pub enum FilterValue {
    /// No value; only with `eq` and `ne`.
    Null,
    /// Of a boolean attribute.
    Boolean(bool),
    /// Of a number.
    Number(serde_json::Number),
    /// Of a `dateTime`.
    Time(Timestamp),
    /// Of every other kind.
    String(String),
}

impl Filter {
    /// The longest filter that is read, in bytes.
    pub const MAX_LENGTH: usize = 4096;
    /// The deepest nesting.
    pub const MAX_DEPTH: usize = 32;
    /// The most comparisons.
    pub const MAX_TERMS: usize = 128;

    /// Reads a filter over resources of one kind: 400 `invalidFilter` says what is wrong and where.
    pub fn parse(schema: impl Into<ResourceSchema>, text: &str) -> Result<Self, ScimError> {
        resolve::parse(&schema.into(), text)
    }

    /// Attribute and value, if the filter is one comparison by `eq`.
    pub const fn as_equality(&self) -> Option<(&AttributePath, &FilterValue)> {
        match self {
            Self::Compare { path, op: CompareOp::Eq, value } => Some((path, value)),
            _ => None,
        }
    }

    /// The kind of resource that is filtered.
    pub fn resource_type(&self) -> ResourceType {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.first().map_or(ResourceType::User, Self::resource_type),
            Self::Not(filter) => filter.resource_type(),
            Self::Present(path) | Self::Compare { path, .. } | Self::ValuePath { attribute: path, .. } => {
                path.resource_type()
            }
        }
    }

    /// Adds the extensions that the filter's paths belong to. Paths within brackets belong to that of the brackets.
    fn collect_extensions(&self, schemas: &mut Vec<&'static Schema>) {
        match self {
            Self::And(filters) | Self::Or(filters) => {
                for filter in filters {
                    filter.collect_extensions(schemas);
                }
            }
            Self::Not(filter) => filter.collect_extensions(schemas),
            Self::Present(path) | Self::Compare { path, .. } | Self::ValuePath { attribute: path, .. } => {
                schemas.extend(path.extension());
            }
        }
    }

    /// Prints the filter; inside a value path, paths are printed as the bare names of sub-attributes.
    fn write(&self, f: &mut fmt::Formatter<'_>, inside: bool) -> fmt::Result {
        match self {
            Self::And(filters) => write_joined(f, filters, " and ", inside),
            Self::Or(filters) => write_joined(f, filters, " or ", inside),
            Self::Not(filter) => {
                f.write_str("not (")?;
                filter.write(f, inside)?;
                f.write_str(")")
            }
            Self::Present(path) => {
                write_path(f, path, inside)?;
                f.write_str(" pr")
            }
            Self::Compare { path, op, value } => {
                write_path(f, path, inside)?;
                write!(f, " {} {value}", op.as_str())
            }
            Self::ValuePath { attribute, filter } => {
                write!(f, "{attribute}[")?;
                filter.write(f, true)?;
                f.write_str("]")
            }
        }
    }
}

/// The filter as it stands in the brackets of a value path.
pub(crate) struct Bracketed<'a>(pub(crate) &'a Filter);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f, true)
    }
}

fn write_joined(f: &mut fmt::Formatter<'_>, filters: &[Filter], operator: &str, inside: bool) -> fmt::Result {
    for (index, filter) in filters.iter().enumerate() {
        if index > 0 {
            f.write_str(operator)?;
        }
        // `and` binds tighter than `or`: only an `or` within an `and` needs its parentheses.
        if matches!(filter, Filter::Or(_)) {
            f.write_str("(")?;
            filter.write(f, inside)?;
            f.write_str(")")?;
        } else {
            filter.write(f, inside)?;
        }
    }
    Ok(())
}

fn write_path(f: &mut fmt::Formatter<'_>, path: &AttributePath, inside: bool) -> fmt::Result {
    match path.sub_attribute() {
        Some(sub_attribute) if inside => f.write_str(sub_attribute.name),
        _ => write!(f, "{path}"),
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

impl CompareOp {
    const ALL: [Self; 9] = [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The operator of that word, in any letter case.
    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word))
    }

    /// The operator's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

impl FilterValue {
    /// The text, if the value is text.
    pub const fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text.as_str()),
            Self::Null | Self::Boolean(_) | Self::Number(_) | Self::Time(_) => None,
        }
    }
}

impl fmt::Display for FilterValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Time(value) => write!(f, "\"{value}\""),
            Self::String(value) => serde_json::Value::from(value.as_str()).fmt(f),
        }
    }
}

/// How a filter travels.
#[derive(Serialize, Deserialize)]
struct FilterJson {
    resource_type: ResourceType,
    text: String,
    /// The workspace's own schemas that it names.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    extensions: Extensions,
}

impl From<Filter> for FilterJson {
    fn from(filter: Filter) -> Self {
        let resource_type = filter.resource_type();
        let mut schemas = Vec::new();
        filter.collect_extensions(&mut schemas);
        Self { resource_type, text: filter.to_string(), extensions: Extensions::holding(resource_type, schemas) }
    }
}

impl TryFrom<FilterJson> for Filter {
    type Error = ScimError;

    fn try_from(filter: FilterJson) -> Result<Self, ScimError> {
        // Not bounded in length again: the canonical form may be a little longer than what was sent.
        resolve::parse_unbounded(&filter.extensions.of(filter.resource_type), &filter.text)
    }
}
