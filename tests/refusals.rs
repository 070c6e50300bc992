//! What is refused: with a SCIM error of the right status, and without a trace in the log.

use reqwest::Method;
use serde_json::json;

use crate::harness::scim::{Answer, Scim, patch, send, user};
use crate::harness::{Database, System};

/// A token of the right form that nobody has.
const UNKNOWN_TOKEN: &str = "rst_0000000000000_00000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn every_refusal_is_a_scim_error_and_nothing_reaches_the_log() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    let before = system.log().await;

    unauthorized(&scim, &id).await;
    let foreign = Scim::new(scim.base_url.replace("/acme", "/globex"), system.token());
    foreign.post("/Users", &user("bob")).await.expect_error(401, None);

    unusable_bodies(&scim, &id).await;
    send(scim.request(Method::POST, "/Nothing").body("{}")).await.expect_error(404, None);
    send(scim.request(Method::PUT, "/Users").body("{}")).await.expect_error(405, None);
    send(scim.request(Method::POST, &format!("/Users/{id}")).body("{}")).await.expect_error(405, None);
    scim.get("/Users/not-an-id").await.expect_error(404, None);
    scim.get("/Users/01900000-0000-7000-8000-000000000001").await.expect_error(404, None);

    assert_eq!(system.log().await, before, "a refused request reached the log");
}

async fn unauthorized(scim: &Scim, id: &str) {
    for token in ["", "secret", UNKNOWN_TOKEN] {
        let stranger = scim.with_token(token);
        for answer in [
            stranger.get(&format!("/Users/{id}")).await,
            stranger.post("/Users", &user("bob")).await,
            stranger.delete(&format!("/Users/{id}")).await,
        ] {
            answer.expect_error(401, None);
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{token}");
        }
    }
    send(scim.bare(Method::GET, "/Users")).await.expect_error(401, None);
    send(scim.bare(Method::POST, "/Nothing")).await.expect_error(401, None);
}

async fn unusable_bodies(scim: &Scim, id: &str) {
    let path = format!("/Users/{id}");
    post(scim, "application/scim+json", "{\"userName\": ").await.expect_error(400, Some("invalidSyntax"));
    post(scim, "application/scim+json", "[]").await.expect_error(400, Some("invalidSyntax"));
    post(scim, "text/xml", "<user/>").await.expect_error(415, None);
    post(scim, "application/scim+json", "{}").await.expect_error(400, Some("invalidValue"));
    let large = json!({ "userName": "large", "title": "x".repeat(3 * 1024 * 1024) }).to_string();
    post(scim, "application/scim+json", &large).await.expect_error(413, None);
    scim.put(&path, &json!({ "userName": 7 })).await.expect_error(400, Some("invalidValue"));
    scim.patch(&path, json!([])).await.expect_error(400, Some("invalidSyntax"));
    scim.patch(&path, json!([{ "op": "jump", "path": "title" }])).await.expect_error(400, Some("invalidSyntax"));
    scim.patch(&path, json!([{ "op": "add", "path": "nothing", "value": "x" }]))
        .await
        .expect_error(400, Some("invalidPath"));
    let foreign = patch(&json!([{ "op": "replace", "path": "title", "value": 7 }]));
    let request = scim.request(Method::PATCH, &path).header("content-type", "application/json");
    send(request.body(foreign.to_string())).await.expect_error(400, Some("invalidValue"));
}

async fn post(scim: &Scim, content_type: &str, body: &str) -> Answer {
    let request = scim.request(Method::POST, "/Users").header("content-type", content_type);
    send(request.body(body.to_owned())).await
}
