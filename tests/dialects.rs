//! Which provider speaks is seen from its requests, shown to operators, and chosen by them where requests do not tell.

use reqwest::Method;
use serde_json::json;

use crate::harness::scim::{send, user};
use crate::harness::{Database, System, eventually, on_both};

on_both!(a_dialect_is_seen_shown_and_chosen);
async fn a_dialect_is_seen_shown_and_chosen(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let shown = async || system.rosterd(&["workspace", "show", "acme", "-o", "json"]).await.expect_success().json();
    let agent = "Okta SCIM Client 1.0.0";
    let probe = scim.request(Method::GET, "/Users?startIndex=1&count=2").header("user-agent", agent);
    send(probe).await.expect(200);
    eventually("the dialect is shown", async || (shown().await["seen_dialect"] == "okta").then_some(())).await;

    // Ping marks every value as primary; the standard allows one.
    let mut person = user("bjensen");
    person["emails"] = json!([
        { "value": "a@example.com", "type": "work", "primary": true },
        { "value": "b@example.com", "type": "home", "primary": true },
    ]);
    scim.post("/Users", &person).await.expect_error(400, Some("invalidValue"));
    system.rosterd(&["workspace", "dialect", "acme", "ping"]).await.expect_success();
    assert_eq!(shown().await["dialect"], "ping");
    let created = scim.post("/Users", &person).await.expect(201);
    assert_eq!(created.body["emails"][1]["primary"], false);

    system.rosterd(&["workspace", "dialect", "acme", "detect"]).await.expect_success();
    scim.put(&format!("/Users/{}", created.id()), &person).await.expect_error(400, Some("invalidValue"));
    system.rosterd(&["workspace", "dialect", "acme", "klingon"]).await.expect_failure(2);
}
