//! Typed views of attributes, for code that needs a certain field: everything else is driven by the schema.

use super::Attributes;

/// A user's attributes (RFC 7643 §4.1).
#[derive(Debug, Clone, Copy)]
pub struct UserView<'a>(pub(super) &'a Attributes);

impl<'a> UserView<'a> {
    /// The name to sign in with; every stored user has one.
    pub fn user_name(self) -> Option<&'a str> {
        self.0.string("userName")
    }

    /// The name for people.
    pub fn display_name(self) -> Option<&'a str> {
        self.0.string("displayName")
    }

    /// The provider's own id.
    pub fn external_id(self) -> Option<&'a str> {
        self.0.string("externalId")
    }

    /// Whether the person has access; none if the attributes do not say.
    pub fn active(self) -> Option<bool> {
        self.0.boolean("active")
    }

    /// The timezone, as it was sent.
    pub fn timezone(self) -> Option<&'a str> {
        self.0.string("timezone")
    }

    /// What a group shows of the person: `displayName`, else `userName`.
    pub fn display(self) -> &'a str {
        self.display_name().or_else(|| self.user_name()).unwrap_or_default()
    }
}
