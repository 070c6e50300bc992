//! A workspace's own schemas: added from a file, shown, obeyed, and gone with nobody else's requests.

use std::io::Write;

use serde_json::{Value, json};

use crate::harness::scim::user;
use crate::harness::{Database, System, on_both};

const URN: &str = "urn:acme:scim:schemas:extension:2.0:User";

fn schema(attributes: &Value) -> Value {
    json!({ "id": URN, "name": "Acme", "description": "What Acme knows of people", "attributes": attributes })
}

/// Writes a schema to a file, as an operator has it.
fn file(schema: &Value) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(schema.to_string().as_bytes()).unwrap();
    file
}

fn badge() -> Value {
    json!([
        { "name": "badge", "type": "string", "caseExact": true },
        { "name": "hiredAt", "type": "dateTime", "mutability": "immutable" },
        { "name": "secretCode", "type": "string", "returned": "never" },
        { "name": "desks", "type": "complex", "multiValued": true, "subAttributes": [
            { "name": "value", "type": "string" }, { "name": "floor", "type": "integer" },
        ] },
    ])
}

on_both!(an_extension_of_a_workspace_round_trips);
async fn an_extension_of_a_workspace_round_trips(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let added = file(&schema(&badge()));
    let listed = system.rosterd(&["schema", "add", "acme", added.path().to_str().unwrap(), "-o", "json"]).await;
    assert_eq!(listed.expect_success().json()["schemas"][0]["schema"]["id"], URN);

    let shown = scim.get(&format!("/Schemas/{URN}")).await.expect(200);
    assert_eq!(shown.body["attributes"][0]["name"], "badge");
    let types = scim.get("/ResourceTypes/User").await.expect(200);
    assert!(types.body["schemaExtensions"].as_array().unwrap().contains(&json!({ "schema": URN, "required": false })));

    let mut person = user("bjensen");
    person[URN] = json!({
        "badge": "A7", "hiredAt": "2024-02-29T08:00:00+01:00", "secretCode": "s", "unknown": 1,
        "desks": [{ "value": "North", "floor": 3 }],
    });
    let created = scim.post("/Users", &person).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let kept =
        json!({ "badge": "A7", "hiredAt": "2024-02-29T08:00:00+01:00", "desks": [{ "value": "North", "floor": 3 }] });
    assert_eq!(created.body[URN], kept);
    assert!(created.body["schemas"].as_array().unwrap().contains(&json!(URN)));

    let badge = format!("{}:badge", URN.to_uppercase());
    scim.patch(&path, json!([{ "op": "replace", "path": badge, "value": "B8" }])).await.expect(200);
    scim.patch(&path, json!([{ "op": "replace", "path": format!("{URN}:hiredAt"), "value": "2025-01-01T00:00:00Z" }]))
        .await
        .expect_error(400, Some("mutability"));
    scim.patch(&path, json!([{ "op": "replace", "value": { format!("{URN}:desks"): [{ "value": "South" }] } }]))
        .await
        .expect(200);
    let read = scim.get(&path).await.expect(200);
    assert_eq!(read.body[URN]["badge"], "B8");
    assert_eq!(read.body[URN]["desks"], json!([{ "value": "South" }]));
    // What a PUT leaves out is unassigned, but what is immutable stays.
    let replaced = scim.put(&path, &user("bjensen")).await.expect(200);
    assert_eq!(replaced.body[URN], json!({ "hiredAt": "2024-02-29T08:00:00+01:00" }));

    scim.patch(&path, json!([{ "op": "add", "path": format!("{URN}:badge"), "value": "C9" }])).await.expect(200);
    for (filter, found) in [
        (format!("{URN}:badge eq \"C9\""), 1),
        (format!("{URN}:badge eq \"c9\""), 0),
        (format!("{URN}:hiredAt lt \"2024-02-29T07:00:01Z\""), 1),
        (format!("{URN}:hiredAt gt \"2024-02-29T07:00:00Z\""), 0),
    ] {
        assert_eq!(scim.find("/Users", &filter).await.len(), found, "{filter}");
    }
}

on_both!(a_schema_only_grows);
async fn a_schema_only_grows(database: Database) {
    let system = System::start(database).await;
    let add = async |attributes: &Value| {
        let added = file(&schema(attributes));
        system.rosterd(&["schema", "add", "acme", added.path().to_str().unwrap()]).await
    };
    add(&json!([{ "name": "badge", "type": "string" }])).await.expect_success();
    add(&json!([{ "name": "badge", "type": "string" }, { "name": "desk", "type": "string" }])).await.expect_success();
    let refused = add(&json!([{ "name": "badge", "type": "integer" }])).await.expect_failure(1).stderr;
    assert!(refused.contains("changes or drops attributes"), "{refused}");
    let refused = add(&json!([{ "name": "9badge" }])).await.expect_failure(1).stderr;
    assert!(refused.contains("attribute '9badge' must have a name"), "{refused}");
    let listed = system.rosterd(&["schema", "list", "acme"]).await.expect_success().stdout;
    assert!(listed.contains("badge, desk"), "{listed}");
}
