//! The core Group (RFC 7643 §4.2, §8.7.1).

use super::{AttributeDefinition as Attribute, Mutability, Returned, Schema, Uniqueness};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name: "Group",
    description: "Group",
    attributes: ATTRIBUTES,
};

const ATTRIBUTES: &[Attribute] = &[
    // Required by the text of §4.2. Unique by our own rule: Entra matches groups by it and relies on the 409.
    Attribute::string("displayName")
        .required()
        .uniqueness(Uniqueness::Server)
        .about("The group's name; unique within the workspace, in any letter case"),
    Attribute::complex("members", MEMBER).multi_valued().about("Users and groups that belong to the group"),
];

/// The parts of one member.
pub(crate) const MEMBER: &[Attribute] = &[
    Attribute::string("value").mutability(Mutability::Immutable).about("The member's id"),
    Attribute::reference("$ref", &["User", "Group"]).mutability(Mutability::Immutable).about("The member's URI"),
    Attribute::string("type").canonical(&["User", "Group"]).mutability(Mutability::Immutable).about("User or Group"),
    // Not in §8.7.1, but named in §2.4 for every multi-valued attribute, and sent by Okta. It is the member's name as it is
    // now, not what was sent: so a client that compares what it sent with what it reads should not meet it unasked.
    Attribute::string("display")
        .mutability(Mutability::ReadOnly)
        .returned(Returned::Request)
        .about("The member's name for display"),
];
