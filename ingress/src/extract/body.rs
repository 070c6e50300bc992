//! Bodies: read within their limits, as JSON, and parsed against the caller's schemas.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use protocol::message::envelope::Fingerprint;
use protocol::scim::body::{ResourceBody, UnparsedBody};
use protocol::scim::dialect::Dialect;
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::patch::PatchRequest;
use protocol::scim::schema::ResourceSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use sha2::{Digest, Sha256};

use super::kind;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::AppState;

/// How long a body may take to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A body that was read, checked and parsed, and what identifies the request that brought it.
pub(crate) struct ScimBody<T> {
    /// The body.
    pub(crate) value: T,
    /// The same for the same request sent again.
    pub(crate) fingerprint: Fingerprint,
}

/// What a body can be parsed into.
pub(crate) trait FromJson: Sized {
    /// How its JSON is read.
    type Json: DeserializeOwned;

    /// Checks the JSON against what the route expects.
    fn from_json(schema: ResourceSchema, dialect: Dialect, body: Self::Json) -> Result<Self, ScimError>;
}

impl FromJson for ResourceBody {
    type Json = UnparsedBody;

    fn from_json(schema: ResourceSchema, dialect: Dialect, body: UnparsedBody) -> Result<Self, ScimError> {
        body.parse(schema, dialect)
    }
}

impl FromJson for PatchRequest {
    type Json = Value;

    fn from_json(schema: ResourceSchema, _: Dialect, body: Value) -> Result<Self, ScimError> {
        Self::parse(schema, body)
    }
}

impl<T: FromJson> FromRequest<AppState> for ScimBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let resource_type = kind(&parts)?;
        media_type(&parts.headers)?;
        let limit = state.settings.body_limit(resource_type, state.gateway.max_payload());
        let bytes = read(body, limit).await?;
        let schema = caller.profile.extensions.of(resource_type);
        let value = T::from_json(schema, caller.dialect, json(&bytes)?)?;
        Ok(Self { value, fingerprint: fingerprint(&parts, &bytes) })
    }
}

/// What identifies a request whose body says nothing. It is read to its end all the same: only then is it seen when the
/// client hangs up.
pub(crate) struct NoBody(pub(crate) Fingerprint);

impl FromRequest<AppState> for NoBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        read(body, state.settings.max_user_body).await?;
        Ok(Self(fingerprint(&parts, b"")))
    }
}

/// RFC 7644 §3.1: `application/scim+json`, and `application/json` as most providers send it. A body without a type is
/// taken for JSON. Compressed bodies are refused: they could grow without bound.
pub(crate) fn media_type(headers: &HeaderMap) -> Result<(), ScimError> {
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

/// The whole body, at most `limit` bytes of it.
pub(super) async fn read(body: Body, limit: usize) -> Result<bytes::Bytes, ScimError> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await;
    match collected.map_err(|_| ScimError::new(408, "the body did not arrive within 30 seconds"))? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(ScimError::new(413, format!("a body may have at most {limit} bytes here")))
        }
        Err(_) => Err(ScimError::bad_request(ScimType::InvalidSyntax, "the body ended before it was complete")),
    }
}

/// The body as JSON.
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ScimError> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        // All that is read is any JSON, or an object of it.
        Category::Data => ScimError::bad_request(ScimType::InvalidSyntax, "the body must be a JSON object"),
        Category::Syntax | Category::Eof | Category::Io => ScimError::invalid_json(&error),
    })
}

fn fingerprint(parts: &Parts, body: &[u8]) -> Fingerprint {
    let condition = parts.headers.get(IF_MATCH).or_else(|| parts.headers.get(IF_NONE_MATCH));
    let condition = condition.map_or(b"".as_slice(), http::HeaderValue::as_bytes);
    of_request(&parts.method, parts.uri.path(), condition, body)
}

/// SHA-256 over the parts of a request, each after its length, so that no two requests read alike.
pub(crate) fn of_request(method: &Method, path: &str, condition: &[u8], body: &[u8]) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), condition, body] {
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
    fn requests_that_differ_anywhere_have_different_fingerprints() {
        let one = of_request(&Method::PUT, "/a", b"", b"bc");
        assert_eq!(one, of_request(&Method::PUT, "/a", b"", b"bc"));
        assert_ne!(one, of_request(&Method::PUT, "/a", b"b", b"c"));
        assert_ne!(one, of_request(&Method::PATCH, "/a", b"", b"bc"));
        assert_eq!(one.0.len(), 64);
    }
}
