//! What a list asks for: in the query string of a GET (RFC 7644 §3.4.2) or in the body of a POST to `.search` (§3.4.3).

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use protocol::profile::Profile;
use protocol::scim::cursor::CursorCodec;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::list::{Page, Paging};
use protocol::scim::projection::Projection;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::sort::Sort;
use serde_json::{Map, Value};

use super::{Parameters, body, kinds};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::AppState;

/// The URN of a search's body.
const SEARCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// A search, resolved against the schemas of the caller's workspace.
pub(crate) struct Search {
    /// Which resources.
    pub(crate) lists: Vec<TypeFilter>,
    /// In which order.
    pub(crate) sort: Option<Sort>,
    /// Which part of them.
    pub(crate) paging: Paging,
    /// What of them is shown.
    pub(crate) projection: Projection,
}

impl<S: Sync> FromRequestParts<S> for Search {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let parameters = Parameters::of(parts)?;
        let integer = |name| parameters.value(name).map(|text| integer(name, text)).transpose();
        let cursor = parameters.value("cursor");
        let asked = Asked {
            filter: parameters.value("filter"),
            sort_by: parameters.value("sortBy"),
            sort_order: parameters.value("sortOrder"),
            start_index: integer("startIndex")?,
            count: integer("count").map_err(|error| of_count(cursor, error))?,
            cursor,
            attributes: parameters.names("attributes"),
            excluded: parameters.names("excludedAttributes"),
        };
        Ok(asked.resolve(&caller.profile, &kinds(parts))?)
    }
}

/// A search in the body of a POST.
pub(crate) struct SearchBody(pub(crate) Search);

impl FromRequest<AppState> for SearchBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (mut parts, sent) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        body::media_type(&parts.headers)?;
        let limit = state.settings.body_limit(ResourceType::User, state.gateway.max_payload());
        let bytes = body::read(sent, limit).await?;
        let sent = serde_json::from_slice(&bytes).map_err(|error| ScimError::invalid_json(&error))?;
        let Value::Object(members) = sent else {
            return Err(syntax("the body must be a JSON object").into());
        };
        Ok(Self(Asked::of(&members)?.resolve(&caller.profile, &kinds(&parts))?))
    }
}

/// A search as it was sent.
struct Asked<'a> {
    filter: Option<&'a str>,
    sort_by: Option<&'a str>,
    sort_order: Option<&'a str>,
    start_index: Option<i64>,
    count: Option<i64>,
    /// Empty for the first page.
    cursor: Option<&'a str>,
    attributes: Vec<&'a str>,
    excluded: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    /// From the body of a search; its names in any letter case (RFC 7643 §2.1).
    fn of(body: &'a Map<String, Value>) -> Result<Self, ScimError> {
        let member = |name: &str| {
            let found = body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value).filter(|value| !value.is_null())
        };
        let schemas = member("schemas").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        if !schemas.into_iter().any(|schema| schema.eq_ignore_ascii_case(SEARCH_SCHEMA)) {
            return Err(syntax(&format!("schemas must contain {SEARCH_SCHEMA}")));
        }
        let text = |name| member(name).map(|value| value.as_str().ok_or_else(|| wrong(name, "a string"))).transpose();
        let number = |name| member(name).map(|value| whole(value).ok_or_else(|| wrong(name, "an integer"))).transpose();
        let names =
            |name| member(name).map_or(Ok(Vec::new()), |value| names(value).ok_or_else(|| wrong(name, "a list")));
        let cursor = text("cursor")?;
        Ok(Self {
            filter: text("filter")?,
            sort_by: text("sortBy")?,
            sort_order: text("sortOrder")?,
            start_index: number("startIndex")?,
            count: number("count").map_err(|error| of_count(cursor, error))?,
            cursor,
            attributes: names("attributes")?,
            excluded: names("excludedAttributes")?,
        })
    }

    fn resolve(&self, profile: &Profile, kinds: &[ResourceType]) -> Result<Search, ScimError> {
        let extensions = &profile.extensions;
        let lists = match (self.filter, kinds) {
            (None, kinds) => kinds.iter().map(|kind| TypeFilter { resource_type: *kind, filter: None }).collect(),
            (Some(text), [kind]) => {
                vec![TypeFilter { resource_type: *kind, filter: Some(Filter::parse(extensions.of(*kind), text)?) }]
            }
            (Some(text), kinds) => Filter::parse_for_each(extensions, kinds, text)?,
        };
        let sort = self.sort_by.map(|by| Sort::parse(extensions, kinds, by, self.sort_order)).transpose()?;
        let projection = Projection::parse(extensions, kinds, &self.attributes, &self.excluded)?;
        let paging = self.paging(&lists, sort.as_ref())?;
        Ok(Search { lists, sort, paging, projection })
    }

    /// By index unless there is a cursor (RFC 9865 §2.4).
    fn paging(&self, lists: &[TypeFilter], sort: Option<&Sort>) -> Result<Paging, ScimError> {
        let after = match (self.cursor, self.start_index) {
            (None, start_index) => return Ok(Paging::Index(Page::new(start_index, self.count))),
            (Some(_), Some(_)) => {
                let detail = "cursor and startIndex exclude each other: each asks for another way of paging";
                return Err(ScimError::bad_request(ScimType::InvalidValue, detail));
            }
            (Some(""), None) => None,
            (Some(cursor), None) => Some(CursorCodec::of(lists, sort).read(cursor)?),
        };
        Ok(Paging::cursor(after, self.count))
    }
}

/// A list of names, or one name.
fn names(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Array(names) => names.iter().map(Value::as_str).collect(),
        Value::String(names) => Some(names.split(',').collect()),
        _ => None,
    }
}

/// A number without a fraction; what does not fit is as good as the largest that does.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) if number.is_u64() && !number.is_i64() => Some(i64::MAX),
        Value::Number(number) => number.as_i64(),
        Value::String(text) => integer("", text).ok(),
        _ => None,
    }
}

/// An integer of any length: what does not fit is as good as the largest that does.
fn integer(name: &str, text: &str) -> Result<i64, ScimError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong(name, "an integer"));
    }
    let beyond = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(text.parse().unwrap_or(beyond))
}

/// In a walk, a count that is no number has a keyword of its own (RFC 9865 §2.1). Others have to be like that of the first
/// page there, too; here any does, as positions are of resources, not of pages.
fn of_count(cursor: Option<&str>, error: ScimError) -> ScimError {
    let scim_type = if cursor.is_some() { Some(ScimType::InvalidCount) } else { error.scim_type };
    ScimError { scim_type, ..error }
}

fn wrong(name: &str, expected: &str) -> ScimError {
    ScimError::bad_request(ScimType::InvalidValue, format!("{name} must be {expected}"))
}

fn syntax(detail: &str) -> ScimError {
    ScimError::bad_request(ScimType::InvalidSyntax, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_beyond_all_limits_is_the_largest() {
        assert_eq!(integer("count", "9223372036854775808"), Ok(i64::MAX));
        assert_eq!(integer("count", "-9223372036854775809"), Ok(i64::MIN));
        assert_eq!(integer("count", "1e9").unwrap_err().scim_type, Some(ScimType::InvalidValue));
        assert_eq!(integer("count", "").unwrap_err().status, 400);
    }
}
