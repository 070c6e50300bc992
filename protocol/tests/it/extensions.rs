//! A workspace's own schemas: which are accepted, and how they travel.

use expect_test::{Expect, expect};
use protocol::message::envelope::Envelope;
use protocol::ownership::Source;
use protocol::scim::filter::Filter;
use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{ExtensionJson, Extensions};
use serde_json::{Value, json};

use crate::extension_rules::{command, patch};
use crate::values::{ACME, acme, envelope};

fn text(id: &str, attributes: Value) -> ExtensionJson {
    let mut text = json!({ "resource_type": "User", "schema": { "id": id } });
    text["schema"]["attributes"] = attributes;
    serde_json::from_value(text).unwrap()
}

fn check(id: &str, attributes: Value, expected: &Expect) {
    expected.assert_eq(&text(id, attributes).check().map_or_else(|wrong| wrong, |()| "accepted".to_owned()));
}

#[test]
fn a_urn_is_short_plain_and_not_taken() {
    let attributes = || json!([{ "name": "a" }]);
    let malformed = expect!["id must be a URN of at most 256 letters, digits, '.', '_', '-' and ':'"];
    check("URN:acme:a_b-c.1:User", attributes(), &expect!["accepted"]);
    for id in ["", "urn", "acme:User", "urn:a b", "urn:a/b", "urn:ü", "ürn:a", &format!("urn:{}", "x".repeat(253))] {
        check(id, attributes(), &malformed);
    }
    check(&format!("urn:{}", "x".repeat(252)), attributes(), &expect!["accepted"]);
    for id in [
        "urn:ietf:params:scim:schemas:core:2.0:User",
        "urn:ietf:params:scim:schemas:core:2.0:group",
        "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    ] {
        check(id, attributes(), &expect!["this schema is built in"]);
    }
}

#[test]
fn attributes_are_counted_with_their_parts() {
    let many = |count: usize| (0..count).map(|n| json!({ "name": format!("a{n}") })).collect::<Value>();
    let wrong = expect!["a schema has 1 to 200 attributes"];
    check(ACME, json!([]), &wrong);
    check(ACME, many(200), &expect!["accepted"]);
    check(ACME, many(201), &wrong);
    check(ACME, json!([{ "name": "a", "type": "complex", "subAttributes": many(199) }]), &expect!["accepted"]);
    check(ACME, json!([{ "name": "a", "type": "complex", "subAttributes": many(200) }]), &wrong);
}

#[test]
fn what_is_wrong_with_an_attribute_is_said_with_its_path() {
    let complex = |parts: Value| json!([{ "name": "a", "type": "complex", "subAttributes": parts }]);
    let name = "must have a name of letters, digits, '_' and '-' that begins with a letter";
    for wrong in ["", "1a", "$ref", "a.b", "a b", "ä", "-a"] {
        let said = text(ACME, json!([{ "name": wrong }])).check().unwrap_err();
        assert_eq!(said, format!("attribute '{wrong}' {name}"));
        let said = text(ACME, complex(json!([{ "name": wrong }]))).check().unwrap_err();
        assert_eq!(said, format!("attribute 'a.{wrong}' {name}"));
    }
    check(ACME, json!([{ "name": "a_B-3" }]), &expect!["accepted"]);
    check(ACME, json!([{ "name": "a" }, { "name": "A" }]), &expect!["attribute 'A' is there twice"]);
    check(ACME, complex(json!([{ "name": "b" }, { "name": "B" }])), &expect!["attribute 'a.B' is there twice"]);
    check(
        ACME,
        complex(json!([{ "name": "b", "type": "complex", "subAttributes": [{ "name": "c" }] }])),
        &expect!["attribute 'a.b' is complex within a complex attribute"],
    );
    check(ACME, complex(json!([])), &expect!["attribute 'a' is complex and has no subAttributes"]);
    check(
        ACME,
        json!([{ "name": "a", "subAttributes": [{ "name": "b" }] }]),
        &expect!["attribute 'a' has subAttributes and is not complex"],
    );
    for uniqueness in ["server", "global"] {
        check(
            ACME,
            json!([{ "name": "a", "uniqueness": uniqueness }]),
            &expect!["attribute 'a' is unique: only uniqueness 'none' is supported here"],
        );
    }
    check(
        ACME,
        complex(json!([{ "name": "b", "mutability": "immutable" }])),
        &expect!["attribute 'a.b' is immutable: only whole attributes can be, not their parts"],
    );
    check(
        ACME,
        complex(json!([{ "name": "b", "required": true }])),
        &expect!["attribute 'a.b' is required: only whole attributes can be, not their parts"],
    );
    // Nobody could ever follow such a schema.
    for mutability in ["readOnly", "writeOnly"] {
        check(
            ACME,
            json!([{ "name": "a", "required": true, "mutability": mutability }]),
            &expect!["attribute 'a' is required, but of what clients write there nothing is kept"],
        );
    }
}

