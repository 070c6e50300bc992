//! One operation of a bulk request (RFC 7644 §3.7, table 7).

use serde_json::{Map, Value};

use super::reference::referenced;
use crate::id::ResourceId;
use crate::scim::error::{ScimError, ScimType};
use crate::scim::name::CanonicalName;
use crate::scim::precondition::Precondition;
use crate::scim::resource_type::ResourceType;

/// The longest method and bulkId that are given back, in bytes.
const MAX_BYTES: usize = 256;

/// One operation: what is given back of it, and what it asks or why it cannot.
#[derive(Debug)]
pub struct BulkOperation {
    /// The method as it was sent, in capitals.
    pub method: String,
    /// The client's own name for it.
    pub bulk_id: Option<String>,
    /// What is asked, or why this operation alone is refused.
    pub action: Result<Action, ScimError>,
}

/// What an operation asks. Its `data` is JSON as text: it becomes a tree again when its turn comes.
#[derive(Debug)]
pub enum Action {
    /// POST.
    Create {
        /// The kind of the new resource.
        resource_type: ResourceType,
        /// What its body says.
        body: Body,
    },
    /// PUT.
    Replace {
        /// Which resource.
        target: Target,
        /// Its `version`.
        precondition: Precondition,
        /// What its body says.
        body: Body,
    },
    /// PATCH.
    Patch {
        /// Which resource.
        target: Target,
        /// Its `version`.
        precondition: Precondition,
        /// What its body says.
        body: Body,
    },
    /// DELETE.
    Delete {
        /// Which resource.
        target: Target,
        /// Its `version`.
        precondition: Precondition,
    },
}

/// A resource that an operation names in its path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Its kind.
    pub resource_type: ResourceType,
    /// Which one.
    pub which: ResourceRef,
}

/// How a resource is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ResourceRef {
    /// By its id.
    Id(ResourceId),
    /// By the bulkId of the operation that creates it.
    BulkId(String),
}

/// An operation's `data`, and what has to be known of it before its turn.
#[derive(Debug)]
pub struct Body {
    /// The JSON text.
    pub text: Box<str>,
    /// The bulkIds that it refers to.
    pub references: Vec<String>,
    /// Whether it gives the resource a unique name; of a POST and a PUT, which.
    pub naming: NameClaim,
}

/// What a body says about the resource's unique name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameClaim {
    /// Nothing.
    Nothing,
    /// This is the name.
    Name(CanonicalName),
    /// It may change the name.
    Something,
}

impl BulkOperation {
    /// Reads one element of `Operations`.
    pub(super) fn read(mut members: Map<String, Value>) -> Self {
        let mut take = |name: &str| {
            let key = members.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
            key.and_then(|key| members.remove(&key)).filter(|value| !value.is_null())
        };
        let (method, bulk_id) = (take("method"), take("bulkId"));
        let (path, version, data) = (take("path"), take("version"), take("data"));
        let short = |value: &Option<Value>| {
            let text = value.as_ref().and_then(Value::as_str).filter(|text| text.len() <= MAX_BYTES);
            text.map(str::to_owned)
        };
        let action = if bulk_id.is_some() && short(&bulk_id).is_none_or(|id| id.is_empty()) {
            Err(invalid("bulkId must be a string of 1 to 256 bytes"))
        } else {
            action(short(&method), bulk_id.is_some(), path.as_ref(), version.as_ref(), data)
        };
        Self { method: short(&method).unwrap_or_default().to_ascii_uppercase(), bulk_id: short(&bulk_id), action }
    }
}

