//! Text to [`Filter`]: the grammar is `scim_v2`'s, the schema and the limits are ours.

use std::borrow::Cow;
use std::collections::BTreeSet;

use chrono::DateTime;
use scim_v2::filter as grammar;

use super::{CompareOp, Filter, FilterValue, rewrite};
use crate::scim::error::{ScimError, ScimType};
use crate::scim::path::{AttributePath, PathError};
use crate::scim::schema::{AttributeDefinition, Kind, ResourceSchema};
use crate::scim::value;
use crate::time::Timestamp;

pub(super) fn parse(schema: &ResourceSchema, text: &str) -> Result<Filter, ScimError> {
    check_length(text)?;
    parse_unbounded(schema, text)
}

pub(super) fn parse_unbounded(schema: &ResourceSchema, text: &str) -> Result<Filter, ScimError> {
    let parsed = grammatical(text)?;
    Resolver { schema, within: None, terms: 0, lacking: None }.filter(&parsed, 1)
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
    let parsed = grammatical(text)?;
    let mut resolver = Resolver { schema, within: None, terms: 0, lacking: Some(BTreeSet::new()) };
    let filter = resolver.filter(&parsed, 1)?;
    Ok(Lack { filter, lacking: resolver.lacking.unwrap_or_default() })
}

/// Reads the text, with what providers write differently put right.
fn grammatical(text: &str) -> Result<grammar::Filter, ScimError> {
    let rewritten = rewrite::filter(text);
    rewritten.parse().map_err(|error| match rewritten {
        Cow::Borrowed(_) => syntax_error(&error),
        Cow::Owned(_) => unplaced(&error),
    })
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
    filter: &grammar::ValFilter,
) -> Result<Filter, ScimError> {
    if attribute.attribute().sub_attributes.is_empty() || attribute.sub_attribute().is_some() {
        return Err(invalid(format!("{attribute} has no sub-attributes to filter by")));
    }
    Resolver { schema, within: Some(attribute), terms: 0, lacking: None }.value_filter(filter, 1)
}

struct Resolver<'a> {
    schema: &'a ResourceSchema,
    within: Option<&'a AttributePath>,
    terms: usize,
    /// Where attributes that are not there have no value instead of being an error: those found so far.
    lacking: Option<BTreeSet<String>>,
}

