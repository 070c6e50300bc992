//! The Enterprise User extension (RFC 7643 §4.3, §8.7.1).

use super::{AttributeDefinition as Attribute, Mutability, Schema};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    name: "EnterpriseUser",
    description: "Enterprise User",
    attributes: ATTRIBUTES,
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::string("employeeNumber"),
    Attribute::string("costCenter"),
    Attribute::string("organization"),
    Attribute::string("division"),
    Attribute::string("department"),
    Attribute::complex("manager", MANAGER),
];

const MANAGER: &[Attribute] = &[
    Attribute::string("value"),
    Attribute::reference("$ref", &["User"]),
    Attribute::string("displayName").mutability(Mutability::ReadOnly),
];
