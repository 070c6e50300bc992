//! RFC 7643 §8.5, §8.6, §8.7.2 and RFC 7644 §4: what the server says of itself.
//!
//! The schemas of §8.7.2 describe these very documents. `/Schemas` does not list them: it is for the schemas of
//! resources that clients provision (RFC 7644 §4), and provisioning tools offer everything in it for mapping. Here they
//! are what the documents are checked against.

use serde_json::{Map, Value, json};

use super::example;
use crate::harness::scim::Scim;
use crate::harness::{Database, System};

/// In the documents and in no schema of §8.7.2, but in the text of RFC 7643: common attributes (§3.1), and what §8.7.2
/// forgot of §5.
const NOT_IN_A_SCHEMA: &[&str] =
    &["schemas", "meta", "etag", "authenticationSchemes.type", "authenticationSchemes.primary"];

#[tokio::test]
async fn the_configuration_has_the_form_of_the_example() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let theirs = example("rfc7643/8_5_service_provider_config.json");
    let ours = scim.get("/ServiceProviderConfig").await.expect(200).body;
    // Everything but what is optional (§5) and what only a resource that changes has.
    for (name, value) in theirs.as_object().unwrap().iter().filter(|(name, _)| *name != "documentationUri") {
        let parts = value.as_object().into_iter().flatten().map(|(part, _)| part);
        for part in parts.filter(|part| !["created", "lastModified", "version"].contains(&part.as_str())) {
            assert!(ours[name].get(part).is_some(), "{name}.{part}");
        }
        assert!(ours.get(name).is_some(), "{name}");
    }
    assert_eq!(ours["schemas"], theirs["schemas"]);
    assert_eq!(ours["meta"]["resourceType"], theirs["meta"]["resourceType"]);
    assert_eq!(ours["meta"]["location"], format!("{}/ServiceProviderConfig", scim.base_url));
    assert_eq!(ours["authenticationSchemes"][0]["type"], theirs["authenticationSchemes"][0]["type"]);
    for supported in ["patch", "filter", "sort", "etag"] {
        assert_eq!(ours[supported]["supported"], json!(true), "{supported}");
    }
}

#[tokio::test]
async fn the_kinds_of_resource_are_those_of_the_example() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let expected: Vec<Value> = example("rfc7643/8_6_resource_types.json")
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| as_here(kind, &scim))
        .collect();
    let list = scim.get("/ResourceTypes").await.expect(200).body;
    assert_eq!(list["Resources"], json!(expected));
    for kind in &expected {
        let path = format!("/ResourceTypes/{}", kind["name"].as_str().unwrap());
        assert_eq!(&scim.get(&path).await.expect(200).body, kind);
    }
    // RFC 7644 §4 shows the same kinds in a list, and demands that filters are refused and pages ignored.
    let theirs = example("rfc7644/4_resource_types.json");
    assert_eq!(theirs["Resources"], example("rfc7643/8_6_resource_types.json"));
    for name in ["schemas", "totalResults", "startIndex"] {
        assert_eq!(list[name], theirs[name], "{name}");
    }
    assert_eq!(scim.get("/ResourceTypes?startIndex=2&count=1&sortBy=name").await.expect(200).body, list);
    scim.filtered("/ResourceTypes", "name eq \"User\"").await.expect_error(403, None);
}

#[tokio::test]
async fn every_document_follows_its_schema() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let config = scim.get("/ServiceProviderConfig").await.expect(200).body;
    let mut schema = example("rfc7643/8_7_2_schema_service_provider_config.json");
    schema["attributes"].as_array_mut().unwrap().push(pagination());
    assert_follows(&config, &schema);
    for (path, file) in [("/ResourceTypes", "resource_type"), ("/Schemas", "schema")] {
        let schema = example(&format!("rfc7643/8_7_2_schema_{file}.json"));
        for document in scim.get(path).await.expect(200).body["Resources"].as_array().unwrap() {
            assert_follows(document, &schema);
        }
    }
    let listed = scim.get("/Schemas").await.expect(200).body.to_string();
    assert!(!listed.contains("core:2.0:ServiceProviderConfig"), "the schemas of these documents are not listed");
}

/// What RFC 9865 §4 adds to the configuration, in words only.
fn pagination() -> Value {
    json!({ "name": "pagination", "type": "complex", "required": false, "subAttributes": [
        { "name": "cursor", "type": "boolean", "required": true },
        { "name": "index", "type": "boolean", "required": true },
        { "name": "defaultPaginationMethod", "type": "string", "required": false },
        { "name": "defaultPageSize", "type": "integer", "required": false },
        { "name": "maxPageSize", "type": "integer", "required": false },
        { "name": "cursorTimeout", "type": "integer", "required": false },
    ] })
}

/// The example as this server has it: at its own place, with an extension that nobody has to send, and with a list of
/// none where the example has no list.
fn as_here(kind: &Value, scim: &Scim) -> Value {
    let mut kind = kind.clone();
    kind["meta"]["location"] = json!(format!("{}/ResourceTypes/{}", scim.base_url, kind["id"].as_str().unwrap()));
    match kind.get_mut("schemaExtensions") {
        Some(extensions) => extensions[0]["required"] = json!(false),
        None => kind["schemaExtensions"] = json!([]),
    }
    kind
}

/// Checks that a document has what its schema requires, each attribute of its type, and nothing else.
#[track_caller]
fn assert_follows(document: &Value, schema: &Value) {
    assert_eq!(document["schemas"], json!([schema["id"]]));
    follow(document.as_object().unwrap(), schema["attributes"].as_array().unwrap(), "");
}

#[track_caller]
fn follow(object: &Map<String, Value>, definitions: &[Value], parent: &str) {
    for definition in definitions.iter().filter(|definition| definition["required"] == json!(true)) {
        let name = definition["name"].as_str().unwrap();
        assert!(object.contains_key(name), "{parent}{name} is missing");
    }
    for (name, value) in object {
        let path = format!("{parent}{name}");
        let Some(definition) = definitions.iter().find(|definition| definition["name"] == json!(name)) else {
            assert!(NOT_IN_A_SCHEMA.contains(&path.as_str()), "{path} is in no schema");
            continue;
        };
        let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            match (definition["type"].as_str().unwrap(), value) {
                ("complex", Value::Object(parts)) => {
                    follow(parts, definition["subAttributes"].as_array().unwrap(), &format!("{path}."));
                }
                ("string" | "reference", Value::String(_))
                | ("boolean", Value::Bool(_))
                | ("integer", Value::Number(_)) => {}
                (kind, value) => panic!("{path} is {value}, not of type {kind}"),
            }
        }
    }
}
