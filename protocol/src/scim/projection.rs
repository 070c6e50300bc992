//! Which attributes of a resource an answer holds: `attributes` and `excludedAttributes` (RFC 7644 §3.9, §3.4.2.5), and
//! what the schema says of each attribute's `returned` (RFC 7643 §7).

use crate::scim::error::{ScimError, ScimType};
use crate::scim::list::Include;
use crate::scim::path::AttributePath;
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{AttributeDefinition, Extensions, Returned, Schema};

/// What is shown of resources. Names that no schema knows select nothing and are no error.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Projection {
    rule: Rule,
    selected: Vec<Selector>,
    extensions: Extensions,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Rule {
    /// Everything whose `returned` is `always` or `default`.
    #[default]
    Everything,
    /// What is selected, and what is always returned.
    Only,
    /// Everything but what is selected.
    Except,
    /// Everything that is kept, whatever its `returned`.
    All,
}

/// A whole schema, an attribute, or a part of one.
#[derive(Debug, Clone, PartialEq)]
struct Selector {
    resource_type: ResourceType,
    extension: Option<&'static Schema>,
    attribute: Option<&'static str>,
    sub_attribute: Option<&'static str>,
}

/// How much of an attribute is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// All of it.
    Whole,
    /// Only these parts of its values.
    Only(Vec<&'static str>),
    /// All parts of its values but these.
    Except(Vec<&'static str>),
}

impl Projection {
    /// The most names in one request.
    pub const MAX_NAMES: usize = 100;

    /// Reads the two lists, for requests that may be answered with these kinds of resource. Both at once are 400
    /// `invalidValue`: they exclude each other.
    pub fn parse<'a>(
        extensions: &Extensions,
        kinds: &[ResourceType],
        attributes: &[&'a str],
        excluded: &[&'a str],
    ) -> Result<Self, ScimError> {
        let names = |names: &[&'a str]| names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        let (attributes, excluded): (Vec<&str>, Vec<&str>) = (names(attributes), names(excluded));
        let (rule, names) = match (attributes.is_empty(), excluded.is_empty()) {
            (true, true) => (Rule::Everything, attributes),
            (false, true) => (Rule::Only, attributes),
            (true, false) => (Rule::Except, excluded),
            (false, false) => return Err(invalid("attributes and excludedAttributes exclude each other: send one")),
        };
        if names.len() > Self::MAX_NAMES {
            return Err(invalid(&format!("attributes and excludedAttributes take at most {} names", Self::MAX_NAMES)));
        }
        let each = kinds.iter().flat_map(|kind| names.iter().filter_map(|name| Selector::of(extensions, *kind, name)));
        Ok(Self { rule, selected: each.collect(), extensions: extensions.clone() })
    }

    /// Everything that a workspace shows when nothing is asked for.
    pub const fn everything(extensions: Extensions) -> Self {
        Self { rule: Rule::Everything, selected: Vec::new(), extensions }
    }

    /// Everything that is kept, also what is shown only to who asks for it: what a filter compares.
    pub const fn complete(extensions: Extensions) -> Self {
        Self { rule: Rule::All, selected: Vec::new(), extensions }
    }

    /// Whether the client said what it wants to see.
    pub fn is_asked_for(&self) -> bool {
        self.rule != Rule::Everything
    }

    /// How much is shown of an attribute of the core schema or of all resources.
    pub fn core(&self, resource_type: ResourceType, name: &str) -> Shown {
        self.shown(resource_type, None, name, resource_type.attribute(name))
    }

    /// How much is shown of an attribute of the extension with that URN.
    pub fn of_extension(&self, resource_type: ResourceType, urn: &str, name: &str) -> Shown {
        let schema = self.extensions.of(resource_type);
        self.shown(resource_type, Some(urn), name, schema.extension(urn).and_then(|schema| schema.attribute(name)))
    }

    /// What has to be read beside the resources' own rows.
    pub fn joined(&self) -> Include {
        Include {
            members: self.core(ResourceType::Group, "members") != Shown::Nothing,
            groups: self.core(ResourceType::User, "groups") != Shown::Nothing,
        }
    }

    fn shown(
        &self,
        resource_type: ResourceType,
        urn: Option<&str>,
        name: &str,
        definition: Option<&'static AttributeDefinition>,
    ) -> Shown {
        let returned = definition.map_or(Returned::Default, |definition| definition.returned);
        let shown = match (self.rule, returned) {
            (Rule::All, _) => return Shown::Whole,
            (_, Returned::Never) | (Rule::Everything | Rule::Except, Returned::Request) => Shown::Nothing,
            (_, Returned::Always) | (Rule::Everything, Returned::Default) => Shown::Whole,
            (Rule::Only, Returned::Default | Returned::Request) => match self.parts(resource_type, urn, name) {
                Parts::All => Shown::Whole,
                Parts::Some(parts) if parts.is_empty() => Shown::Nothing,
                Parts::Some(parts) => Shown::Only(parts),
            },
            (Rule::Except, Returned::Default) => match self.parts(resource_type, urn, name) {
                Parts::All => Shown::Nothing,
                Parts::Some(parts) if parts.is_empty() => Shown::Whole,
                Parts::Some(parts) => Shown::Except(parts),
            },
        };
        shown.without(definition.map_or(&[], |definition| definition.sub_attributes))
    }

    /// Which parts of an attribute are selected.
    fn parts(&self, resource_type: ResourceType, urn: Option<&str>, name: &str) -> Parts {
        let here = self.selected.iter().filter(|selector| {
            selector.resource_type == resource_type
                && selector.extension.map(|schema| schema.id) == urn
                && selector.attribute.is_none_or(|attribute| attribute == name)
        });
        let parts: Option<Vec<&'static str>> = here.map(|selector| selector.sub_attribute).collect();
        parts.map_or(Parts::All, Parts::Some)
    }
}

impl Shown {
    /// Without the parts that are shown only to who names them.
    fn without(self, parts: &'static [AttributeDefinition]) -> Self {
        let unasked = |part: &&AttributeDefinition| matches!(part.returned, Returned::Request | Returned::Never);
        let hidden = parts.iter().filter(unasked).map(|part| part.name);
        match self {
            Self::Nothing | Self::Only(_) => self,
            Self::Whole => match hidden.collect::<Vec<_>>() {
                hidden if hidden.is_empty() => Self::Whole,
                hidden => Self::Except(hidden),
            },
            Self::Except(parts) => Self::Except(parts.into_iter().chain(hidden).collect()),
        }
    }
}

enum Parts {
    All,
    Some(Vec<&'static str>),
}

impl Selector {
    /// A name as clients send it: a path, or the URN of a whole schema.
    fn of(extensions: &Extensions, resource_type: ResourceType, name: &str) -> Option<Self> {
        let schema = extensions.of(resource_type);
        let whole = |extension| Self { resource_type, extension, attribute: None, sub_attribute: None };
        if name.eq_ignore_ascii_case(resource_type.schema().id) {
            return Some(whole(None));
        }
        if let Some(extension) = schema.extension(name) {
            return Some(whole(Some(extension)));
        }
        let path = AttributePath::parse(schema, name).ok()?;
        Some(Self {
            resource_type,
            extension: path.extension(),
            attribute: Some(path.attribute().name),
            sub_attribute: path.sub_attribute().map(|definition| definition.name),
        })
    }
}

fn invalid(detail: &str) -> ScimError {
    ScimError::bad_request(ScimType::InvalidValue, detail)
}