impl Resolver<'_> {
    fn filter(&mut self, filter: &grammar::Filter, depth: usize) -> Result<Filter, ScimError> {
        check_depth(depth)?;
        match filter {
            grammar::Filter::Attr(expression) => self.expression(expression),
            grammar::Filter::ValuePath(path) => self.value_path(path, depth),
            grammar::Filter::Not(filter) => Ok(Filter::Not(Box::new(self.filter(filter, depth + 1)?))),
            grammar::Filter::And(filters) => {
                filters.iter().map(|filter| self.filter(filter, depth + 1)).collect::<Result<_, _>>().map(Filter::And)
            }
            grammar::Filter::Or(filters) => {
                filters.iter().map(|filter| self.filter(filter, depth + 1)).collect::<Result<_, _>>().map(Filter::Or)
            }
        }
    }

    fn value_path(&mut self, path: &grammar::ValuePath, depth: usize) -> Result<Filter, ScimError> {
        let Some(attribute) = self.known(&path.attr)? else { return Ok(nothing()) };
        if attribute.attribute().sub_attributes.is_empty() || attribute.sub_attribute().is_some() {
            return Err(invalid(format!("{attribute} has no sub-attributes to filter by")));
        }
        let mut inner = Resolver { schema: self.schema, within: Some(&attribute), terms: self.terms, lacking: None };
        let filter = inner.value_filter(&path.filter, depth + 1)?;
        self.terms = inner.terms;
        Ok(Filter::ValuePath { attribute, filter: Box::new(filter) })
    }

    fn value_filter(&mut self, filter: &grammar::ValFilter, depth: usize) -> Result<Filter, ScimError> {
        check_depth(depth)?;
        match filter {
            grammar::ValFilter::Attr(expression) => self.expression(expression),
            grammar::ValFilter::Not(filter) => Ok(Filter::Not(Box::new(self.value_filter(filter, depth + 1)?))),
            grammar::ValFilter::And(filters) => {
                let mut each = filters.iter().map(|filter| self.value_filter(filter, depth + 1));
                each.by_ref().collect::<Result<_, _>>().map(Filter::And)
            }
            grammar::ValFilter::Or(filters) => {
                let mut each = filters.iter().map(|filter| self.value_filter(filter, depth + 1));
                each.by_ref().collect::<Result<_, _>>().map(Filter::Or)
            }
        }
    }

    fn expression(&mut self, expression: &grammar::AttrExp) -> Result<Filter, ScimError> {
        self.terms += 1;
        if self.terms > Filter::MAX_TERMS {
            return Err(invalid(format!("the filter has more than {} comparisons", Filter::MAX_TERMS)));
        }
        match expression {
            grammar::AttrExp::Present(path) => Ok(self.path(path)?.map_or_else(nothing, Filter::Present)),
            grammar::AttrExp::Comparison(path, op, value) => {
                let op = operator(op);
                let Some(path) = self.path(path)? else {
                    let is_null = matches!(value, grammar::CompValue::Null);
                    let holds = matches!((op, is_null), (CompareOp::Eq, true) | (CompareOp::Ne, false));
                    return Ok(if holds { Filter::And(Vec::new()) } else { nothing() });
                };
                let compared = path.compared();
                let compared = compared.ok_or_else(|| invalid(format!("{path} is complex: name a sub-attribute")))?;
                let value = typed(&path, compared, op, value)?;
                Ok(Filter::Compare { path, op, value })
            }
        }
    }

    /// The attribute; none if it is not there and that is no error.
    fn path(&mut self, path: &grammar::AttrPath) -> Result<Option<AttributePath>, ScimError> {
        let Some(attribute) = self.within else { return self.known(path) };
        let sub_attribute =
            if path.uri.is_none() && path.sub_attr.is_none() { attribute.sub(&path.name) } else { None };
        sub_attribute.map(Some).ok_or_else(|| invalid(format!("{attribute} has no sub-attribute '{path}'")))
    }

    fn known(&mut self, path: &grammar::AttrPath) -> Result<Option<AttributePath>, ScimError> {
        let resolved = AttributePath::resolve(self.schema, path).or_else(|error| self.without_urn(path).ok_or(error));
        match (resolved, &mut self.lacking) {
            (Ok(path), _) => Ok(Some(path)),
            (Err(_), Some(lacking)) => {
                lacking.insert(path.to_string().to_ascii_lowercase());
                Ok(None)
            }
            (Err(error), None) => Err(unknown(&error)),
        }
    }

    /// An extension's attribute by its bare name: Entra asks `id eq "…" and manager eq "…"`.
    fn without_urn(&self, path: &grammar::AttrPath) -> Option<AttributePath> {
        if path.uri.is_some() {
            return None;
        }
        let mut extensions = self.schema.extensions();
        let (extension, definition) =
            extensions.find_map(|extension| Some((extension, extension.attribute(&path.name)?)))?;
        let attribute = AttributePath::of_extension(self.schema.resource_type(), extension, definition);
        match path.sub_attr.as_deref() {
            None => Some(attribute),
            Some(name) => attribute.sub(name),
        }
    }
}

/// What never holds.
const fn nothing() -> Filter {
    Filter::Or(Vec::new())
}

fn check_depth(depth: usize) -> Result<(), ScimError> {
    if depth > Filter::MAX_DEPTH {
        return Err(invalid(format!("the filter is nested deeper than {} levels", Filter::MAX_DEPTH)));
    }
    Ok(())
}

