//! Resources and lists as a client sees them (RFC 7643 §3, RFC 7644 §3.4.2): borrowed, written once.

mod open;

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

pub use self::open::OpenGroup;
use crate::scim::list::LIST_SCHEMA;
use crate::scim::members::{Member, Members};
use crate::scim::projection::{Projection, Shown};
use crate::scim::resource::Resource;
use crate::scim::resource_type::ResourceType;

impl Resource {
    /// The resource as SCIM JSON. `base_url` is `<public url>/scim/v2/<workspace>`, without a slash at its end.
    pub const fn render<'a>(&'a self, base_url: &'a str, projection: &'a Projection) -> RenderedResource<'a> {
        RenderedResource { resource: self, base_url, projection }
    }

    /// The resource's URL: `meta.location` and the `Location` header.
    pub fn location(&self, base_url: &str) -> String {
        format!("{base_url}/{}/{}", self.resource_type.endpoint(), self.id)
    }

    /// The URNs that `schemas` lists: exactly those in use (RFC 7643 §3). Extensions stand under their URNs.
    fn schemas(&self) -> impl Iterator<Item = &str> + '_ {
        let extensions = self.attributes.as_map().keys().map(String::as_str).filter(|name| is_urn(name));
        std::iter::once(self.resource_type.schema().id).chain(extensions)
    }
}

/// A [`Resource`] with `schemas`, `id` and `meta`, each reference to a member or a group with its `$ref`.
#[derive(Debug, Clone, Copy)]
pub struct RenderedResource<'a> {
    resource: &'a Resource,
    base_url: &'a str,
    projection: &'a Projection,
}

impl Serialize for RenderedResource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let resource = self.resource;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("schemas", &Sequence(|| resource.schemas()))?;
        body.serialize_entry("id", &resource.id)?;
        for (name, value) in resource.attributes.as_map() {
            match value {
                Value::Object(extension) if is_urn(name) => {
                    if let Some(extension) = self.extension(name, extension) {
                        body.serialize_entry(name, &extension)?;
                    }
                }
                value => self.attribute(&mut body, name, value)?,
            }
        }
        if let Members::Read(members) = &resource.members {
            self.references(&mut body, "members", members)?;
        }
        self.references(&mut body, "groups", &resource.groups)?;
        match self.shown("meta") {
            Shown::Nothing => {}
            shown => body.serialize_entry("meta", &RenderedMeta { rendered: self, shown })?,
        }
        body.end()
    }
}

impl RenderedResource<'_> {
    fn shown(&self, name: &str) -> Shown {
        self.projection.core(self.resource.resource_type, name)
    }

    fn attribute<M: SerializeMap>(&self, body: &mut M, name: &str, value: &Value) -> Result<(), M::Error> {
        match self.shown(name) {
            Shown::Nothing => Ok(()),
            shown => body.serialize_entry(name, &Part { value, shown: &shown }),
        }
    }

    /// Without any there is no attribute (RFC 7643 §2.5).
    fn references<M: SerializeMap>(&self, body: &mut M, name: &str, members: &[Member]) -> Result<(), M::Error> {
        let shown = self.shown(name);
        if members.is_empty() || shown == Shown::Nothing {
            return Ok(());
        }
        let reference =
            |member| Reference { member, of: self.resource.resource_type, base_url: self.base_url, shown: &shown };
        body.serialize_entry(name, &Sequence(|| members.iter().map(reference)))
    }

    /// An extension with what is shown of it; none if that is nothing.
    fn extension<'a>(&self, urn: &str, extension: &'a Map<String, Value>) -> Option<Extension<'a>> {
        let shown = |name: &String| self.projection.of_extension(self.resource.resource_type, urn, name);
        let shown = extension.iter().map(|(name, value)| (name, value, shown(name)));
        let attributes: Vec<_> = shown.filter(|(.., shown)| *shown != Shown::Nothing).collect();
        if attributes.is_empty() { None } else { Some(Extension { attributes }) }
    }
}

fn is_urn(name: &str) -> bool {
    name.contains(':')
}

/// An extension's attributes that are shown.
struct Extension<'a> {
    attributes: Vec<(&'a String, &'a Value, Shown)>,
}

impl Serialize for Extension<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.attributes.iter().map(|(name, value, shown)| (name, Part { value, shown })))
    }
}

