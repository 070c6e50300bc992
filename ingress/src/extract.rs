//! Requests parsed once, at the edge: what a handler receives cannot be malformed.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use protocol::message::command::Precondition;
use protocol::message::envelope::Fingerprint;
use protocol::scim::attributes::Attributes;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::filter::Filter;
use protocol::scim::list::Page;
use protocol::scim::patch::PatchRequest;
use protocol::scim::resource::{ResourceType, Version};
use protocol::time::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::edge::Edge;
use crate::error::ApiError;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// When the request's head was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived(pub(crate) Timestamp);

/// The kind of resource that the route serves.
pub(crate) struct Kind(pub(crate) ResourceType);

impl<S: Sync> FromRequestParts<S> for Kind {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        kind(parts).map(Self)
    }
}

fn kind(parts: &Parts) -> Result<ResourceType, ApiError> {
    parts.extensions.get().copied().ok_or_else(|| ScimError::not_found().into())
}

/// The resource that the URL names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Its kind.
    pub(crate) resource_type: ResourceType,
    /// Its id.
    pub(crate) id: protocol::id::ResourceId,
}

impl<S: Send + Sync> FromRequestParts<S> for Target {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let resource_type = kind(parts)?;
        // What cannot be an id of ours is answered like an id that is not there.
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((_, id)) = path.map_err(|_| ScimError::not_found())?;
        let id = id.parse().map_err(|_| ScimError::not_found())?;
        Ok(Self { resource_type, id })
    }
}

/// `If-Match` (RFC 7644 §3.14).
pub(crate) struct IfMatch(pub(crate) Precondition);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(precondition(&parts.headers)))
    }
}

/// A tag that is not of this server's form matches no version; so the list may come out empty, which is 412.
fn precondition(headers: &HeaderMap) -> Precondition {
    let tags: Vec<&str> =
        headers.get_all(IF_MATCH).iter().flat_map(|value| value.to_str().unwrap_or("").split(',')).collect();
    if tags.is_empty() {
        return Precondition::None;
    }
    if tags.iter().any(|tag| tag.trim() == "*") {
        return Precondition::Exists;
    }
    Precondition::IfMatch(tags.iter().filter_map(|tag| tag.trim().parse::<Version>().ok()).collect())
}

/// What a list request asks for (RFC 7644 §3.4.2); parameters that are not known are ignored.
pub(crate) struct ListRequest {
    /// Only resources that match.
    pub(crate) filter: Option<Filter>,
    /// Which part of them.
    pub(crate) page: Page,
}

impl<S: Sync> FromRequestParts<S> for ListRequest {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let resource_type = kind(parts)?;
        let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(parameters) = query.map_err(|_| unreadable_query())?;
        let value = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let filter = value("filter").map(|text| Filter::parse(resource_type, text)).transpose()?;
        let start_index = value("startIndex").map(|text| integer("startIndex", text)).transpose()?;
        let count = value("count").map(|text| integer("count", text)).transpose()?;
        Ok(Self { filter, page: Page::new(start_index, count) })
    }
}

fn unreadable_query() -> ScimError {
    ScimError::bad_request(ScimType::InvalidSyntax, "the query string is not readable as name=value pairs")
}

/// An integer of any length: what does not fit is as good as the largest that does.
fn integer(name: &str, text: &str) -> Result<i64, ScimError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ScimError::bad_request(ScimType::InvalidValue, format!("{name} must be an integer")));
    }
    Ok(text.parse().unwrap_or_else(|_| if text.starts_with('-') { i64::MIN } else { i64::MAX }))
}

/// A body that was read, checked and parsed, and what identifies the request that brought it.
pub(crate) struct ScimBody<T> {
    /// The body.
    pub(crate) value: T,
    /// The same for the same request sent again.
    pub(crate) fingerprint: Fingerprint,
}

/// What a body can be parsed into.
pub(crate) trait FromJson: Sized {
    /// Checks the JSON against what the route expects.
    fn from_json(resource_type: ResourceType, body: Value) -> Result<Self, ScimError>;
}

impl FromJson for Attributes {
    fn from_json(resource_type: ResourceType, body: Value) -> Result<Self, ScimError> {
        Self::parse(resource_type, body)
    }
}

impl FromJson for PatchRequest {
    fn from_json(resource_type: ResourceType, body: Value) -> Result<Self, ScimError> {
        Self::parse(resource_type, body)
    }
}

impl<T: FromJson> FromRequest<Edge> for ScimBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, edge: &Edge) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let resource_type = kind(&parts)?;
        media_type(&parts.headers)?;
        let limit = edge.terms.body_limit(resource_type, edge.gateway.max_payload());
        let bytes = read(body, limit).await?;
        let json = serde_json::from_slice(&bytes).map_err(|error| invalid_syntax(&error))?;
        let value = T::from_json(resource_type, json)?;
        Ok(Self { value, fingerprint: fingerprint(&parts, &bytes) })
    }
}

