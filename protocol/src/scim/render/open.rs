//! Resources and lists whose groups are too large for one message: everything but the members is written at once, the
//! members page by page. What comes out is the JSON of [`Resource::render`], with `members` as the last attribute.

use serde::Serialize;

use super::{ListResponse, Reference};
use crate::id::ResourceId;
use crate::scim::members::{Member, Members};
use crate::scim::projection::{Projection, Shown};
use crate::scim::resource::Resource;
use crate::scim::resource_type::ResourceType;

/// A group that is written but for its members and the end.
#[derive(Debug)]
#[must_use = "without its end it is no JSON"]
pub struct OpenGroup {
    /// The group.
    pub id: ResourceId,
    shown: Shown,
    /// Whether a member was written.
    begun: bool,
}

impl Resource {
    /// Whether members have to be asked for to show the resource.
    pub fn is_open(&self, projection: &Projection) -> bool {
        self.members == Members::Paged && projection.core(ResourceType::Group, "members") != Shown::Nothing
    }

    /// Writes the resource; a group whose members are shown and not in here stays open for them.
    pub fn open(
        &self,
        base_url: &str,
        projection: &Projection,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<Option<OpenGroup>> {
        serde_json::to_writer(&mut *out, &self.render(base_url, projection))?;
        if !self.is_open(projection) {
            return Ok(None);
        }
        // There is an attribute before the members: `id` is always shown.
        without_end(out, b"}")?;
        let shown = projection.core(ResourceType::Group, "members");
        Ok(Some(OpenGroup { id: self.id, shown, begun: false }))
    }
}

impl OpenGroup {
    /// Whether the members' names for people are shown.
    pub fn shows_display(&self) -> bool {
        self.shown.has_part("display")
    }

    /// Writes more members. `base_url` is that of [`Resource::open`].
    pub fn write(&mut self, members: &[Member], base_url: &str, out: &mut Vec<u8>) -> serde_json::Result<()> {
        for member in members {
            out.extend_from_slice(if self.begun { b"," } else { b",\"members\":[" });
            self.begun = true;
            let reference = Reference { member, of: ResourceType::Group, base_url, shown: &self.shown };
            serde_json::to_writer(&mut *out, &reference)?;
        }
        Ok(())
    }

    /// Writes the end. Without a live member there is no attribute (RFC 7643 §2.5).
    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.begun { b"]}" } else { b"}" });
    }
}

impl ListResponse<'_> {
    /// Writes everything that comes before the first resource. The resources follow, a comma between two, then
    /// [`ListResponse::END`].
    pub fn open(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        struct Empty<'a>(&'a ListResponse<'a>);
        impl Serialize for Empty<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.showing(serializer, &[])
            }
        }
        serde_json::to_writer(&mut *out, &Empty(self))?;
        without_end(out, Self::END)
    }

    /// What comes after the last resource.
    pub const END: &'static [u8] = b"]}";
}

/// Takes the end off what was written.
fn without_end(out: &mut Vec<u8>, end: &[u8]) -> serde_json::Result<()> {
    let rest = out.strip_suffix(end).map(<[u8]>::len);
    out.truncate(rest.ok_or_else(|| serde::ser::Error::custom("it does not end as it should"))?);
    Ok(())
}
