//! What a provider does with one person and one group, and what it sees.

use serde_json::{Value, json};

use crate::harness::scim::{group, user};
use crate::harness::{Database, System, on_both};

on_both!(a_person_is_created_read_changed_deactivated_and_deleted);
async fn a_person_is_created_read_changed_deactivated_and_deleted(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();

    let created = scim.post("/Users", &user("bjensen")).await.expect(201);
    let id = created.id();
    let path = format!("/Users/{id}");
    assert_eq!(created.header("location"), format!("{}{path}", scim.base_url));
    assert_eq!(created.header("content-type"), "application/scim+json");
    assert!(created.header("etag").starts_with("W/\""), "{}", created.header("etag"));
    assert_eq!(created.body["meta"]["location"], json!(created.header("location")));
    assert_eq!(created.body["meta"]["version"], json!(created.header("etag")));
    assert_eq!(created.body["meta"]["resourceType"], "User");
    assert!(created.body["meta"]["created"].as_str().is_some_and(|created| created.ends_with('Z')));
    for (attribute, value) in user("bjensen").as_object().unwrap() {
        assert_eq!(&created.body[attribute], value, "{attribute}");
    }

    scim.post("/Users", &user("BJensen")).await.expect_error(409, Some("uniqueness"));
    assert_eq!(scim.get(&path).await.expect(200).body, created.body);

    let mut changed = user("bjensen");
    changed["name"]["familyName"] = json!("Jensen-Smith");
    let replaced = scim.put(&path, &changed).await.expect(200);
    assert_eq!(replaced.body["name"]["familyName"], "Jensen-Smith");
    assert_ne!(replaced.header("etag"), created.header("etag"));

    let off = scim.patch(&path, json!([{ "op": "replace", "path": "active", "value": false }])).await.expect(200);
    assert_eq!(off.body["active"], json!(false));
    let read = scim.get(&path).await.expect(200);
    assert_eq!((&read.body["active"], &read.body["name"]["familyName"]), (&json!(false), &json!("Jensen-Smith")));

    scim.delete(&path).await.expect(204);
    scim.get(&path).await.expect_error(404, None);
    scim.delete(&path).await.expect_error(404, None);
    let again = scim.post("/Users", &user("bjensen")).await.expect(201);
    assert_ne!(again.id(), id, "an id never returns");
}

on_both!(a_group_mirrors_its_members_at_the_provider);
async fn a_group_mirrors_its_members_at_the_provider(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let ann = scim.post("/Users", &user("ann")).await.expect(201).id();
    let bob = scim.post("/Users", &user("bob")).await.expect(201).id();

    let created = scim.post("/Groups", &group("Engineering", &[&ann])).await.expect(201);
    let path = format!("/Groups/{}", created.id());
    assert_eq!(created.header("location"), format!("{}{path}", scim.base_url));
    assert_eq!(members(&created.body), [ann.as_str()]);
    scim.post("/Groups", &group("engineering", &[])).await.expect_error(409, Some("uniqueness"));

    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": bob }, { "value": ann }] }]);
    scim.patch(&path, add).await.expect(204);
    let read = scim.get(&path).await.expect(200);
    assert_eq!(members(&read.body), sorted([&ann, &bob]));
    let member = read.body["members"].as_array().unwrap().iter().find(|member| member["value"] == json!(bob)).unwrap();
    assert_eq!(member["$ref"], json!(format!("{}/Users/{bob}", scim.base_url)));
    assert_eq!(member["type"], "User");

    let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{ann}\"]") }]);
    scim.patch(&path, remove).await.expect(204);
    assert_eq!(members(&scim.get(&path).await.expect(200).body), [bob.as_str()]);

    let renamed = scim.put(&path, &group("Research", &[&ann, &bob])).await.expect(200);
    assert_eq!(renamed.body["displayName"], "Research");
    scim.delete(&format!("/Users/{bob}")).await.expect(204);
    assert_eq!(members(&scim.get(&path).await.expect(200).body), [ann]);

    scim.delete(&path).await.expect(204);
    scim.get(&path).await.expect_error(404, None);
}

on_both!(a_member_who_is_not_known_yet_appears_with_the_person);
async fn a_member_who_is_not_known_yet_appears_with_the_person(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let unknown = "01900000-0000-7000-8000-00000000abcd";
    let created = scim.post("/Groups", &group("Early", &[unknown])).await.expect(201);
    assert_eq!(members(&created.body), [""; 0]);
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": unknown }] }]);
    scim.patch(&format!("/Groups/{}", created.id()), add).await.expect(204);
}

on_both!(lists_are_filtered_and_paged);
async fn lists_are_filtered_and_paged(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for name in ["ann", "bob", "cleo"] {
        scim.post("/Users", &user(name)).await.expect(201);
    }
    let found = scim.find("/Users", "userName eq \"ANN\"").await;
    assert_eq!(found.iter().map(|user| &user["userName"]).collect::<Vec<_>>(), ["ann"]);
    assert_eq!(scim.find("/Users", "externalId eq \"ext-bob\"").await.len(), 1);
    assert_eq!(scim.find("/Users", "externalId eq \"EXT-BOB\"").await.len(), 0, "externalId is compared exactly");
    assert_eq!(scim.find("/Users", "userName eq \"nobody\"").await.len(), 0);

    let mut seen = Vec::new();
    for start in 1..=3 {
        let page = scim.get(&format!("/Users?startIndex={start}&count=1")).await.expect(200).body;
        assert_eq!(
            (&page["totalResults"], &page["itemsPerPage"], &page["startIndex"]),
            (&json!(3), &json!(1), &json!(start))
        );
        seen.push(page["Resources"][0]["userName"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, ["ann", "bob", "cleo"], "in the order of their ids, which is that of their creation");
    scim.get("/Users?filter=userName%20co").await.expect_error(400, Some("invalidFilter"));
}

on_both!(a_stale_version_changes_nothing);
async fn a_stale_version_changes_nothing(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let created = scim.post("/Users", &user("ann")).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let update = |etag: &str, title: &str| {
        let body = json!({ "schemas": [], "userName": "ann", "title": title });
        let request = scim.request(reqwest::Method::PUT, &path).header("if-match", etag);
        crate::harness::scim::send(request.header("content-type", "application/scim+json").body(body.to_string()))
    };
    update(created.header("etag"), "first").await.expect(200);
    update(created.header("etag"), "second").await.expect_error(412, None);
    assert_eq!(scim.get(&path).await.expect(200).body["title"], "first");
}

/// The members' ids, sorted.
fn members(group: &Value) -> Vec<String> {
    let members = group["members"].as_array().cloned().unwrap_or_default();
    sorted(members.iter().map(|member| member["value"].as_str().unwrap()))
}

fn sorted(ids: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().map(|id| id.as_ref().to_owned()).collect();
    ids.sort_unstable();
    ids
}