#[test]
fn a_schema_is_continued_by_one_that_only_adds() {
    let old = text(ACME, json!([{ "name": "a" }, { "name": "b", "caseExact": true }]));
    let continues = |attributes: Value| text(ACME, attributes).continues(&old);
    assert!(continues(json!([{ "name": "c" }, { "name": "b", "caseExact": true }, { "name": "a" }])));
    let requiring = json!([{ "name": "c", "required": true }, { "name": "b", "caseExact": true }, { "name": "a" }]);
    assert!(!continues(requiring), "who follows the old one lacks it");
    assert!(!continues(json!([{ "name": "a" }])), "one is gone");
    assert!(!continues(json!([{ "name": "a" }, { "name": "b" }])), "one is another");
    let mut of_groups = old.clone();
    of_groups.resource_type = ResourceType::Group;
    assert!(!of_groups.continues(&old));
}

#[test]
fn defaults_are_those_of_the_standard_and_a_schema_is_one_value_however_often_it_is_read() {
    let extensions = Extensions::from(vec![text(ACME, json!([{ "name": "a", "unheardOf": 1 }]))]);
    let written = serde_json::to_value(&extensions).unwrap();
    expect![[
        r#"[{"resource_type":"User","schema":{"id":"urn:acme:scim:schemas:2.0:User","name":"","description":"","attributes":[{"name":"a","type":"string","multiValued":false,"description":"","required":false,"caseExact":false,"mutability":"readWrite","returned":"default","uniqueness":"none"}]}}]"#
    ]]
    .assert_eq(&serde_json::to_string(&extensions).unwrap());
    assert_eq!(serde_json::from_value::<Extensions>(written).unwrap(), extensions);
    let pointer =
        |extensions: &Extensions| std::ptr::from_ref(extensions.of(ResourceType::User).extension(ACME).unwrap());
    assert_eq!(pointer(&acme()), pointer(&acme()));
    assert!(acme().of(ResourceType::Group).extension(ACME).is_none());
}

/// Sends a value over the wire.
fn sent<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(value).unwrap()).unwrap()
}

#[test]
fn schemas_travel_with_what_names_them() {
    let schema = acme().of(ResourceType::User);
    let path = AttributePath::parse(schema.clone(), &format!("{}:DESKS.keycode", ACME.to_uppercase())).unwrap();
    assert_eq!((sent(&path), path.to_string()), (path.clone(), format!("{ACME}:desks.keyCode")));
    for filter in [
        format!("{ACME}:floor ge 3 and userName pr"),
        format!("not ({ACME}:desks[value eq \"N\" and floor lt 2])"),
        format!("{ACME}:hiredAt gt \"2024-01-01T00:00:00Z\" or {ACME}:badge pr"),
        "title pr".to_owned(),
    ] {
        let filter = Filter::parse(schema.clone(), &filter).unwrap();
        assert_eq!(sent(&filter), filter);
    }
    let request = patch(json!([
        { "op": "add", "path": format!("{ACME}:desks[value eq \"N\"].floor"), "value": 3 },
        { "op": "replace", "value": { ACME: { "badge": "B" }, "title": "T" } },
        { "op": "remove", "path": format!("{ACME}:team") },
    ]))
    .unwrap();
    assert_eq!(sent(&request), request);
    let mut envelope = envelope(ResourceType::User, Source::IdentityProvider, command(request));
    envelope.extensions = acme();
    assert_eq!(Envelope::decode(&envelope.encode().unwrap()).unwrap(), envelope);
    // What names none carries none.
    let plain = patch(json!([{ "op": "remove", "path": "title" }])).unwrap();
    assert!(!serde_json::to_string(&plain).unwrap().contains("extensions"));
}