fn action(
    method: Option<String>,
    has_bulk_id: bool,
    path: Option<&Value>,
    version: Option<&Value>,
    data: Option<Value>,
) -> Result<Action, ScimError> {
    let method = method.ok_or_else(|| syntax("method is missing: POST, PUT, PATCH or DELETE"))?.to_ascii_uppercase();
    let path = path.and_then(Value::as_str).ok_or_else(|| syntax("path is missing, such as /Users"))?;
    let (resource_type, which) = place(path)?;
    let precondition = version.map_or(Ok(Precondition::None), precondition)?;
    let target = || {
        let which = which.clone().ok_or_else(|| ScimError::new(405, "this method needs the path of one resource"))?;
        Ok(Target { resource_type, which })
    };
    let body = |is_patch| Body::of(resource_type, data, is_patch);
    match method.as_str() {
        "POST" if which.is_some() => Err(ScimError::new(405, "POST needs the path of a collection, such as /Users")),
        "POST" if !has_bulk_id => Err(syntax("bulkId is missing: POST needs one")),
        "POST" => Ok(Action::Create { resource_type, body: body(false)? }),
        "PUT" => Ok(Action::Replace { target: target()?, precondition, body: body(false)? }),
        "PATCH" => Ok(Action::Patch { target: target()?, precondition, body: body(true)? }),
        "DELETE" => Ok(Action::Delete { target: target()?, precondition }),
        _ => Err(syntax("method must be POST, PUT, PATCH or DELETE")),
    }
}

/// `/Users`, `/Users/{id}`, `/Users/bulkId:{bulkId}`; also without the slash, after a version or the whole Base URL.
fn place(path: &str) -> Result<(ResourceType, Option<ResourceRef>), ScimError> {
    let nowhere = || ScimError::new(404, "there is nothing at this path");
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let last = parts.next().ok_or_else(nowhere)?;
    if let Some(resource_type) = ResourceType::from_endpoint(last) {
        return Ok((resource_type, None));
    }
    let resource_type = parts.next().and_then(ResourceType::from_endpoint).ok_or_else(nowhere)?;
    let which = match super::reference::bulk_id(last) {
        Some(bulk_id) => ResourceRef::BulkId(bulk_id.to_owned()),
        // What cannot be an id of ours is answered like an id that is not there.
        None => ResourceRef::Id(last.parse().map_err(|_| ScimError::not_found())?),
    };
    Ok((resource_type, Some(which)))
}

/// The `version` of an operation is what `If-Match` is to a single request. One that is not of this server's form matches
/// nothing: 412.
fn precondition(version: &Value) -> Result<Precondition, ScimError> {
    let text = version.as_str().ok_or_else(|| invalid("version must be a string, as in meta.version"))?;
    if text.trim() == "*" {
        return Ok(Precondition::Exists);
    }
    Ok(Precondition::IfMatch(text.split(',').filter_map(|tag| tag.trim().parse().ok()).collect()))
}

impl Body {
    fn of(resource_type: ResourceType, data: Option<Value>, is_patch: bool) -> Result<Self, ScimError> {
        let data = data.ok_or_else(|| syntax("data is missing"))?;
        let Value::Object(members) = &data else { return Err(syntax("data must be a JSON object")) };
        let unique = resource_type.unique_attribute();
        let naming = if is_patch {
            let text = data.to_string().to_ascii_lowercase();
            if text.contains(&unique.to_ascii_lowercase()) { NameClaim::Something } else { NameClaim::Nothing }
        } else {
            let name = members.iter().find(|(key, _)| key.eq_ignore_ascii_case(unique)).map(|(_, value)| value);
            name.and_then(Value::as_str).map_or(NameClaim::Nothing, |name| NameClaim::Name(CanonicalName::of(name)))
        };
        let references = referenced(&data);
        Ok(Self { text: data.to_string().into(), references, naming })
    }
}

impl Action {
    /// The kind of resource that it is about.
    pub const fn resource_type(&self) -> ResourceType {
        match self {
            Self::Create { resource_type, .. } => *resource_type,
            Self::Replace { target, .. } | Self::Patch { target, .. } | Self::Delete { target, .. } => {
                target.resource_type
            }
        }
    }

    /// The resource that it names; none for one that it creates.
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Create { .. } => None,
            Self::Replace { target, .. } | Self::Patch { target, .. } | Self::Delete { target, .. } => Some(target),
        }
    }

    /// Its body; none for a DELETE.
    pub const fn body(&self) -> Option<&Body> {
        match self {
            Self::Create { body, .. } | Self::Replace { body, .. } | Self::Patch { body, .. } => Some(body),
            Self::Delete { .. } => None,
        }
    }
}

fn syntax(detail: &str) -> ScimError {
    ScimError::bad_request(ScimType::InvalidSyntax, detail)
}

fn invalid(detail: &str) -> ScimError {
    ScimError::bad_request(ScimType::InvalidValue, detail)
}
