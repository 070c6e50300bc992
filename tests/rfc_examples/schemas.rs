//! RFC 7643 §8.7.1: every attribute of the standard's schemas is in `/Schemas`, with the standard's characteristics.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::example;
use crate::harness::{Database, System};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// Where this server differs on purpose: schema, attribute, characteristic, its value here, and why.
const DIFFERENCES: &[(&str, &str, &str, &str, &str)] = &[
    (USER, "active", "required", "true", "it is never left open whether somebody has access; true if nothing is said"),
    (
        USER,
        "x509Certificates.value",
        "caseExact",
        "true",
        "§2.3.6: binary values are case exact; other letters, other bytes",
    ),
    (GROUP, "displayName", "required", "true", "§4.2: REQUIRED"),
    (GROUP, "displayName", "uniqueness", "\"server\"", "Entra matches groups by it and relies on the 409"),
];

/// What this server has beyond the standard's schemas: schema, attribute, and why.
const ADDITIONS: &[(&str, &str, &str)] = &[
    (USER, "addresses.primary", "§2.4 has it for every multi-valued attribute, and the example of §8.2 uses it"),
    (GROUP, "members.display", "§2.4 has it for every multi-valued attribute, and the example of §8.4 uses it"),
];

/// Schemas are the ingress's own and come from no database, so one is enough.
#[tokio::test]
async fn every_attribute_has_the_characteristics_of_the_standard() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    for file in ["8_7_1_schema_user", "8_7_1_schema_group", "8_7_1_schema_enterprise_user"] {
        let theirs = example(&format!("rfc7643/{file}.json"));
        let urn = theirs["id"].as_str().unwrap();
        let ours = scim.get(&format!("/Schemas/{urn}")).await.expect(200).body;
        assert_eq!((&ours["id"], &ours["name"]), (&theirs["id"], &theirs["name"]));
        assert_eq!(ours["meta"]["location"], format!("{}/Schemas/{urn}", scim.base_url));
        assert_eq!(ours["meta"]["resourceType"], theirs["meta"]["resourceType"]);
        assert_eq!(characteristics(&ours), expected(&theirs, urn), "{urn}");
    }
}

#[tokio::test]
async fn all_schemas_are_listed_and_each_is_described() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let list = scim.get("/Schemas").await.expect(200).body;
    assert_eq!(list["totalResults"], 3);
    for schema in list["Resources"].as_array().unwrap() {
        let one = scim.get(&format!("/Schemas/{}", schema["id"].as_str().unwrap())).await.expect(200).body;
        assert_eq!(&one, schema);
        for (path, attribute) in attributes(schema) {
            assert!(attribute["description"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
        }
    }
}

/// Each attribute's characteristics by its path.
type Characteristics = BTreeMap<String, BTreeMap<&'static str, Value>>;

/// What the standard's schema and the tables above say.
fn expected(theirs: &Value, urn: &str) -> Characteristics {
    let mut expected = characteristics(theirs);
    for (_, path, name, value, _) in DIFFERENCES.iter().filter(|(schema, ..)| *schema == urn) {
        let value: Value = serde_json::from_str(value).unwrap();
        let before = expected.get_mut(*path).unwrap().insert(name, value.clone());
        assert_ne!(before, Some(value), "{path} does not differ");
    }
    for (_, path, _) in ADDITIONS.iter().filter(|(schema, ..)| *schema == urn) {
        let added = match *path {
            "addresses.primary" => json!({ "type": "boolean" }),
            // The member's name as it is now: shown to who asks, so that nobody meets what he did not send.
            _ => json!({ "type": "string", "mutability": "readOnly", "returned": "request" }),
        };
        assert!(expected.insert((*path).to_owned(), of(&added)).is_none(), "{path} is the standard's");
    }
    expected
}

fn characteristics(schema: &Value) -> Characteristics {
    attributes(schema).into_iter().map(|(path, attribute)| (path, of(attribute))).collect()
}

/// The characteristics of one attribute; what is not said has the default of §2.2.
fn of(attribute: &Value) -> BTreeMap<&'static str, Value> {
    let defaults = [
        ("type", json!("string")),
        ("multiValued", json!(false)),
        ("required", json!(false)),
        ("caseExact", json!(false)),
        ("mutability", json!("readWrite")),
        ("returned", json!("default")),
        ("uniqueness", json!("none")),
        ("canonicalValues", json!([])),
        ("referenceTypes", json!([])),
    ];
    let said = |name: &str| attribute.get(name).cloned();
    defaults.into_iter().map(|(name, default)| (name, said(name).unwrap_or(default))).collect()
}

/// The attributes and sub-attributes of a schema, by their paths.
fn attributes(schema: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for attribute in schema["attributes"].as_array().unwrap() {
        let name = attribute["name"].as_str().unwrap();
        all.push((name.to_owned(), attribute));
        for part in attribute["subAttributes"].as_array().into_iter().flatten() {
            all.push((format!("{name}.{}", part["name"].as_str().unwrap()), part));
        }
    }
    all
}
