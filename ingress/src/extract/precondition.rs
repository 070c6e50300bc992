//! `If-Match` and `If-None-Match` (RFC 7644 §3.14, RFC 9110 §13).

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;

use crate::error::ApiError;

/// The request's precondition, for a worker to decide.
pub(crate) struct PreconditionHeaders(pub(crate) Precondition);

impl<S: Sync> FromRequestParts<S> for PreconditionHeaders {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(precondition(&parts.headers)))
    }
}

/// Of both headers the first decides (RFC 9110 §13.2.2). A tag that is not of this server's form matches no version: so
/// the list of `If-Match` may come out empty, which is 412.
fn precondition(headers: &HeaderMap) -> Precondition {
    match (Tags::of(headers, &IF_MATCH), Tags::of(headers, &IF_NONE_MATCH)) {
        (Some(Tags::Any), _) => Precondition::Exists,
        (Some(Tags::These(versions)), _) => Precondition::IfMatch(versions),
        (None, Some(Tags::Any)) => Precondition::Absent,
        (None, Some(Tags::These(versions))) => Precondition::IfNoneMatch(versions),
        (None, None) => Precondition::None,
    }
}

enum Tags {
    Any,
    These(Vec<Version>),
}

impl Tags {
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let values = headers.get_all(name).iter();
        let tags: Vec<&str> = values.flat_map(|value| value.to_str().unwrap_or("").split(',')).map(str::trim).collect();
        if tags.is_empty() {
            return None;
        }
        if tags.contains(&"*") {
            return Some(Self::Any);
        }
        Some(Self::These(tags.iter().filter_map(|tag| tag.parse().ok()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn versions(numbers: &[i64]) -> Vec<Version> {
        numbers.iter().copied().map(Version::from_number).collect()
    }

    #[test]
    fn a_precondition_is_a_list_of_tags_or_a_star() {
        for (matching, none_matching, meant) in [
            (vec![], vec![], Precondition::None),
            (vec!["*"], vec![], Precondition::Exists),
            (vec![r#"W/"3""#], vec![], Precondition::IfMatch(versions(&[3]))),
            (vec![r#""3", W/"4""#, r#"W/"5""#], vec!["*"], Precondition::IfMatch(versions(&[3, 4, 5]))),
            (vec![r#"W/"of another server""#], vec![], Precondition::IfMatch(versions(&[]))),
            (vec![], vec!["*"], Precondition::Absent),
            (vec![], vec![r#"W/"3", "x""#], Precondition::IfNoneMatch(versions(&[3]))),
        ] {
            let mut headers = HeaderMap::new();
            for value in &matching {
                headers.append(IF_MATCH, HeaderValue::from_static(value));
            }
            for value in &none_matching {
                headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            assert_eq!(precondition(&headers), meant, "{matching:?} {none_matching:?}");
        }
    }
}
