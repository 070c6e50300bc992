//! From the grammar's tree to [`Filter`]: attributes are looked up in the schema, and values get their types.

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::Value;

use super::parse::{Expression, SyntaxError, parse_filter};
use super::{CompareOp, Filter, FilterValue};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::path::{AttributePath, UnresolvedPath};
use crate::scim::schema::{AttributeDefinition, Kind, ResourceSchema};
use crate::scim::value;
use crate::time::Timestamp;

pub(super) fn parse(schema: &ResourceSchema, text: &str) -> Result<Filter, ScimError> {
    check_length(text)?;
    parse_unbounded(schema, text)
}

pub(super) fn parse_unbounded(schema: &ResourceSchema, text: &str) -> Result<Filter, ScimError> {
    Resolver { schema, within: None, terms: 0, lacking: None }.filter(&expression(text)?, 1)
}

/// A filter in which everything about attributes that are not there is decided: true is an empty `and`, false an empty
/// `or`.
pub(super) struct Lack {
    pub(super) filter: Filter,
    /// The attributes that are not there, as they were named, in lower case.
    pub(super) lacking: BTreeSet<String>,
}

pub(super) fn parse_lenient(schema: &ResourceSchema, text: &str) -> Result<Lack, ScimError> {
    check_length(text)?;
    let mut resolver = Resolver { schema, within: None, terms: 0, lacking: Some(BTreeSet::new()) };
    let filter = resolver.filter(&expression(text)?, 1)?;
    Ok(Lack { filter, lacking: resolver.lacking.unwrap_or_default() })
}

fn expression(text: &str) -> Result<Expression<'_>, ScimError> {
    parse_filter(text).map_err(|error| invalid(error.to_string()))
}

fn check_length(text: &str) -> Result<(), ScimError> {
    if text.len() > Filter::MAX_LENGTH {
        return Err(invalid(format!("the filter is longer than {} bytes", Filter::MAX_LENGTH)));
    }
    Ok(())
}

/// Resolves the filter in brackets of a value path.
pub(crate) fn resolve_value_filter(
    schema: &ResourceSchema,
    attribute: &AttributePath,
    filter: &Expression<'_>,
) -> Result<Filter, ScimError> {
    check_complex(attribute)?;
    Resolver { schema, within: Some(attribute), terms: 0, lacking: None }.filter(filter, 1)
}

struct Resolver<'a> {
    schema: &'a ResourceSchema,
    within: Option<&'a AttributePath>,
    terms: usize,
    /// Where attributes that are not there have no value instead of being an error: those found so far.
    lacking: Option<BTreeSet<String>>,
}

impl Resolver<'_> {
    fn filter(&mut self, filter: &Expression<'_>, depth: usize) -> Result<Filter, ScimError> {
        if depth > Filter::MAX_DEPTH {
            return Err(invalid(SyntaxError::TooDeep.to_string()));
        }
        match filter {
            Expression::And(filters) => Ok(Filter::And(self.each(filters, depth + 1)?)),
            Expression::Or(filters) => Ok(Filter::Or(self.each(filters, depth + 1)?)),
            Expression::Not(filter) => Ok(Filter::Not(Box::new(self.filter(filter, depth + 1)?))),
            Expression::Present(path) => {
                self.count()?;
                Ok(self.path(path)?.map_or_else(nothing, Filter::Present))
            }
            Expression::Compare { path, op, value } => {
                self.count()?;
                self.comparison(path, *op, value)
            }
            Expression::ValuePath { path, filter } => self.value_path(path, filter, depth),
        }
    }

    fn each(&mut self, filters: &[Expression<'_>], depth: usize) -> Result<Vec<Filter>, ScimError> {
        filters.iter().map(|filter| self.filter(filter, depth)).collect()
    }

    fn count(&mut self) -> Result<(), ScimError> {
        self.terms += 1;
        if self.terms > Filter::MAX_TERMS {
            return Err(invalid(format!("the filter has more than {} comparisons", Filter::MAX_TERMS)));
        }
        Ok(())
    }

    fn comparison(&mut self, path: &UnresolvedPath<'_>, op: CompareOp, value: &Value) -> Result<Filter, ScimError> {
        let Some(path) = self.path(path)? else {
            let holds = matches!((op, value.is_null()), (CompareOp::Eq, true) | (CompareOp::Ne, false));
            return Ok(if holds { Filter::And(Vec::new()) } else { nothing() });
        };
        let compared = path.compared();
        let compared = compared.ok_or_else(|| invalid(format!("{path} is complex: name a sub-attribute")))?;
        let value = typed(&path, compared, op, value)?;
        Ok(Filter::Compare { path, op, value })
    }

    fn value_path(
        &mut self,
        path: &UnresolvedPath<'_>,
        filter: &Expression<'_>,
        depth: usize,
    ) -> Result<Filter, ScimError> {
        let Some(attribute) = self.path(path)? else { return Ok(nothing()) };
        check_complex(&attribute)?;
        let mut inner = Resolver { schema: self.schema, within: Some(&attribute), terms: self.terms, lacking: None };
        let filter = inner.filter(filter, depth + 1)?;
        self.terms = inner.terms;
        Ok(Filter::ValuePath { attribute, filter: Box::new(filter) })
    }

    /// The attribute; none if it is not there and that is no error.
    fn path(&mut self, path: &UnresolvedPath<'_>) -> Result<Option<AttributePath>, ScimError> {
        let Some(attribute) = self.within else { return self.known(path) };
        let sub_attribute =
            if path.urn.is_none() && path.sub_attribute.is_none() { attribute.sub(path.name) } else { None };
        sub_attribute.map(Some).ok_or_else(|| invalid(format!("{attribute} has no sub-attribute '{path}'")))
    }

    fn known(&mut self, path: &UnresolvedPath<'_>) -> Result<Option<AttributePath>, ScimError> {
        let resolved = AttributePath::resolve(self.schema, path).or_else(|error| self.without_urn(path).ok_or(error));
        match (resolved, &mut self.lacking) {
            (Ok(path), _) => Ok(Some(path)),
            (Err(_), Some(lacking)) => {
                lacking.insert(path.to_string().to_ascii_lowercase());
                Ok(None)
            }
            (Err(error), None) => Err(invalid(error.to_string())),
        }
    }

    /// An extension's attribute by its bare name: Entra asks `id eq "…" and manager eq "…"`.
    fn without_urn(&self, path: &UnresolvedPath<'_>) -> Option<AttributePath> {
        if path.urn.is_some() {
            return None;
        }
        let mut extensions = self.schema.extensions();
        let (extension, definition) =
            extensions.find_map(|extension| Some((extension, extension.attribute(path.name)?)))?;
        let attribute = AttributePath::of_extension(self.schema.resource_type(), extension, definition);
        match path.sub_attribute {
            None => Some(attribute),
            Some(name) => attribute.sub(name),
        }
    }
}