/// The value with the attribute's type, if the operator is defined for it.
fn typed(
    path: &AttributePath,
    definition: &AttributeDefinition,
    op: CompareOp,
    value: &grammar::CompValue,
) -> Result<FilterValue, ScimError> {
    let undefined = || invalid(format!("'{}' is not defined for {path}", op.as_str()));
    if matches!(value, grammar::CompValue::Null) {
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

fn typed_value(kind: Kind, value: &grammar::CompValue) -> Option<FilterValue> {
    match (kind, value) {
        (Kind::Boolean, grammar::CompValue::True) => Some(FilterValue::Boolean(true)),
        (Kind::Boolean, grammar::CompValue::False) => Some(FilterValue::Boolean(false)),
        (Kind::Boolean, grammar::CompValue::Str(text)) => {
            value::boolean(&serde_json::Value::from(text.as_str())).map(FilterValue::Boolean)
        }
        (Kind::Integer | Kind::Decimal, grammar::CompValue::Number(number)) => {
            Some(FilterValue::Number(number.clone()))
        }
        (Kind::DateTime, grammar::CompValue::Str(text)) => {
            let time = Timestamp::from_millis(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis());
            // In UTC, the first and the last hours of RFC 3339's years would not print as RFC 3339.
            DateTime::parse_from_rfc3339(&time.to_string()).ok().map(|_| FilterValue::Time(time))
        }
        // Entra quotes no externalId, and some are numbers. Only where the number says which text was meant.
        (Kind::String, grammar::CompValue::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(FilterValue::String(number.to_string()))
        }
        // A NUL never occurs in a stored value, and PostgreSQL refuses it as a parameter.
        (Kind::String | Kind::Reference | Kind::Binary, grammar::CompValue::Str(text)) if !text.contains('\0') => {
            Some(FilterValue::String(text.clone()))
        }
        _ => None,
    }
}

const fn operator(op: &grammar::CompareOp) -> CompareOp {
    match op {
        grammar::CompareOp::Eq => CompareOp::Eq,
        grammar::CompareOp::Ne => CompareOp::Ne,
        grammar::CompareOp::Co => CompareOp::Co,
        grammar::CompareOp::Sw => CompareOp::Sw,
        grammar::CompareOp::Ew => CompareOp::Ew,
        grammar::CompareOp::Gt => CompareOp::Gt,
        grammar::CompareOp::Ge => CompareOp::Ge,
        grammar::CompareOp::Lt => CompareOp::Lt,
        grammar::CompareOp::Le => CompareOp::Le,
    }
}

fn unknown(error: &PathError) -> ScimError {
    invalid(error.to_string())
}

/// Says where, and never repeats the text: it may hold personal data.
fn syntax_error(error: &grammar::ParseError) -> ScimError {
    let position = match error {
        grammar::ParseError::InvalidToken { location } => Some(*location),
        grammar::ParseError::UnrecognizedToken { token, .. } | grammar::ParseError::ExtraToken { token } => {
            Some(token.0)
        }
        grammar::ParseError::UnrecognizedEof { .. } => None,
        grammar::ParseError::User { error } => return invalid(limit_or_name(error)),
    };
    invalid(position.map_or_else(
        || "the filter ends too early".to_owned(),
        |position| format!("the filter cannot be understood from byte {position} on"),
    ))
}

/// The same where places in what was parsed are not places in what was sent.
fn unplaced(error: &grammar::ParseError) -> ScimError {
    match error {
        grammar::ParseError::User { error } => invalid(limit_or_name(error)),
        _ => invalid("the filter cannot be understood"),
    }
}

fn limit_or_name(error: &grammar::FilterActionError) -> String {
    match error {
        grammar::FilterActionError::DepthExceeded(_) => {
            format!("the filter is nested deeper than {} levels", Filter::MAX_DEPTH)
        }
        grammar::FilterActionError::TooManyTerms(_) => {
            format!("the filter has more than {} comparisons", Filter::MAX_TERMS)
        }
        grammar::FilterActionError::InvalidCompValue(_) => "a value in the filter is not valid JSON".to_owned(),
        _ => "an attribute name in the filter is malformed".to_owned(),
    }
}

fn invalid(detail: impl Into<String>) -> ScimError {
    ScimError::bad_request(ScimType::InvalidFilter, detail)
}
