//! The values that the tests start from.

use std::collections::BTreeSet;

use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::message::envelope::{Envelope, FORMAT_VERSION, Fingerprint};
use protocol::ownership::Source;
use protocol::scim::attributes::Attributes;
use protocol::scim::body::{ResourceBody, UnparsedBody};
use protocol::scim::dialect::Dialect;
use protocol::scim::error::ScimError;
use protocol::scim::patch::PatchRequest;
use protocol::scim::resource::{Meta, Ownership, Resource, Version};
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use protocol::time::Timestamp;
use serde_json::Value;

pub(crate) const CREATED: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_060_000);

/// The n-th id.
pub(crate) fn id(n: u32) -> ResourceId {
    format!("01900000-0000-7000-8000-{n:012}").parse().unwrap()
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Attributes as they are stored.
pub(crate) fn stored(text: &str) -> Attributes {
    serde_json::from_str(text).unwrap()
}

/// A resource from its row's attributes.
pub(crate) fn resource(resource_type: ResourceType, id: ResourceId, attributes: &str) -> Resource {
    let meta = Meta { created: CREATED, last_modified: CREATED, version: Version::FIRST };
    Resource::new(resource_type, id, stored(attributes), meta, Ownership::default())
}

/// A body of a POST or PUT. What is no object is refused with the attributes.
pub(crate) fn body(resource_type: ResourceType, sent: Value) -> Result<ResourceBody, ScimError> {
    if let Ok(body) = serde_json::from_value::<UnparsedBody>(sent.clone()) {
        return body.parse(resource_type, Dialect::Standard);
    }
    let attributes = Attributes::parse(resource_type, sent)?;
    Ok(ResourceBody { attributes, members: BTreeSet::new() })
}

/// A PATCH from the text of its operations.
pub(crate) fn patch(resource_type: ResourceType, operations: &str) -> Result<PatchRequest, ScimError> {
    let body = format!(r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":{operations}}}"#);
    PatchRequest::parse(resource_type, json(&body))
}

pub(crate) fn envelope(resource_type: ResourceType, source: Source, body: Command) -> Envelope<Command> {
    Envelope {
        version: FORMAT_VERSION,
        operation: "01900000-0000-7000-8000-0000000000ff".parse().unwrap(),
        workspace: "acme".parse().unwrap(),
        resource_type,
        resource: id(1),
        source,
        token: match source {
            Source::IdentityProvider => Some("7Gk2".parse().unwrap()),
            Source::Application => None,
        },
        fingerprint: Fingerprint("00ff".repeat(16)),
        ingress: "edge1".parse().unwrap(),
        deadline: NOW,
        trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        extensions: Extensions::default(),
        body,
    }
}

/// The URN of [`acme`]'s schema.
pub(crate) const ACME: &str = "urn:acme:scim:schemas:2.0:User";

/// A custom extension with an attribute of every kind and characteristic.
pub(crate) fn acme() -> Extensions {
    let schema = format!(
        r#"[{{"resource_type":"User","schema":{{"id":"{ACME}","name":"Acme","description":"d","attributes":[
            {{"name":"badge","caseExact":true,"required":true}},
            {{"name":"team"}},
            {{"name":"hiredAt","type":"dateTime","mutability":"immutable"}},
            {{"name":"floor","type":"integer"}},
            {{"name":"grade","mutability":"readOnly"}},
            {{"name":"pin","mutability":"writeOnly","returned":"never"}},
            {{"name":"secret","returned":"never"}},
            {{"name":"note","returned":"request"}},
            {{"name":"tag","returned":"always"}},
            {{"name":"desks","type":"complex","multiValued":true,"subAttributes":[
                {{"name":"value"}},{{"name":"floor","type":"integer"}},{{"name":"keyCode","caseExact":true}}]}}
        ]}}}}]"#
    );
    serde_json::from_str(&schema).unwrap()
}

/// An error as tests show it.
pub(crate) fn shown(error: &ScimError) -> String {
    let keyword = error.scim_type.map_or("", |scim_type| scim_type.as_str());
    format!("{} {keyword}: {}", error.status, error.detail)
}
