//! RFC 7643 §8.1 to §8.4: what is sent is what is read.

use serde_json::{Value, json};

use super::{BARBARA, assert_resource, example, with_ids};
use crate::harness::scim::{Scim, group, user};
use crate::harness::{Database, System, on_both};

const MANAGER: &str = "26118915-6090-4610-87e4-49d8ca9f808d";
const MANDY: &str = "902c246b-6245-4190-8e05-00816be7344a";

on_both!(a_minimal_user_is_read_as_it_was_sent);
async fn a_minimal_user_is_read_as_it_was_sent(database: Database) {
    let system = System::start(database).await;
    round_trip(&system.scim(), "/Users", &example("rfc7643/8_1_minimal_user.json")).await;
}

on_both!(a_full_user_is_read_as_it_was_sent_with_its_groups);
async fn a_full_user_is_read_as_it_was_sent_with_its_groups(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let sent = example("rfc7643/8_2_full_user.json");
    let id = round_trip(&scim, "/Users", &sent).await;
    assert!(scim.get(&format!("/Users/{id}")).await.body.get("groups").is_none(), "groups are read-only");

    // The groups of the example, now really there; their ids are the server's.
    let mut expected = Vec::new();
    for theirs in sent["groups"].as_array().unwrap() {
        let name = theirs["display"].as_str().unwrap();
        let ours = scim.post("/Groups", &group(name, &[&id])).await.expect(201).id();
        let reference = format!("{}/Groups/{ours}", scim.base_url);
        expected.push(json!({ "value": ours, "$ref": reference, "display": name, "type": "direct" }));
    }
    let mut groups = scim.get(&format!("/Users/{id}")).await.body["groups"].as_array().cloned().unwrap_or_default();
    groups.sort_by_key(|group| group["value"].to_string());
    expected.sort_by_key(|group| group["value"].to_string());
    assert_eq!(groups, expected);
}

on_both!(an_enterprise_user_is_read_as_it_was_sent);
async fn an_enterprise_user_is_read_as_it_was_sent(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let manager = scim.post("/Users", &user("jsmith")).await.expect(201).id();
    let sent = with_ids(&example("rfc7643/8_3_enterprise_user.json"), &[(MANAGER, &manager)]);
    round_trip(&scim, "/Users", &sent).await;
}

on_both!(a_group_is_read_as_it_was_sent);
async fn a_group_is_read_as_it_was_sent(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let barbara = named(&scim, "bjensen", "Babs Jensen").await;
    let mandy = named(&scim, "mpepperidge", "Mandy Pepperidge").await;
    let sent = with_ids(&example("rfc7643/8_4_group.json"), &[(BARBARA, &barbara), (MANDY, &mandy)]);
    let created = scim.post("/Groups", &sent).await.expect(201);
    let read = scim.get(&format!("/Groups/{}", created.id())).await.expect(200);
    assert_eq!(read.body, created.body);
    assert_eq!((&read.body["schemas"], &read.body["displayName"]), (&sent["schemas"], &sent["displayName"]));

    // `$ref` is the server's own URL, `type` is filled in, and `display` is there for who asks for it.
    let path = format!("/Groups/{}?attributes=members.value,members.display,members.$ref", created.id());
    let mut members = scim.get(&path).await.expect(200).body["members"].as_array().cloned().unwrap();
    members.sort_by_key(|member| member["display"].to_string());
    let member = |id: &str, display: &str| json!({ "value": id, "$ref": format!("{}/Users/{id}", scim.base_url), "display": display });
    assert_eq!(members, [member(&barbara, "Babs Jensen"), member(&mandy, "Mandy Pepperidge")]);
}

/// Creates the resource, and reads it again; its id.
async fn round_trip(scim: &Scim, endpoint: &str, sent: &Value) -> String {
    let created = scim.post(endpoint, sent).await.expect(201);
    assert_resource(scim, &created, sent);
    assert_ne!(created.body["id"], sent["id"], "the id is the server's to choose");
    let read = scim.get(&format!("{endpoint}/{}", created.id())).await.expect(200);
    assert_resource(scim, &read, sent);
    assert_eq!(read.body, created.body);
    created.id()
}

async fn named(scim: &Scim, user_name: &str, display_name: &str) -> String {
    let mut body = user(user_name);
    body["displayName"] = json!(display_name);
    scim.post("/Users", &body).await.expect(201).id()
}
