//! What a schema says of one attribute (RFC 7643 §2.2, §7).

use serde::{Deserialize, Serialize};

/// An attribute's characteristics.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the standard's characteristics are these")]
pub struct AttributeDefinition {
    /// The canonical name.
    pub name: &'static str,
    /// What it is, for people.
    pub description: &'static str,
    /// The type of a single value.
    pub kind: Kind,
    /// Whether it holds a list of values.
    pub multi_valued: bool,
    /// Whether a resource cannot be without it.
    pub required: bool,
    /// Whether the server has a value where the client gives none, so that it need not be sent.
    pub defaulted: bool,
    /// Whether values that differ in letter case differ.
    pub case_exact: bool,
    /// Who may write it, and when.
    pub mutability: Mutability,
    /// When it is part of an answer.
    pub returned: Returned,
    /// Among which resources a value may occur only once.
    pub uniqueness: Uniqueness,
    /// The parts of a complex value; empty for every other kind.
    pub sub_attributes: &'static [Self],
    /// Values that the standard suggests.
    pub canonical_values: &'static [&'static str],
    /// What a reference may point to.
    pub reference_types: &'static [&'static str],
}

/// The type of a value (RFC 7643 §2.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    /// Text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A number with a fraction.
    Decimal,
    /// A whole number.
    Integer,
    /// A point in time, as RFC 3339 text.
    DateTime,
    /// Bytes, as base64 text.
    Binary,
    /// A URI.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

/// Who may write an attribute, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// The server alone.
    ReadOnly,
    /// Any client, at any time.
    #[default]
    ReadWrite,
    /// Any client, once.
    Immutable,
    /// Any client; it is never read.
    WriteOnly,
}

/// When an attribute is part of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    /// Whatever is asked for.
    Always,
    /// Whatever is asked for, not.
    Never,
    /// Unless other attributes are asked for.
    #[default]
    Default,
    /// Only if it is asked for.
    Request,
}

/// Among which resources a value may occur only once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    /// It may occur again.
    #[default]
    None,
    /// Those of the workspace.
    Server,
    /// All that there are.
    Global,
}

impl AttributeDefinition {
    /// The sub-attribute of that name, in any letter case.
    pub fn sub_attribute(&self, name: &str) -> Option<&'static Self> {
        find(self.sub_attributes, name)
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            description: "",
            kind,
            multi_valued: false,
            required: false,
            defaulted: false,
            case_exact: false,
            mutability: Mutability::ReadWrite,
            returned: Returned::Default,
            uniqueness: Uniqueness::None,
            sub_attributes: &[],
            canonical_values: &[],
            reference_types: &[],
        }
    }

    pub(super) const fn string(name: &'static str) -> Self {
        Self::new(name, Kind::String)
    }

    pub(super) const fn boolean(name: &'static str) -> Self {
        Self::new(name, Kind::Boolean)
    }

    pub(super) const fn date_time(name: &'static str) -> Self {
        Self::new(name, Kind::DateTime)
    }

    pub(super) const fn binary(name: &'static str) -> Self {
        // Base64 text that differs in letter case stands for other bytes (RFC 7643 §2.3.6).
        Self::new(name, Kind::Binary).case_exact()
    }

    pub(super) const fn reference(name: &'static str, types: &'static [&'static str]) -> Self {
        let mut definition = Self::new(name, Kind::Reference);
        definition.reference_types = types;
        definition
    }

    pub(super) const fn complex(name: &'static str, sub_attributes: &'static [Self]) -> Self {
        let mut definition = Self::new(name, Kind::Complex);
        definition.sub_attributes = sub_attributes;
        definition
    }

    pub(super) const fn about(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    pub(super) const fn multi_valued(mut self) -> Self {
        self.multi_valued = true;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn defaulted(mut self) -> Self {
        self.defaulted = true;
        self
    }

    pub(super) const fn case_exact(mut self) -> Self {
        self.case_exact = true;
        self
    }

    pub(super) const fn mutability(mut self, mutability: Mutability) -> Self {
        self.mutability = mutability;
        self
    }

    pub(super) const fn returned(mut self, returned: Returned) -> Self {
        self.returned = returned;
        self
    }

    pub(super) const fn uniqueness(mut self, uniqueness: Uniqueness) -> Self {
        self.uniqueness = uniqueness;
        self
    }

    pub(super) const fn canonical(mut self, values: &'static [&'static str]) -> Self {
        self.canonical_values = values;
        self
    }
}

pub(super) fn find(definitions: &'static [AttributeDefinition], name: &str) -> Option<&'static AttributeDefinition> {
    definitions.iter().find(|definition| definition.name.eq_ignore_ascii_case(name))
}