/// What identifies a request without a body.
pub(crate) struct Bodiless(pub(crate) Fingerprint);

impl<S: Sync> FromRequestParts<S> for Bodiless {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(fingerprint(parts, b"")))
    }
}

/// RFC 7644 §3.1: `application/scim+json`, and `application/json` as most providers send it. A body without a type is
/// taken for JSON. Compressed bodies are refused: they could grow without bound.
fn media_type(headers: &HeaderMap) -> Result<(), ScimError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("").to_ascii_lowercase());
    if text(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(ScimError::new(415, "a body must not be compressed: leave Content-Encoding out"));
    }
    let Some(content_type) = text(CONTENT_TYPE) else { return Ok(()) };
    let mut parts = content_type.split(';').map(str::trim);
    let known = matches!(parts.next(), Some("application/scim+json" | "application/json"));
    let utf_8 = parts.filter_map(|part| part.strip_prefix("charset=")).all(|name| name.trim_matches('"') == "utf-8");
    if known && utf_8 {
        return Ok(());
    }
    Err(ScimError::new(415, "Content-Type must be application/scim+json or application/json, in UTF-8"))
}

async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, ScimError> {
    let collected = tokio::time::timeout(BODY_WITHIN, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| ScimError::new(408, "the body did not arrive within 30 seconds"))? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ScimError::new(413, format!("a body may have at most {limit} bytes here")))
        }
        Err(_) => Err(ScimError::bad_request(ScimType::InvalidSyntax, "the body ended before it was complete")),
    }
}

/// Says where, never what: the body holds people's data.
fn invalid_syntax(error: &serde_json::Error) -> ScimError {
    let detail = format!("the body is not valid JSON, at line {} column {}", error.line(), error.column());
    ScimError::bad_request(ScimType::InvalidSyntax, detail)
}

fn fingerprint(parts: &Parts, body: &[u8]) -> Fingerprint {
    let if_match = parts.headers.get(IF_MATCH).map_or(b"".as_slice(), http::HeaderValue::as_bytes);
    of_request(&parts.method, parts.uri.path(), if_match, body)
}

/// SHA-256 over the parts of a request, each after its length, so that no two requests read alike.
pub(crate) fn of_request(method: &Method, path: &str, if_match: &[u8], body: &[u8]) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), if_match, body] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    let (high, low) = digest.split_at(16);
    let number = |half: &[u8]| half.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    Fingerprint(format!("{:032x}{:032x}", number(high), number(low)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn if_match_is_a_list_of_tags_or_a_star() {
        let versions =
            |numbers: &[i64]| Precondition::IfMatch(numbers.iter().copied().map(Version::from_number).collect());
        for (sent, meant) in [
            (vec![], Precondition::None),
            (vec!["*"], Precondition::Exists),
            (vec![r#"W/"3""#], versions(&[3])),
            (vec![r#""3", W/"4""#, r#"W/"5""#], versions(&[3, 4, 5])),
            (vec![r#"W/"of another server""#], versions(&[])),
        ] {
            assert_eq!(precondition(&headers(&IF_MATCH, &sent)), meant, "{sent:?}");
        }
    }

    #[test]
    fn the_media_types_of_scim_are_taken_and_others_refused() {
        for sent in
            ["application/scim+json", "application/json; charset=utf-8", "Application/SCIM+JSON;charset=\"UTF-8\""]
        {
            assert_eq!(media_type(&headers(&CONTENT_TYPE, &[sent])), Ok(()), "{sent}");
        }
        for sent in ["text/plain", "application/json; charset=latin1", "", "application/x-www-form-urlencoded"] {
            assert_eq!(media_type(&headers(&CONTENT_TYPE, &[sent])).unwrap_err().status, 415, "{sent}");
        }
        assert_eq!(media_type(&HeaderMap::new()), Ok(()));
        assert_eq!(media_type(&headers(&CONTENT_ENCODING, &["gzip"])).unwrap_err().status, 415);
    }

    #[test]
    fn a_number_beyond_all_limits_is_the_largest() {
        assert_eq!(integer("count", "9223372036854775808"), Ok(i64::MAX));
        assert_eq!(integer("count", "-9223372036854775809"), Ok(i64::MIN));
        assert_eq!(integer("count", "1e9").unwrap_err().scim_type, Some(ScimType::InvalidValue));
        assert_eq!(integer("count", "").unwrap_err().status, 400);
    }

    #[test]
    fn requests_that_differ_anywhere_have_different_fingerprints() {
        let one = of_request(&Method::PUT, "/a", b"", b"bc");
        assert_eq!(one, of_request(&Method::PUT, "/a", b"", b"bc"));
        assert_ne!(one, of_request(&Method::PUT, "/a", b"b", b"c"));
        assert_ne!(one, of_request(&Method::PATCH, "/a", b"", b"bc"));
        assert_eq!(one.0.len(), 64);
    }
}
