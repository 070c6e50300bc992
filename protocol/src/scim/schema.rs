//! Schemas as data (RFC 7643 §7, §8.7.1): what attributes a resource has, and what may be in them.

mod definition;
mod enterprise;
mod extensions;
mod group;
mod text;
mod user;

pub use definition::{AttributeDefinition, Kind, Mutability, Returned, Uniqueness};
pub use extensions::{ExtensionJson, Extensions, ResourceSchema};
pub(crate) use group::MEMBER;
pub use text::{AttributeJson, SchemaJson};

use crate::scim::resource_type::ResourceType;

/// A schema: the attributes that its URN stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Schema {
    /// The URN.
    pub id: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Its attributes, in the order of the standard.
    pub attributes: &'static [AttributeDefinition],
}

impl Schema {
    /// The attribute of that name, in any letter case (RFC 7643 §2.1).
    pub fn attribute(&self, name: &str) -> Option<&'static AttributeDefinition> {
        definition::find(self.attributes, name)
    }
}

impl ResourceType {
    /// The schema that every resource of the kind follows.
    pub const fn schema(self) -> &'static Schema {
        match self {
            Self::User => &user::SCHEMA,
            Self::Group => &group::SCHEMA,
        }
    }

    /// The extensions that every workspace's resources of the kind may follow.
    pub(crate) const fn built_in(self) -> &'static [&'static Schema] {
        match self {
            Self::User => &[&enterprise::SCHEMA],
            Self::Group => &[],
        }
    }

    /// The attribute of that name outside extensions, in any letter case: of the core schema or common to all resources.
    pub fn attribute(self, name: &str) -> Option<&'static AttributeDefinition> {
        self.schema().attribute(name).or_else(|| definition::find(COMMON, name))
    }
}

/// Attributes of every resource, which belong to no schema (RFC 7643 §3, §3.1).
pub const COMMON: &[AttributeDefinition] = &[
    AttributeDefinition::reference("schemas", &["uri"])
        .multi_valued()
        .required()
        .case_exact()
        .mutability(Mutability::ReadOnly)
        .returned(Returned::Always),
    AttributeDefinition::string("id")
        .case_exact()
        .mutability(Mutability::ReadOnly)
        .returned(Returned::Always)
        .uniqueness(Uniqueness::Server),
    AttributeDefinition::string("externalId").case_exact().about("The identity provider's own id of the resource"),
    AttributeDefinition::complex("meta", META)
        .mutability(Mutability::ReadOnly)
        .about("What the server knows of the resource"),
];

const META: &[AttributeDefinition] = &[
    AttributeDefinition::string("resourceType").case_exact().mutability(Mutability::ReadOnly),
    AttributeDefinition::date_time("created").mutability(Mutability::ReadOnly),
    AttributeDefinition::date_time("lastModified").mutability(Mutability::ReadOnly),
    AttributeDefinition::reference("location", &["uri"]).case_exact().mutability(Mutability::ReadOnly),
    AttributeDefinition::string("version").case_exact().mutability(Mutability::ReadOnly),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_letter_case() {
        assert_eq!(ResourceType::User.attribute("USERNAME").unwrap().name, "userName");
        assert_eq!(ResourceType::Group.attribute("externalid").unwrap().name, "externalId");
        assert!(ResourceType::Group.attribute("userName").is_none());
        let urn = "URN:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:user";
        assert!(ResourceSchema::from(ResourceType::User).extension(urn).unwrap().attribute("COSTCENTER").is_some());
    }

    #[test]
    fn names_are_unique_within_their_parent() {
        fn check(definitions: &[AttributeDefinition]) {
            for (index, definition) in definitions.iter().enumerate() {
                let others = &definitions[index + 1..];
                assert!(others.iter().all(|other| !other.name.eq_ignore_ascii_case(definition.name)));
                assert_eq!(definition.sub_attributes.is_empty(), definition.kind != Kind::Complex);
                check(definition.sub_attributes);
            }
        }
        for schema in [ResourceType::User.schema(), ResourceType::Group.schema(), &enterprise::SCHEMA] {
            check(schema.attributes);
        }
        check(COMMON);
    }
}
