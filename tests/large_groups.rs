//! Groups of tens of thousands: replaced by one request, read as a stream.

mod slow;

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::scim::{Answer, Scim, group, send, user};
use crate::harness::{Database, System, on_both};
use slow::Slow;

const LIVE: usize = 12_000;
const NAMED: usize = 50_000;
/// The largest body on a group, in bytes.
const LIMIT: usize = 8 * 1024 * 1024;

on_both!(a_group_of_tens_of_thousands_is_replaced_and_read_whole);
async fn a_group_of_tens_of_thousands_is_replaced_and_read_whole(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let live = populate(&system, database, "").await;
    let path = format!("/Groups/{}", scim.post("/Groups", &group("Everybody", &[])).await.expect(201).id());
    let named: Vec<String> = live.iter().cloned().chain((0..).map(unknown)).take(NAMED).collect();
    let body = bare("Everybody", &named);

    let replaced = scim.put(&path, &body).await.expect(200);
    assert_eq!((replaced.header("etag"), members(&replaced.body)), (r#"W/"2""#, live.clone()));
    let again = scim.put(&path, &body).await.expect(200);
    assert_eq!((again.header("etag"), &again.body), (r#"W/"2""#, &replaced.body), "nothing was to be done");
    let created = scim.post("/Groups", &bare("Others", &named)).await.expect(201);
    assert_eq!((created.header("etag"), members(&created.body)), (r#"W/"1""#, live.clone()));
    assert_eq!(created.header("location"), format!("{}/Groups/{}", scim.base_url, created.id()));
    too_large(&scim, &path).await;
    reads(&scim, &path, &replaced, &live).await;

    // One more, and one less.
    let newcomer = scim.post("/Users", &user("newcomer")).await.expect(201).id();
    let leaver = live.iter().next().unwrap();
    let operations = json!([
        { "op": "add", "path": "members", "value": [{ "value": newcomer }] },
        { "op": "remove", "path": format!("members[value eq \"{leaver}\"]") },
    ]);
    assert_eq!(scim.patch(&path, operations.clone()).await.expect(204).header("etag"), r#"W/"3""#);
    let patched = scim.patch(&format!("{path}?attributes=members"), operations).await.expect(200);
    let mut expected = live.clone();
    expected.remove(leaver);
    expected.insert(newcomer);
    assert_eq!((patched.header("etag"), members(&patched.body)), (r#"W/"3""#, expected));
    // Many at once.
    let many: Vec<Value> = (NAMED..NAMED + 10_000).map(|n| json!(unknown(n))).collect();
    scim.patch(&path, json!([{ "op": "add", "path": "members", "value": many }])).await.expect(204);
    let count = "excludedAttributes=members";
    assert_eq!(scim.get(&format!("{path}?{count}")).await.expect(200).header("etag"), r#"W/"4""#);
}

/// A body of more than the log takes.
async fn too_large(scim: &Scim, path: &str) {
    let body = bare("Everybody", &vec![unknown(0); LIMIT / 36]);
    let refused = scim.put(path, &body).await;
    refused.expect_error(413, None);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains(&LIMIT.to_string()), "{detail}");
}

/// The group, in every way in which a client may read it.
async fn reads(scim: &Scim, path: &str, whole: &Answer, live: &BTreeSet<String>) {
    let read = scim.get(path).await.expect(200);
    assert_eq!((&read.body, read.header("etag")), (&whole.body, r#"W/"2""#));
    let one = read.body["members"][0].clone();
    let url = format!("{}/Users/{}", scim.base_url, one["value"].as_str().unwrap());
    assert_eq!(one, json!({ "value": one["value"], "type": "User", "$ref": url }));

    let values = scim.get(&format!("{path}?attributes=members.value")).await.expect(200);
    assert_eq!(members(&values.body), *live);
    assert_eq!((values.body["members"][0].as_object().unwrap().len(), &values.body["displayName"]), (1, &Value::Null));
    let names = scim.get(&format!("{path}?attributes=members.display")).await.expect(200);
    let names: BTreeSet<&str> =
        names.body["members"].as_array().unwrap().iter().map(|one| one["display"].as_str().unwrap()).collect();
    assert_eq!((names.len(), names.contains("person-7")), (LIVE, true));
    let without = scim.get(&format!("{path}?excludedAttributes=members")).await.expect(200);
    assert_eq!((&without.body["displayName"], &without.body["members"]), (&json!("Everybody"), &Value::Null));

    let list = scim.get("/Groups?sortBy=displayName").await.expect(200).body;
    let shown: Vec<_> = list["Resources"].as_array().unwrap().iter().map(members).collect();
    assert_eq!((&list["totalResults"], &list["Resources"][0]), (&json!(2), &whole.body));
    assert_eq!(shown, [live.clone(), live.clone()]);
    let search = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 1,
        "filter": "displayName eq \"everybody\"" });
    let found = scim.post("/Groups/.search", &search).await.expect(200).body;
    assert_eq!(found["Resources"], json!([whole.body]));

    let head = send(scim.request(Method::HEAD, path)).await.expect(200);
    assert_eq!((head.header("etag"), head.text.len()), (r#"W/"2""#, 0));
    let unchanged = send(scim.request(Method::GET, path).header("if-none-match", r#"W/"2""#)).await.expect(304);
    assert_eq!((unchanged.header("etag"), unchanged.text.len()), (r#"W/"2""#, 0));
}

on_both!(a_stream_outlives_its_worker_and_waits_for_nobody_elses_client);
async fn a_stream_outlives_its_worker_and_waits_for_nobody_elses_client(database: Database) {
    let system = System::start(database).await;
    let (scim, worker) = (system.scim(), &system.workers[0]);
    // Names so long that the answer fits into no buffer on the way.
    let live = populate(&system, database, &"-".repeat(300)).await;
    let all: Vec<String> = live.iter().cloned().collect();
    let id = scim.post("/Groups", &bare("Everybody", &all)).await.expect(201).id();
    let path = format!("/Groups/{id}?attributes=members.value,members.display");

    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(Slow::get(&scim, system.token(), &path).await);
    }
    let mut reader = Slow::get(&scim, system.token(), &path).await;
    reader.read_while_it_comes(Duration::ZERO).await;
    // Those who do not read take nobody's turn.
    let whole = scim.get(&path).await.expect(200).body;
    assert_eq!(members(&whole), live);
    scim.post("/Users", &user("somebody")).await.expect(201);

    worker.kill().await;
    reader.read_while_it_comes(Duration::from_millis(500)).await;
    assert!(!reader.has_ended(), "the worker was killed in the middle: {} bytes", reader.len());
    worker.start().await;
    let (status, body) = reader.finish().await;
    assert_eq!((status.as_str(), body.as_ref()), ("HTTP/1.1 200 OK", Some(&whole)));
    let (_, late) = idle.pop().unwrap().finish().await;
    assert_eq!(late, Some(whole), "whoever begins to read gets it all");
}

/// Live users beside one that was created by request: copies of its row.
async fn populate(system: &System, database: Database, suffix: &str) -> BTreeSet<String> {
    system.scim().post("/Users", &user("template")).await.expect(201);
    let sql = system.sql().await;
    let ids: Vec<Uuid> =
        (0..LIVE).map(|n| Uuid::from_u128(0x0190_0000_0000_7000_9000_0000_0000_0000 + n as u128)).collect();
    let literal = |id: &Uuid| match database {
        Database::Sqlite => format!("x'{}'", id.simple()),
        Database::Postgresql => format!("'{id}'::uuid"),
    };
    let rows: Vec<String> =
        ids.iter().enumerate().map(|(n, id)| format!("({}, 'person-{n}{suffix}')", literal(id))).collect();
    for some in rows.chunks(1_000) {
        sql.execute_unprepared(&format!(
            "INSERT INTO users (workspace, id, user_name, user_name_key, active, active_seq, attributes, search,
                ownership, version, last_sequence, created_at, modified_at)
            SELECT workspace, v.column1, v.column2, v.column2, active, active_seq, attributes, search,
                ownership, version, last_sequence, created_at, modified_at
            FROM users, (VALUES {}) AS v WHERE user_name = 'template'",
            some.join(", ")
        ))
        .await
        .unwrap();
    }
    sql.close().await.unwrap();
    ids.iter().map(Uuid::to_string).collect()
}

/// An id of the right form that nobody has.
fn unknown(n: usize) -> String {
    Uuid::from_u128(0x0190_0000_0000_7000_b000_0000_0000_0000 + n as u128).to_string()
}

/// A group whose members are bare ids.
fn bare(display_name: &str, members: &[String]) -> Value {
    let mut body = group(display_name, &[]);
    body["members"] = json!(members);
    body
}

/// The members' ids; each is there once.
#[track_caller]
fn members(group: &Value) -> BTreeSet<String> {
    let members = group["members"].as_array().unwrap();
    let ids: BTreeSet<String> = members.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), members.len(), "nobody is there twice");
    ids
}
