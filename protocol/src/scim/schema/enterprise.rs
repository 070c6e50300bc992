//! The Enterprise User extension (RFC 7643 §4.3, §8.7.1).

use super::{AttributeDefinition as Attribute, Mutability, Schema};

pub(super) const SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    name: "EnterpriseUser",
    description: "Enterprise User",
    attributes: ATTRIBUTES,
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::string("employeeNumber").about("A number or code that the organization gives the person"),
    Attribute::string("costCenter").about("The name of a cost center"),
    Attribute::string("organization").about("The name of an organization"),
    Attribute::string("division").about("The name of a division"),
    Attribute::string("department").about("The name of a department"),
    Attribute::complex("manager", MANAGER).about("The person's manager"),
];

const MANAGER: &[Attribute] = &[
    Attribute::string("value").about("The id of the manager's user"),
    Attribute::reference("$ref", &["User"]).about("The URI of the manager's user"),
    Attribute::string("displayName").mutability(Mutability::ReadOnly).about("The manager's name for display"),
];
