//! RFC 7644 §3.3 to §3.6 and §3.9 to §3.14: single requests and their answers.

use reqwest::Method;
use serde_json::{Value, json};

use super::{BARBARA, assert_resource, example, with_ids};
use crate::harness::scim::{Answer, Scim, send, user};
use crate::harness::{Database, System, on_both};

on_both!(a_user_is_created);
async fn a_user_is_created(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let created = scim.post("/Users", &example("rfc7644/3_3_create_request.json")).await.expect(201);
    let expected = example("rfc7644/3_3_create_response.json");
    assert_resource(&scim, &created, &expected);
    assert_eq!(names(&created.body["meta"]), names(&expected["meta"]));
    assert_eq!(created.header("content-type"), "application/scim+json");
}

on_both!(a_known_user_is_read);
async fn a_known_user_is_read(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let expected = example("rfc7644/3_4_1_get_response.json");
    let id = scim.post("/Users", &expected).await.expect(201).id();
    assert_resource(&scim, &scim.get(&format!("/Users/{id}")).await.expect(200), &expected);
}

on_both!(a_user_is_replaced);
async fn a_user_is_replaced(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let mut before = user("bjensen");
    before["title"] = json!("Tour Guide");
    before["roles"] = json!([{ "value": "guide" }]);
    let created = scim.post("/Users", &before).await.expect(201);
    let path = format!("/Users/{}", created.id());
    // With the id of the example, which is read-only and so ignored, and with `roles: []`, which unassigns them.
    let replaced = scim.put(&path, &example("rfc7644/3_5_1_replace_request.json")).await.expect(200);
    let expected = example("rfc7644/3_5_1_replace_response.json");
    assert_eq!(replaced.id(), created.id());
    assert_resource(&scim, &replaced, &expected);
    assert_eq!(replaced.body["meta"]["created"], created.body["meta"]["created"]);
    assert_ne!(replaced.header("etag"), created.header("etag"));
    assert_resource(&scim, &scim.get(&path).await.expect(200), &expected);
}

on_both!(a_deleted_user_is_gone);
async fn a_deleted_user_is_gone(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let created = scim.post("/Users", &user("bjensen")).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let deleted = conditional(&scim, Method::DELETE, &path, "if-match", created.header("etag")).await.expect(204);
    assert_eq!(deleted.body, Value::Null);
    for gone in [scim.get(&path).await, scim.put(&path, &user("bjensen")).await, scim.delete(&path).await] {
        assert_error(&gone, 404, &example("rfc7644/3_6_deleted.json"));
    }
    assert_eq!(scim.find("/Users", "userName eq \"bjensen\"").await, [Value::Null; 0]);
    scim.post("/Users", &user("bjensen")).await.expect(201);
}

on_both!(a_part_of_a_user_is_read);
async fn a_part_of_a_user_is_read(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let created = scim.post("/Users", &user("bjensen")).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let expected = with_ids(&example("rfc7644/3_9_partial_response.json"), &[(BARBARA, &created.id())]);
    let read = scim.get(&format!("{path}?attributes=userName")).await.expect(200);
    assert_eq!(read.body, expected);
    assert_eq!(read.header("location"), created.header("location"));
    assert_eq!(read.header("etag"), created.header("etag"));
    // §3.10: the same attributes by their full names, in any letter case.
    let named = scim.get(&format!("{path}?attributes=URN:ietf:params:scim:schemas:core:2.0:user:USERNAME")).await;
    assert_eq!(named.expect(200).body, expected);
    let given = "urn:ietf:params:scim:schemas:core:2.0:User:name.givenName";
    let read = scim.get(&format!("{path}?attributes={given}")).await.expect(200);
    assert_eq!(read.body["name"], json!({ "givenName": "Barbara" }));
    assert!(read.body.get("userName").is_none(), "{:#}", read.body);
}

/// RFC 7644 §3.11 leaves a server that has no `/Me` one answer.
#[tokio::test]
async fn a_token_belongs_to_no_person() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        send(scim.request(method, "/Me")).await.expect_error(501, None);
    }
}

on_both!(errors_have_the_form_of_the_standard);
async fn errors_have_the_form_of_the_standard(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let missing = scim.get(&format!("/Users/{BARBARA}")).await;
    assert_error(&missing, 404, &example("rfc7644/3_12_not_found.json"));
    let id = scim.post("/Users", &user("bjensen")).await.expect(201).id();
    let own = json!([{ "op": "replace", "path": "id", "value": BARBARA }]);
    let read_only = scim.patch(&format!("/Users/{id}"), own).await;
    assert_error(&read_only, 400, &example("rfc7644/3_12_mutability.json"));
}

/// RFC 7644 §3.13.
#[tokio::test]
async fn the_version_may_stand_before_the_endpoint() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let id = scim.post("/v2/Users", &user("bjensen")).await.expect(201).id();
    assert_eq!(scim.get(&format!("/v2/Users/{id}")).await.expect(200).body["userName"], "bjensen");
    scim.get("/v1/Users").await.expect_error(400, Some("invalidVers"));
}

on_both!(a_version_guards_reads_and_writes);
async fn a_version_guards_reads_and_writes(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let created = scim.post("/Users", &example("rfc7644/3_3_create_request.json")).await.expect(201);
    let mut expected = example("rfc7644/3_14_create_response.json");
    // The answer of the example leaves out what its request said, and §3.3 shows it.
    expected["externalId"] = json!("bjensen");
    assert_resource(&scim, &created, &expected);
    let tag = created.header("etag");
    let path = format!("/Users/{}", created.id());
    let part = format!("{path}?attributes=displayName");

    let unchanged = conditional(&scim, Method::GET, &part, "if-none-match", tag).await.expect(304);
    assert_eq!((unchanged.body.clone(), unchanged.header("etag")), (Value::Null, tag));
    let display = json!([{ "op": "add", "path": "displayName", "value": "Babs" }]);
    let changed = scim.patch(&path, display).await.expect(200);
    let read = conditional(&scim, Method::GET, &part, "if-none-match", tag).await.expect(200);
    assert_eq!((&read.body["displayName"], read.header("etag")), (&json!("Babs"), changed.header("etag")));
    conditional(&scim, Method::DELETE, &path, "if-match", tag).await.expect_error(412, None);
    conditional(&scim, Method::DELETE, &path, "if-match", changed.header("etag")).await.expect(204);
}

async fn conditional(scim: &Scim, method: Method, path: &str, header: &str, tag: &str) -> Answer {
    send(scim.request(method, path).header(header, tag)).await
}

/// Checks an error against one of the standard's: the same members and keyword; the words are each server's own.
#[track_caller]
fn assert_error(answer: &Answer, status: u16, expected: &Value) {
    assert_eq!(expected["status"], status.to_string());
    answer.expect_error(status, expected["scimType"].as_str());
    assert_eq!(names(&answer.body), names(expected));
}

fn names(object: &Value) -> Vec<&String> {
    let mut names: Vec<_> = object.as_object().unwrap().keys().collect();
    names.sort_unstable();
    names
}
