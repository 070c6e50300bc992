//! PATCH (RFC 7644 §3.5.2): operations that are parsed and checked once, and applied all or none.

mod apply;
mod members;
mod multi_valued;
mod parse;
mod path;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use path::PatchPath;

use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::resource_type::ResourceType;
use crate::scim::schema::{Extensions, ResourceSchema};

/// The URN of a PATCH request's body.
pub const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The operations of a PATCH, in their order. Every path exists in the schema and is writable, every value has its
/// attribute's type. Travels as the operations' JSON, each with its path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PatchJson", into = "PatchJson")]
pub struct PatchRequest {
    resource_type: ResourceType,
    operations: Vec<PatchOp>,
}

/// One operation on one attribute. An operation without a path, or on a whole extension, is parsed into one for each
/// attribute that it names.
#[derive(Debug, Clone, PartialEq)]
pub enum PatchOp {
    /// RFC 7644 §3.5.2.1.
    Add {
        /// The attribute.
        path: PatchPath,
        /// What to add; never null.
        value: Value,
    },
    /// RFC 7644 §3.5.2.3.
    Replace {
        /// The attribute.
        path: PatchPath,
        /// What to put in its place; never null.
        value: Value,
    },
    /// RFC 7644 §3.5.2.2.
    Remove {
        /// The attribute.
        path: PatchPath,
    },
    /// A `remove` with a value, which the standard does not know: only these values of a multi-valued attribute go.
    RemoveValues {
        /// The attribute, without filter and sub-attribute.
        path: PatchPath,
        /// What the values that go look like: one that names a part of them means all that have this part.
        values: Vec<Value>,
    },
    /// `add` on a group's `members`.
    AddMembers(BTreeSet<ResourceId>),
    /// `remove` of some of a group's `members`.
    RemoveMembers(BTreeSet<ResourceId>),
    /// `replace` of a group's `members`; with none, also `remove` of all.
    ReplaceMembers(BTreeSet<ResourceId>),
}

/// `op` (RFC 7644 §3.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

impl PatchRequest {
    /// The most operations in one request.
    pub const MAX_OPERATIONS: usize = 1000;

    /// Reads a request's body: 400 with `invalidSyntax`, `invalidPath`, `invalidFilter`, `invalidValue`, `noTarget` or
    /// `mutability`. Without a path, attributes that the schema does not know and those that are read-only are ignored,
    /// as in the body of a PUT; `password` is never kept.
    pub fn parse(schema: impl Into<ResourceSchema>, body: Value) -> Result<Self, ScimError> {
        let schema = schema.into();
        let operations = parse::operations(&schema, body)?;
        Ok(Self { resource_type: schema.resource_type(), operations })
    }

    /// The kind of resource that is changed.
    pub const fn resource_type(&self) -> ResourceType {
        self.resource_type
    }

    /// The operations, in their order.
    pub fn operations(&self) -> &[PatchOp] {
        &self.operations
    }

    /// The boolean that a simple attribute of the core schema is set to; the last one, if it is set more than once.
    pub fn sets_boolean(&self, name: &str) -> Option<bool> {
        self.values_of(name).last()?.as_bool()
    }

    /// The values, in their order, that a simple attribute of the core schema is set to.
    pub fn values_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        self.operations.iter().filter_map(move |operation| match operation {
            PatchOp::Add { path, value } | PatchOp::Replace { path, value } if path.attribute().is(name) => Some(value),
            _ => None,
        })
    }

    /// The names of the attributes that are written, `members` aside: canonical, with the extension's URN in front.
    pub fn written(&self) -> BTreeSet<String> {
        let paths = self.operations.iter().filter_map(PatchOp::path);
        paths.map(|path| path.attribute().parent().to_string()).collect()
    }
}

impl PatchOp {
    /// The path; none for operations on `members`.
    pub const fn path(&self) -> Option<&PatchPath> {
        match self {
            Self::Add { path, .. }
            | Self::Replace { path, .. }
            | Self::Remove { path }
            | Self::RemoveValues { path, .. } => Some(path),
            Self::AddMembers(_) | Self::RemoveMembers(_) | Self::ReplaceMembers(_) => None,
        }
    }

    fn into_json(self) -> Value {
        match self {
            Self::Add { path, value } => json!({ "op": "add", "path": path.to_string(), "value": value }),
            Self::Replace { path, value } => json!({ "op": "replace", "path": path.to_string(), "value": value }),
            Self::Remove { path } => json!({ "op": "remove", "path": path.to_string() }),
            Self::RemoveValues { path, values } => json!({ "op": "remove", "path": path.to_string(), "value": values }),
            Self::AddMembers(ids) => json!({ "op": "add", "path": "members", "value": ids }),
            Self::RemoveMembers(ids) => json!({ "op": "remove", "path": "members", "value": ids }),
            Self::ReplaceMembers(ids) => json!({ "op": "replace", "path": "members", "value": ids }),
        }
    }
}

/// How a request travels.
#[derive(Serialize, Deserialize)]
struct PatchJson {
    resource_type: ResourceType,
    operations: Vec<Value>,
    /// The workspace's own schemas that the paths name.
    #[serde(default, skip_serializing_if = "Extensions::is_empty")]
    extensions: Extensions,
}

impl From<PatchRequest> for PatchJson {
    fn from(request: PatchRequest) -> Self {
        let resource_type = request.resource_type;
        let schemas = request.operations.iter().filter_map(|operation| operation.path()?.attribute().extension());
        let extensions = Extensions::holding(resource_type, schemas);
        let operations = request.operations.into_iter().map(PatchOp::into_json).collect();
        Self { resource_type, operations, extensions }
    }
}

impl TryFrom<PatchJson> for PatchRequest {
    type Error = ScimError;

    fn try_from(text: PatchJson) -> Result<Self, ScimError> {
        let resource_type = text.resource_type;
        let schema = text.extensions.of(resource_type);
        let mut operations = Vec::with_capacity(text.operations.len());
        for operation in text.operations {
            operations.extend(parse::operation(&schema, operation)?);
        }
        Ok(Self { resource_type, operations })
    }
}

fn mutability(detail: impl Into<String>) -> ScimError {
    ScimError::bad_request(ScimType::Mutability, detail)
}
