//! The timezone is the provider's until the person chooses one in the product; from then on it is theirs.

use serde_json::json;

use crate::harness::scim::user;
use crate::harness::{Database, System, on_both};

on_both!(a_chosen_timezone_is_never_overwritten_by_the_provider);
async fn a_chosen_timezone_is_never_overwritten_by_the_provider(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let mut body = user("ann");
    body["timezone"] = json!("America/New_York");
    let created = scim.post("/Users", &body).await.expect(201);
    assert_eq!(created.body["timezone"], "America/New_York");
    let path = format!("/Users/{}", created.id());

    body["timezone"] = json!("Asia/Tokyo");
    let replaced = scim.put(&path, &body).await.expect(200);
    assert_eq!(replaced.body["timezone"], "Asia/Tokyo", "still the provider's");

    system.rosterd(&["user", "set-timezone", "acme", "ann", "Europe/Paris"]).await.expect_success();
    assert_eq!(scim.get(&path).await.body["timezone"], "Europe/Paris");

    body["title"] = json!("Boss");
    let replaced = scim.put(&path, &body).await.expect(200);
    assert_eq!((&replaced.body["timezone"], &replaced.body["title"]), (&json!("Europe/Paris"), &json!("Boss")));
    for operation in [
        json!({ "op": "replace", "path": "timezone", "value": "Asia/Tokyo" }),
        json!({ "op": "Add", "path": "TimeZone", "value": "Asia/Tokyo" }),
        json!({ "op": "remove", "path": "timezone" }),
        json!({ "op": "replace", "value": { "TIMEZONE": "Asia/Tokyo" } }),
        json!({ "op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:timezone", "value": "Asia/Tokyo" }),
    ] {
        let answer = scim.patch(&path, json!([operation])).await.expect(200);
        assert_eq!(answer.body["timezone"], "Europe/Paris", "{operation}");
    }
    body.as_object_mut().unwrap().remove("timezone");
    scim.put(&path, &body).await.expect(200);
    assert_eq!(scim.get(&path).await.expect(200).body["timezone"], "Europe/Paris");

    system.rosterd(&["user", "set-timezone", "acme", &created.id(), "Asia/Kolkata"]).await.expect_success();
    assert_eq!(scim.get(&path).await.body["timezone"], "Asia/Kolkata");
}

#[tokio::test]
async fn an_unknown_zone_and_an_unknown_person_are_refused() {
    let system = System::start(Database::Sqlite).await;
    system.scim().post("/Users", &user("ann")).await.expect(201);
    system.rosterd(&["user", "set-timezone", "acme", "ann", "Europe/Atlantis"]).await.expect_failure(1);
    system.rosterd(&["user", "set-timezone", "acme", "nobody", "Europe/Paris"]).await.expect_failure(3);
}