/// What never holds.
const fn nothing() -> Filter {
    Filter::Or(Vec::new())
}

fn check_complex(attribute: &AttributePath) -> Result<(), ScimError> {
    if attribute.attribute().sub_attributes.is_empty() || attribute.sub_attribute().is_some() {
        return Err(invalid(format!("{attribute} has no sub-attributes to filter by")));
    }
    Ok(())
}

/// The value with the attribute's type, if the operator is defined for it.
fn typed(
    path: &AttributePath,
    definition: &AttributeDefinition,
    op: CompareOp,
    value: &Value,
) -> Result<FilterValue, ScimError> {
    let undefined = || invalid(format!("'{}' is not defined for {path}", op.as_str()));
    if value.is_null() {
        return if matches!(op, CompareOp::Eq | CompareOp::Ne) { Ok(FilterValue::Null) } else { Err(undefined()) };
    }
    if !is_defined(op, definition.kind) {
        return Err(undefined());
    }
    typed_value(definition.kind, value).ok_or_else(|| invalid(format!("{path} cannot be compared with such a value")))
}

/// RFC 7644 §3.4.2.2: no order among booleans or binaries; parts only of text.
const fn is_defined(op: CompareOp, kind: Kind) -> bool {
    match op {
        CompareOp::Eq | CompareOp::Ne => true,
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew => matches!(kind, Kind::String | Kind::Reference | Kind::Binary),
        CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le => !matches!(kind, Kind::Boolean | Kind::Binary),
    }
}

fn typed_value(kind: Kind, value: &Value) -> Option<FilterValue> {
    match (kind, value) {
        (Kind::Boolean, value) => value::boolean(value).map(FilterValue::Boolean),
        (Kind::Integer | Kind::Decimal, Value::Number(number)) => Some(FilterValue::Number(number.clone())),
        (Kind::DateTime, Value::String(text)) => {
            let time = Timestamp::from_millis(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis());
            // In UTC, the first and the last hours of RFC 3339's years would not print as RFC 3339.
            DateTime::parse_from_rfc3339(&time.to_string()).ok().map(|_| FilterValue::Time(time))
        }
        // Entra quotes no externalId, and some are numbers. Only where the number says which text was meant.
        (Kind::String, Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(FilterValue::String(number.to_string()))
        }
        // A NUL never occurs in a stored value, and PostgreSQL refuses it as a parameter.
        (Kind::String | Kind::Reference | Kind::Binary, Value::String(text)) if !text.contains('\0') => {
            Some(FilterValue::String(text.clone()))
        }
        _ => None,
    }
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::bad_request(ScimType::InvalidFilter, detail)
}
