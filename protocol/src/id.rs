//! Identifiers: what a name in a subject, a row or a header may look like. A value of one of these types is safe to put
//! into a NATS subject.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The text is not an identifier of the kind that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {expected}")]
pub struct InvalidId {
    kind: &'static str,
    expected: &'static str,
}

/// Defines an identifier that is a UUID on the wire and in SQL.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                // Only the hyphenated form is an id: one resource has one spelling.
                match Uuid::try_parse(text) {
                    Ok(id) if text.len() == 36 => Ok(Self(id)),
                    Ok(_) | Err(_) => Err(InvalidId { kind: $kind, expected: "a UUID" }),
                }
            }
        }
    };
}

uuid_id!(
    /// One accepted request: UUID v7, made by the ingress. Also the `Nats-Msg-Id` and the primary key of the ledger.
    OperationId,
    "operation id"
);
uuid_id!(
    /// A resource's `id` (RFC 7643 §3.1): UUID v7, made by the ingress, never reused.
    ResourceId,
    "resource id"
);

/// Defines an identifier that is text of a restricted alphabet, so that it can stand in a subject.
macro_rules! token_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal, $expected:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let allowed: fn(u8) -> bool = $allowed;
                let fits = !text.is_empty() && text.len() <= $max && text.bytes().all(allowed);
                if fits { Ok(Self(text)) } else { Err(InvalidId { kind: $kind, expected: $expected }) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

token_id!(
    /// A workspace, as it stands in its Base URL: the unit of isolation.
    WorkspaceId,
    "workspace",
    63,
    "1 to 63 characters of a-z, 0-9 and '-'",
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
);
token_id!(
    /// The public part of a bearer token: names it in lists and logs without giving it away.
    TokenId,
    "token id",
    32,
    "1 to 32 ASCII letters and digits",
    |byte| byte.is_ascii_alphanumeric()
);
token_id!(
    /// One running ingress process: new at each start, part of the subject on which it hears outcomes.
    IngressId,
    "ingress id",
    32,
    "1 to 32 ASCII letters and digits",
    |byte| byte.is_ascii_alphanumeric()
);
token_id!(
    /// What all subjects, streams and buckets of one installation begin with (`ROSTERD_NAMESPACE`).
    Namespace,
    "namespace",
    48,
    "1 to 48 characters of a-z, 0-9, '-' and '_'",
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_cannot_smuggle_subject_syntax() {
        for text in ["", "a.b", "a*", ">", "A", "a b", "ü", &"a".repeat(64)] {
            assert!(text.parse::<WorkspaceId>().is_err(), "{text:?}");
        }
        assert_eq!("acme-2".parse::<WorkspaceId>().unwrap().as_str(), "acme-2");
    }

    #[test]
    fn a_resource_id_has_one_spelling() {
        let id = "01900000-0000-7000-8000-000000000001";
        assert_eq!(id.parse::<ResourceId>().unwrap().to_string(), id);
        assert!(id.replace('-', "").parse::<ResourceId>().is_err());
        assert!(format!("{{{id}}}").parse::<ResourceId>().is_err());
    }
}
