//! Resources and lists as a client sees them (RFC 7643 §3, RFC 7644 §3.4.2): borrowed, written once.

use std::fmt;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::scim::list::{LIST_SCHEMA, Page};
use crate::scim::resource::{Resource, ResourceType};

impl Resource {
    /// The resource as SCIM JSON. `base_url` is `<public url>/scim/v2/<workspace>`, without a slash at its end.
    pub const fn render<'a>(&'a self, base_url: &'a str) -> RenderedResource<'a> {
        RenderedResource { resource: self, base_url }
    }

    /// The resource's URL: `meta.location` and the `Location` header.
    pub fn location(&self, base_url: &str) -> String {
        format!("{base_url}/{}/{}", self.resource_type.endpoint(), self.id)
    }

    /// The URNs that `schemas` lists: exactly those in use (RFC 7643 §3).
    fn schemas(&self) -> impl Iterator<Item = &'static str> + '_ {
        let in_use = |urn: &&str| self.attributes.as_map().contains_key(*urn);
        let extensions = self.resource_type.extensions().iter().map(|schema| schema.id).filter(in_use);
        std::iter::once(self.resource_type.schema().id).chain(extensions)
    }
}

/// A [`Resource`] with `schemas`, `id` and `meta`, each member of a group with its `$ref`.
#[derive(Debug, Clone, Copy)]
pub struct RenderedResource<'a> {
    resource: &'a Resource,
    base_url: &'a str,
}

impl Serialize for RenderedResource<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { resource, base_url } = *self;
        let attributes = resource.attributes.as_map();
        let mut body = serializer.serialize_map(Some(attributes.len() + 3))?;
        body.serialize_entry("schemas", &Sequence(|| resource.schemas()))?;
        body.serialize_entry("id", &resource.id)?;
        for (name, value) in attributes {
            match value {
                Value::Array(members) if resource.resource_type == ResourceType::Group && name == "members" => {
                    body.serialize_entry(name, &Sequence(|| members.iter().map(|member| Member { member, base_url })))?;
                }
                value => body.serialize_entry(name, value)?,
            }
        }
        body.serialize_entry("meta", &RenderedMeta(self))?;
        body.end()
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

/// One of a group's members, with `$ref` (RFC 7643 §4.2).
struct Member<'a> {
    member: &'a Value,
    base_url: &'a str,
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(None)?;
        let sub_attributes = self.member.as_object().into_iter().flatten();
        for (name, value) in sub_attributes.filter(|(name, _)| *name != "$ref") {
            body.serialize_entry(name, value)?;
        }
        if let Some(id) = self.member.get("value").and_then(Value::as_str) {
            let is_group = self.member.get("type").and_then(Value::as_str) == Some(ResourceType::Group.name());
            let member_type = if is_group { ResourceType::Group } else { ResourceType::User };
            body.serialize_entry("$ref", &Text(format_args!("{}/{}/{id}", self.base_url, member_type.endpoint())))?;
        }
        body.end()
    }
}

/// `meta` (RFC 7643 §3.1).
struct RenderedMeta<'a>(&'a RenderedResource<'a>);

impl Serialize for RenderedMeta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let RenderedResource { resource, base_url } = *self.0;
        let mut body = serializer.serialize_map(Some(5))?;
        body.serialize_entry("resourceType", resource.resource_type.name())?;
        body.serialize_entry("created", &Text(resource.meta.created))?;
        body.serialize_entry("lastModified", &Text(resource.meta.last_modified))?;
        body.serialize_entry("location", &resource.location(base_url))?;
        body.serialize_entry("version", &Text(resource.meta.version))?;
        body.end()
    }
}

/// Anything that prints, as a JSON string.
struct Text<T>(T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A page of resources (RFC 7644 §3.4.2). `Resources` is always there, also when it is empty: Okta reads it.
#[derive(Debug, Clone, Copy)]
pub struct ListResponse<'a> {
    /// How many resources match in all.
    pub total: u64,
    /// Which part of them was asked for.
    pub page: Page,
    /// The resources of that part.
    pub resources: &'a [Resource],
    /// As for [`Resource::render`].
    pub base_url: &'a str,
}

impl Serialize for ListResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_map(Some(5))?;
        body.serialize_entry("schemas", &[LIST_SCHEMA])?;
        body.serialize_entry("totalResults", &self.total)?;
        body.serialize_entry("itemsPerPage", &self.resources.len())?;
        body.serialize_entry("startIndex", &self.page.start_index())?;
        let rendered = || self.resources.iter().map(|resource| resource.render(self.base_url));
        body.serialize_entry("Resources", &Sequence(rendered))?;
        body.end()
    }
}