/// A value with those of its parts that are shown.
struct Part<'a> {
    value: &'a Value,
    shown: &'a Shown,
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.shown, self.value) {
            (Shown::Whole, value) => value.serialize(serializer),
            (shown, Value::Array(values)) => serializer.collect_seq(values.iter().map(|value| Part { value, shown })),
            (shown, Value::Object(parts)) => {
                serializer.collect_map(parts.iter().filter(|(name, _)| shown.has_part(name)))
            }
            (_, value) => value.serialize(serializer),
        }
    }
}

impl Shown {
    fn has_part(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Whole => true,
            Self::Only(parts) => parts.contains(&name),
            Self::Except(parts) => !parts.contains(&name),
        }
    }
}

/// Any iterator as a JSON array.
struct Sequence<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Sequence<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut elements = serializer.serialize_seq(None)?;
        for element in (self.0)() {
            elements.serialize_element(&element)?;
        }
        elements.end()
    }
}

/// One of a group's members or of a user's groups, with `$ref` (RFC 7643 §4.1.2, §4.2).
struct Reference<'a> {
    member: &'a Member,
    /// What refers to it.
    of: ResourceType,
    base_url: &'a str,
    shown: &'a Shown,
}

impl Serialize for Reference<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Member { id, resource_type, display } = self.member;
        let kind = match self.of {
            ResourceType::Group => resource_type.name(),
            ResourceType::User => "direct",
        };
        let location = format!("{}/{}/{id}", self.base_url, resource_type.endpoint());
        let display = display.iter().map(|display| ("display", display as &dyn fmt::Display));
        let parts = display.chain([("type", &kind as &dyn fmt::Display), ("value", id), ("$ref", &location)]);
        let shown = parts.filter(|(name, _)| self.shown.has_part(name));
        serializer.collect_map(shown.map(|(name, value)| (name, Text(value))))
    }
}

/// `meta` (RFC 7643 §3.1).
struct RenderedMeta<'a> {
    rendered: &'a RenderedResource<'a>,
    shown: Shown,
}

impl Serialize for RenderedMeta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RenderedResource { resource, base_url, .. } = *self.rendered;
        let location = resource.location(base_url);
        let parts: [(&str, &dyn fmt::Display); 5] = [
            ("resourceType", &resource.resource_type.name()),
            ("created", &resource.meta.created),
            ("lastModified", &resource.meta.last_modified),
            ("location", &location),
            ("version", &resource.meta.version),
        ];
        let shown = parts.into_iter().filter(|(name, _)| self.shown.has_part(name));
        serializer.collect_map(shown.map(|(name, value)| (name, Text(value))))
    }
}

/// Anything that prints, as a JSON string.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Where a page is in its list.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// By index: that of its first resource, from 1.
    Index(u64),
    /// In a walk: the cursor of the next page, none on the last one (RFC 9865 §2).
    Walk {
        /// The cursor.
        next: Option<&'a str>,
    },
}

/// A page of resources (RFC 7644 §3.4.2). `Resources` is always there, also when it is empty: Okta reads it.
#[derive(Debug, Clone, Copy)]
pub struct ListResponse<'a> {
    /// How many resources match in all.
    pub total: u64,
    /// Where the page is among them.
    pub place: Place<'a>,
    /// The resources of the page.
    pub resources: &'a [Resource],
    /// As for [`Resource::render`].
    pub base_url: &'a str,
    /// What is shown of them.
    pub projection: &'a Projection,
}

impl Serialize for ListResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.showing(serializer, self.resources)
    }
}

impl ListResponse<'_> {
    /// The list with these of its resources. They come last.
    fn showing<S: Serializer>(&self, serializer: S, shown: &[Resource]) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("schemas", &[LIST_SCHEMA])?;
        body.serialize_entry("totalResults", &self.total)?;
        body.serialize_entry("itemsPerPage", &self.resources.len())?;
        match self.place {
            Place::Index(start) => body.serialize_entry("startIndex", &start)?,
            Place::Walk { next: Some(next) } => body.serialize_entry("nextCursor", next)?,
            Place::Walk { next: None } => {}
        }
        let rendered = || shown.iter().map(|resource| resource.render(self.base_url, self.projection));
        body.serialize_entry("Resources", &Sequence(rendered))?;
        body.end()
    }
}
