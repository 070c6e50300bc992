//! Versions (RFC 7644 §3.14): what a client has is not sent again, and what it has not seen is not overwritten.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim, group, patch, send, user};
use crate::harness::{Database, System, on_both};

/// A version that no resource of these tests reaches.
const STALE: &str = "W/\"987\"";
/// Requests that name the same version.
const RIVALS: usize = 16;

on_both!(what_a_client_has_is_not_sent_again);
async fn what_a_client_has_is_not_sent_again(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for (path, body) in both() {
        let created = scim.post(path, &body).await.expect(201);
        let (path, tag) = (format!("{path}/{}", created.id()), created.header("etag").to_owned());
        for tags in [tag.clone(), format!("{STALE}, {tag}"), "*".to_owned()] {
            let unchanged = conditional(&scim, Method::GET, &path, ("if-none-match", &tags), None).await;
            assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""), "{tags}");
            assert_eq!(unchanged.header("etag"), tag, "RFC 9110 §15.4.5");
        }
        let stale = conditional(&scim, Method::GET, &path, ("if-none-match", STALE), None).await.expect(200);
        assert_eq!(stale.body, created.body);

        let change = json!([{ "op": "replace", "path": "displayName", "value": "changed" }]);
        let answer = scim.patch(&path, change).await;
        assert!(matches!(answer.status, 200 | 204), "{:#}", answer.body);
        let newer = conditional(&scim, Method::GET, &path, ("if-none-match", &tag), None).await.expect(200);
        assert_ne!(newer.header("etag"), tag);
        assert_eq!(newer.header("etag"), newer.body["meta"]["version"]);
    }
}

on_both!(a_write_that_names_an_old_version_changes_nothing);
async fn a_write_that_names_an_old_version_changes_nothing(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for (path, body) in both() {
        let created = scim.post(path, &body).await.expect(201);
        let (path, tag) = (format!("{path}/{}", created.id()), created.header("etag").to_owned());
        refused(&scim, &path, &body, ("if-match", STALE)).await;
        // If-None-Match on a write asks that there be no such version (RFC 9110 §13.1.2).
        refused(&scim, &path, &body, ("if-none-match", &tag)).await;
        refused(&scim, &path, &body, ("if-none-match", "*")).await;
        assert_eq!(scim.get(&path).await.expect(200).body, created.body);

        accepted(&scim, &path, &body, &format!("{STALE}, {tag}")).await;
    }
}

async fn refused(scim: &Scim, path: &str, body: &Value, condition: (&str, &str)) {
    for (method, body) in writes(body) {
        let answer = conditional(scim, method.clone(), path, condition, body.as_ref()).await;
        assert_eq!(answer.status, 412, "{method} {path} {condition:?} {:#}", answer.body);
        answer.expect_error(412, None);
    }
}

/// Each write of the kinds that there are, with the version that the last one left.
async fn accepted(scim: &Scim, path: &str, body: &Value, first: &str) {
    let mut tag = first.to_owned();
    for (method, body) in writes(body) {
        let answer = conditional(scim, method.clone(), path, ("if-match", &tag), body.as_ref()).await;
        assert!(matches!(answer.status, 200 | 204), "{method} {path} {tag} {:#}", answer.body);
        if method != Method::DELETE {
            tag = scim.get(path).await.expect(200).header("etag").to_owned();
        }
    }
    scim.get(path).await.expect_error(404, None);
}

on_both!(what_changes_nothing_leaves_the_version_and_the_time);
async fn what_changes_nothing_leaves_the_version_and_the_time(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let ann = scim.post("/Users", &user("ann")).await.expect(201);
    let team = scim.post("/Groups", &group("Team", &[&ann.id()])).await.expect(201);
    let no_changes = [
        ("/Users", &ann, json!([{ "op": "replace", "path": "name.familyName", "value": "Jensen" }])),
        ("/Users", &ann, json!([{ "op": "add", "path": "emails", "value": user("ann")["emails"] }])),
        ("/Users", &ann, json!([{ "op": "remove", "path": "nickName" }])),
        ("/Users", &ann, json!([{ "op": "replace", "value": { "active": true } }])),
        ("/Groups", &team, json!([{ "op": "add", "path": "members", "value": [{ "value": ann.id() }] }])),
        ("/Groups", &team, json!([{ "op": "replace", "path": "displayName", "value": "Team" }])),
    ];
    for (path, created, operations) in no_changes {
        let path = format!("{path}/{}", created.id());
        let answer = scim.patch(&path, operations.clone()).await;
        assert!(matches!(answer.status, 200 | 204), "{operations} {:#}", answer.body);
        let read = scim.get(&path).await.expect(200);
        assert_eq!(read.body["meta"], created.body["meta"], "RFC 7644 §3.5.2.1: {operations}");
        assert_eq!(read.header("etag"), created.header("etag"));
    }
}

on_both!(of_changes_to_one_version_exactly_one_is_made);
async fn of_changes_to_one_version_exactly_one_is_made(database: Database) {
    let system = System::start_with(database, 2, 2).await;
    let ingresses = [system.scim_at(0), system.scim_at(1)];
    for (path, body) in both() {
        let created = ingresses[0].post(path, &body).await.expect(201);
        let (path, tag) = (format!("{path}/{}", created.id()), created.header("etag").to_owned());
        let rivals = ingresses.iter().cycle().take(RIVALS).enumerate().map(async |(rival, scim)| {
            let change = json!([{ "op": "replace", "path": "displayName", "value": format!("rival {rival}") }]);
            let answer = conditional(scim, Method::PATCH, &path, ("if-match", &tag), Some(&patch(&change))).await;
            (rival, answer)
        });
        let (winners, losers): (Vec<_>, Vec<_>) =
            join_all(rivals).await.into_iter().partition(|(_, answer)| matches!(answer.status, 200 | 204));
        assert_eq!(winners.len(), 1, "{path}");
        for (_, loser) in losers {
            loser.expect_error(412, None);
        }
        let read = ingresses[1].get(&path).await.expect(200);
        assert_eq!(read.body["displayName"], format!("rival {}", winners[0].0));
    }
}

/// A user and a group, with where they are created.
fn both() -> [(&'static str, Value); 2] {
    [("/Users", user("ann")), ("/Groups", group("Team", &[]))]
}

/// Every kind of write to an existing resource.
fn writes(body: &Value) -> [(Method, Option<Value>); 3] {
    let mut other = body.clone();
    other["externalId"] = json!("other");
    let operations = patch(&json!([{ "op": "replace", "path": "externalId", "value": "another" }]));
    [(Method::PUT, Some(other)), (Method::PATCH, Some(operations)), (Method::DELETE, None)]
}

async fn conditional(
    scim: &Scim,
    method: Method,
    path: &str,
    (header, tags): (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let request = match body {
        Some(body) => scim.json(method, path, body),
        None => scim.request(method, path),
    };
    send(request.header(header, tags)).await
}
