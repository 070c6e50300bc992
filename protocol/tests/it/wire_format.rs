//! Golden envelopes: what was written once stays readable, and is written the same.

use std::collections::BTreeSet;
use std::path::PathBuf;

use protocol::message::command::Command;
use protocol::message::envelope::{DecodeError, Envelope};
use protocol::ownership::Source;
use protocol::scim::attributes::Attributes;
use protocol::scim::body::ResourceBody;
use protocol::scim::patch::{PATCH_SCHEMA, PatchRequest};
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use serde_json::Value;

use crate::values::{body, envelope, id, json, patch};

fn check(name: &str, expected: &Envelope<Command>) {
    let version = expected.version;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/wire/v{version}")).join(name);
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("reading {name}: {error}"));
    assert_eq!(&Envelope::decode(&golden).unwrap(), expected, "{name} is read differently");
    let written: Value = serde_json::from_slice(&expected.encode().unwrap()).unwrap();
    assert_eq!(written, serde_json::from_slice::<Value>(&golden).unwrap(), "{name} is written differently");
}

fn provider(resource_type: ResourceType, command: Command) -> Envelope<Command> {
    envelope(resource_type, Source::IdentityProvider, command)
}

fn user_body() -> Attributes {
    let body = r#"{"userName":"alice@example.com","active":true,"name":{"givenName":"Alice"},
        "emails":[{"type":"work","value":"alice@example.com","primary":true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"R&D"}}"#;
    Attributes::parse(ResourceType::User, json(body)).unwrap()
}

#[test]
fn create() {
    let create = Command::Create { attributes: user_body(), members: BTreeSet::new() };
    check("user_create.json", &provider(ResourceType::User, create));
    let sent = format!(r#"{{"displayName":"Staff","members":[{{"value":"{}","display":"Alice"}}]}}"#, id(2));
    let ResourceBody { attributes, members } = body(ResourceType::Group, json(&sent)).unwrap();
    check("group_create.json", &provider(ResourceType::Group, Command::Create { attributes, members }));
}

#[test]
fn replace() {
    let precondition = Precondition::IfMatch(vec![Version::FIRST, Version::from_number(7)]);
    let replace = Command::Replace { attributes: user_body(), members: BTreeSet::new(), precondition };
    check("user_replace.json", &provider(ResourceType::User, replace));
}

#[test]
fn patches() {
    let operations = r#"[{"op":"replace","value":{"active":false,"name.givenName":"A"}},
        {"op":"add","path":"emails[type eq \"work\" and (primary eq true or value co \"@x\")].display","value":"W"},
        {"op":"remove","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]"#;
    let request = patch(ResourceType::User, operations).unwrap();
    let precondition = Precondition::Exists;
    check("user_patch.json", &provider(ResourceType::User, Command::Patch { request, precondition }));
    let operations = format!(
        r#"[{{"op":"replace","path":"members","value":[]}},{{"op":"add","path":"members","value":["{}"]}},
            {{"op":"remove","path":"members[value eq \"{}\"]"}},{{"op":"replace","path":"displayName","value":"All"}}]"#,
        id(2),
        id(3)
    );
    let request = patch(ResourceType::Group, &operations).unwrap();
    let precondition = Precondition::None;
    check("group_patch.json", &provider(ResourceType::Group, Command::Patch { request, precondition }));
}

#[test]
fn delete() {
    let precondition = Precondition::None;
    check("user_delete.json", &provider(ResourceType::User, Command::Delete { precondition }));
}

/// A workspace's own schema.
fn extensions() -> Extensions {
    let schema = r#"[{"resource_type":"User","schema":{"id":"urn:acme:1.0:User","name":"Acme","attributes":[
        {"name":"badge","caseExact":true,"required":true},
        {"name":"desks","type":"complex","multiValued":true,"subAttributes":[
            {"name":"value","canonicalValues":["North"]},{"name":"floor","type":"integer"}]}]}}]"#;
    serde_json::from_str(schema).unwrap()
}

/// With the schemas of the workspace.
fn with_extensions(command: Command) -> Envelope<Command> {
    Envelope { extensions: extensions(), ..provider(ResourceType::User, command) }
}

#[test]
fn schemas_and_if_none_match() {
    let schema = extensions().of(ResourceType::User);
    let body = r#"{"userName":"alice","urn:acme:1.0:User":{"badge":"A7","desks":[{"value":"North","floor":3}]}}"#;
    let attributes = Attributes::parse(schema.clone(), json(body)).unwrap();
    check("user_create_extension.json", &with_extensions(Command::Create { attributes, members: BTreeSet::new() }));
    let operations = format!(
        r#"{{"schemas":["{PATCH_SCHEMA}"],"Operations":[{{"op":"add","path":"urn:acme:1.0:User:badge","value":"B8"}},
            {{"op":"remove","path":"urn:acme:1.0:User:desks[value eq \"North\"].floor"}}]}}"#
    );
    let request = PatchRequest::parse(schema, json(&operations)).unwrap();
    let precondition = Precondition::None;
    check("user_patch_extension.json", &with_extensions(Command::Patch { request, precondition }));
    let precondition = Precondition::IfNoneMatch(vec![Version::from_number(3)]);
    let delete = provider(ResourceType::User, Command::Delete { precondition });
    check("user_delete_if_none_match.json", &delete);
    let (attributes, members) = (user_body(), BTreeSet::new());
    let replace = Command::Replace { attributes, members, precondition: Precondition::Absent };
    check("user_replace_if_none_match_any.json", &provider(ResourceType::User, replace));
}

#[test]
fn a_patch_of_the_application() {
    let request = patch(ResourceType::User, r#"[{"op":"replace","path":"timezone","value":"Europe/Paris"}]"#).unwrap();
    let command = Command::Patch { request, precondition: Precondition::None };
    check("user_patch_application.json", &envelope(ResourceType::User, Source::Application, command));
}

#[test]
fn an_operation_that_cannot_be_understood_is_undecodable() {
    let request = patch(ResourceType::User, r#"[{"op":"remove","path":"title"}]"#).unwrap();
    let command = Command::Patch { request, precondition: Precondition::None };
    let written = String::from_utf8(provider(ResourceType::User, command).encode().unwrap()).unwrap();
    let broken = written.replace("\"title\"", "\"shoeSize\"");
    assert!(matches!(Envelope::decode(broken.as_bytes()), Err(DecodeError::Undecodable(_))));
}
