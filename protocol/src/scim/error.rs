//! Errors as a SCIM client sees them (RFC 7644 §3.12).

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::scim::resource_type::ResourceType;

/// The URI of the error schema.
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The detail error keyword (RFC 7644 §3.12, table 9; RFC 9865 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScimType {
    /// The filter's syntax or a comparison in it is not supported.
    InvalidFilter,
    /// The filter yields more results than the server is willing to calculate.
    TooMany,
    /// An attribute value is already in use.
    Uniqueness,
    /// The change does not fit the attribute's mutability.
    Mutability,
    /// The body's structure is not what the request needs.
    InvalidSyntax,
    /// The PATCH path is malformed.
    InvalidPath,
    /// The PATCH path yields nothing that could be operated on.
    NoTarget,
    /// A required value is missing, or a value does not fit its attribute.
    InvalidValue,
    /// The requested SCIM version is not supported.
    InvalidVers,
    /// The request cannot be completed because it would put sensitive information into a URI.
    Sensitive,
    /// The cursor is none of this query (RFC 9865 §2.1). `expiredCursor` does not occur: cursors do not expire.
    InvalidCursor,
    /// With a cursor: the count is no number (RFC 9865 §2.1).
    InvalidCount,
}

impl ScimType {
    /// The keyword as it stands in an error body.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::Sensitive => "sensitive",
            Self::InvalidCursor => "invalidCursor",
            Self::InvalidCount => "invalidCount",
        }
    }

    /// Reads the keyword back.
    pub fn from_keyword(text: &str) -> Option<Self> {
        const ALL: [ScimType; 12] = [
            ScimType::InvalidFilter,
            ScimType::TooMany,
            ScimType::Uniqueness,
            ScimType::Mutability,
            ScimType::InvalidSyntax,
            ScimType::InvalidPath,
            ScimType::NoTarget,
            ScimType::InvalidValue,
            ScimType::InvalidVers,
            ScimType::Sensitive,
            ScimType::InvalidCursor,
            ScimType::InvalidCount,
        ];
        ALL.into_iter().find(|scim_type| scim_type.as_str() == text)
    }
}

/// A refusal: status, keyword, and what is wrong, where, and what to do. Never quotes another resource's values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{status}: {detail}")]
pub struct ScimError {
    /// The HTTP status.
    pub status: u16,
    /// The keyword, for 400 and 409.
    pub scim_type: Option<ScimType>,
    /// For people.
    pub detail: String,
}

impl ScimError {
    /// An error without a keyword.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    /// A 400 with its keyword.
    pub fn bad_request(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// 400: a body that is not JSON. Says where, never what: the body holds people's data.
    pub fn invalid_json(error: &serde_json::Error) -> Self {
        let detail = format!("the body is not valid JSON, at line {} column {}", error.line(), error.column());
        Self::bad_request(ScimType::InvalidSyntax, detail)
    }

    /// 404, the same for an id that never was, is gone, or belongs to another workspace.
    pub fn not_found() -> Self {
        Self::new(404, "there is no resource with this id")
    }

    /// 409: another resource of the workspace has this value already.
    pub fn uniqueness(attribute: &str) -> Self {
        let detail = format!("another resource has this {attribute} already; values of {attribute} are unique");
        Self { status: 409, scim_type: Some(ScimType::Uniqueness), detail }
    }

    /// 409: the unique name of a new resource is taken (RFC 7644 §3.3).
    pub fn duplicate(resource_type: ResourceType) -> Self {
        Self::uniqueness(resource_type.unique_attribute())
    }

    /// 409: a command that was held yields to what was accepted meanwhile (RFC 7644 §3.12).
    pub fn superseded() -> Self {
        let detail =
            "a newer change was accepted while this request waited, so it was not applied; read the resource first";
        Self::new(409, detail)
    }

    /// 412: the resource has another version than `If-Match` or `If-None-Match` asked for.
    pub fn precondition_failed() -> Self {
        Self::new(412, "the resource's version does not meet If-Match or If-None-Match; read it again and retry")
    }

    /// The body of the answer (RFC 7644 §3.12): `status` is a string.
    pub fn body(&self) -> ErrorBody<'_> {
        ErrorBody(self)
    }
}

/// A [`ScimError`] as it stands in an answer's body.
#[derive(Debug, Clone, Copy)]
pub struct ErrorBody<'a>(&'a ScimError);

impl Serialize for ErrorBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 3 + usize::from(self.0.scim_type.is_some());
        let mut body = serializer.serialize_struct("Error", fields)?;
        body.serialize_field("schemas", &[ERROR_SCHEMA])?;
        body.serialize_field("status", &self.0.status.to_string())?;
        if let Some(scim_type) = self.0.scim_type {
            body.serialize_field("scimType", scim_type.as_str())?;
        }
        body.serialize_field("detail", &self.0.detail)?;
        body.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_in_a_body_is_a_string() {
        let body = serde_json::to_string(&ScimError::uniqueness("userName").body()).unwrap();
        assert!(
            body.starts_with(
                r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"409","scimType":"uniqueness""#
            ),
            "{body}"
        );
    }
}
