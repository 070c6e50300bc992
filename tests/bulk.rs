//! `/Bulk` (RFC 7644 §3.7): a company in one request, references in every direction, and what happens when a part fails.

use std::collections::BTreeSet;

use reqwest::Method;
use sea_orm::{ConnectionTrait, FromQueryResult, JsonValue, Statement};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::scim::{Answer, Scim, group, patch, send, user};
use crate::harness::{Database, System, on_both};

const USERS: usize = 1_000;
const GROUPS: usize = 20;
/// The most operations of a request, as announced.
const MOST: usize = 2_000;

on_both!(a_company_is_created_in_one_request_and_a_second_time_not_at_all);
async fn a_company_is_created_in_one_request_and_a_second_time_not_at_all(database: Database) {
    let system = System::start_with(database, 1, 2).await;
    let scim = system.scim();
    let company = company();
    let answer = bulk(&scim, &company).await;
    let results = results(&answer);
    assert_eq!(results.len(), USERS + GROUPS);
    for (result, operation) in results.iter().zip(&company) {
        assert_eq!((&result["status"], &result["version"]), (&json!("201"), &json!("W/\"1\"")), "{result:#}");
        assert_eq!((&result["bulkId"], &result["method"]), (&operation["bulkId"], &operation["method"]));
        assert!(result["location"].as_str().unwrap().starts_with(&scim.base_url), "{result:#}");
    }
    for (number, result) in results[USERS..].iter().enumerate() {
        let read = read(&scim, result).await.expect(200).body;
        let expected: BTreeSet<&str> = results[..USERS].iter().skip(number).step_by(GROUPS).map(id).collect();
        assert_eq!(members(&read), expected, "group {number}");
    }

    let before = everything(&system).await;
    let again = bulk(&scim, &company).await;
    assert_eq!(statuses(&again), vec!["409"; USERS + GROUPS]);
    assert!(again.body["Operations"].as_array().unwrap().iter().all(|result| result.get("location").is_none()));
    assert_eq!(everything(&system).await, before, "nothing changed");
    balanced(&system).await;
}

on_both!(references_go_forward_and_in_circles);
async fn references_go_forward_and_in_circles(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let operations = [
        // RFC 7644 §3.7.1: two groups that are members of each other.
        post("/Groups", "qwerty", &group("Group A", &["bulkId:ytrewq"])),
        post("/Groups", "ytrewq", &group("Group B", &["bulkId:qwerty", "bulkId:later"])),
        post("/Users", "later", &user("later")),
        json!({ "method": "PATCH", "path": "/Users/bulkId:later",
                "data": patch(&json!([{ "op": "replace", "path": "nickName", "value": "Late" }])) }),
        post("/Users", "self", &with(user("self"), ENTERPRISE, json!({ "manager": { "value": "bulkId:self" } }))),
    ];
    let results = results(&bulk(&scim, &operations).await);
    assert_eq!(
        results.iter().map(|result| result["status"].as_str().unwrap()).collect::<Vec<_>>(),
        ["201", "201", "201", "200", "201"]
    );
    let [a, b, later, patched, own] = &results[..] else { panic!("{results:#?}") };
    assert_eq!(members(&read(&scim, a).await.body), [id(b)].into());
    assert_eq!(members(&read(&scim, b).await.body), [id(a), id(later)].into());
    assert_eq!(read(&scim, patched).await.body["nickName"], json!("Late"));
    assert_eq!(read(&scim, own).await.body[ENTERPRISE]["manager"]["value"], json!(id(own)));
}

on_both!(what_refers_to_a_failure_fails_and_leaves_no_ghost_member);
async fn what_refers_to_a_failure_fails_and_leaves_no_ghost_member(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    scim.post("/Users", &user("taken")).await.expect(201);
    scim.post("/Groups", &group("Taken", &[])).await.expect(201);
    let before = everything(&system).await;
    let operations = [
        post("/Users", "dup", &user("TAKEN")),
        post("/Groups", "g", &group("Refers to a failure", &["bulkId:dup"])),
        post("/Groups", "h", &group("Refers to that", &["bulkId:g"])),
        post("/Groups", "i", &group("Refers to nothing", &["bulkId:nobody"])),
        // A circle of which one cannot be created: the other two are taken back.
        post("/Groups", "x", &group("In a circle", &["bulkId:y"])),
        post("/Groups", "y", &group("Also in it", &["bulkId:z"])),
        post("/Groups", "z", &group("taken", &["bulkId:x"])),
    ];
    let answer = bulk(&scim, &operations).await;
    assert_eq!(statuses(&answer), vec!["409"; 7], "{:#}", answer.body);
    let types = results(&answer).into_iter().map(|mut result| result["response"]["scimType"].take());
    let mut expected = vec![json!("invalidValue"); 7];
    (expected[0], expected[6]) = (json!("uniqueness"), json!("uniqueness"));
    assert_eq!(types.collect::<Vec<_>>(), expected);
    assert_eq!(everything(&system).await, before);
    assert_eq!(count(&system, "group_members").await, 0, "no ghost member");
    balanced(&system).await;
}

on_both!(after_so_many_errors_nothing_more_is_begun);
async fn after_so_many_errors_nothing_more_is_begun(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let operations: Vec<Value> = ["a", "A", "b", "B", "c"]
        .iter()
        .enumerate()
        .map(|(n, name)| post("/Users", &n.to_string(), &user(name)))
        .collect();
    for (limit, expected) in [(1, vec!["201", "409"]), (2, vec!["409", "409"])] {
        let body = json!({ "schemas": [BULK], "failOnErrors": limit, "Operations": operations });
        assert_eq!(statuses(&scim.post("/Bulk", &body).await.expect(200)), expected, "failOnErrors {limit}");
    }
    assert_eq!(scim.get("/Users").await.body["totalResults"], json!(1));
    let unlimited = bulk(&scim, &operations).await;
    assert_eq!(statuses(&unlimited), ["409", "409", "201", "409", "201"]);
}

on_both!(each_operation_has_the_status_that_it_would_have_alone);
async fn each_operation_has_the_status_that_it_would_have_alone(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let ann = scim.post("/Users", &user("ann")).await.expect(201);
    let crew = scim.post("/Groups", &group("Crew", &[])).await.expect(201);
    let (ann_path, crew_path) = (format!("/Users/{}", ann.id()), format!("/Groups/{}", crew.id()));
    let rename = |name: &str| patch(&json!([{ "op": "replace", "path": "nickName", "value": name }]));
    let add = patch(&json!([{ "op": "add", "path": "members", "value": [{ "value": ann.id() }] }]));
    let inactive = patch(&json!([{ "op": "replace", "path": "active", "value": false }]));
    let operations = [
        json!({ "method": "PATCH", "path": ann_path, "data": rename("one"), "version": "W/\"1\"" }),
        json!({ "method": "PATCH", "path": ann_path, "data": rename("two"), "version": "W/\"1\"" }),
        json!({ "method": "put", "path": ann_path, "data": user("anna"), "bulkId": "echoed" }),
        json!({ "method": "PATCH", "path": ann_path, "data": inactive }),
        json!({ "method": "PATCH", "path": format!("{}{crew_path}", scim.base_url), "data": add }),
        json!({ "method": "DELETE", "path": "/Users/01900000-0000-7000-8000-00000000abcd" }),
        json!({ "method": "POST", "path": ann_path, "bulkId": "x", "data": user("x") }),
        json!({ "method": "POST", "path": "/Users", "bulkId": "y", "data": { "displayName": "nameless" } }),
        json!({ "method": "POST", "path": "/Printers", "bulkId": "z", "data": {} }),
        json!({ "method": "GET", "path": ann_path }),
    ];
    let results = results(&bulk(&scim, &operations).await);
    let statuses: Vec<&str> = results.iter().map(|result| result["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["200", "412", "200", "200", "204", "404", "405", "400", "404", "400"], "{results:#?}");
    assert_eq!((&results[2]["method"], &results[2]["bulkId"]), (&json!("PUT"), &json!("echoed")));
    for (index, path) in [(0, &ann_path), (1, &ann_path), (4, &crew_path)] {
        assert_eq!(results[index]["location"], json!(format!("{}{path}", scim.base_url)));
    }
    let read = scim.get(&ann_path).await.expect(200);
    assert_eq!((&read.body["userName"], &read.body["active"]), (&json!("anna"), &json!(false)));
    assert_eq!((read.header("etag"), results[3]["version"].as_str()), ("W/\"4\"", Some("W/\"4\"")));
    let gone = [json!({ "method": "DELETE", "path": ann_path }), post("/Users", "new", &user("anna"))];
    assert_eq!(self::statuses(&bulk(&scim, &gone).await), ["204", "201"], "the name is free when its turn comes");
}

on_both!(many_changes_of_one_group_keep_their_order);
async fn many_changes_of_one_group_keep_their_order(database: Database) {
    let system = System::start_with(database, 1, 2).await;
    let scim = system.scim();
    let crew = scim.post("/Groups", &group("Crew", &[])).await.expect(201);
    let path = format!("/Groups/{}", crew.id());
    let name =
        |number: usize| patch(&json!([{ "op": "replace", "path": "displayName", "value": format!("Crew {number}") }]));
    let operations: Vec<Value> =
        (1..=300).map(|number| json!({ "method": "PATCH", "path": path, "data": name(number) })).collect();
    let answer = bulk(&scim, &operations).await;
    for (number, result) in (2..).zip(results(&answer)) {
        assert_eq!(
            (result["status"].as_str(), result["version"].as_str()),
            (Some("204"), Some(&*format!("W/\"{number}\"")))
        );
    }
    assert_eq!(scim.get(&path).await.body["displayName"], json!("Crew 300"));
}

on_both!(a_killed_worker_loses_and_doubles_nothing_of_it);
async fn a_killed_worker_loses_and_doubles_nothing_of_it(database: Database) {
    let system = System::start_with(database, 1, 2).await;
    let scim = system.scim();
    let request = tokio::spawn({
        let (scim, company) = (scim.clone(), company());
        async move { bulk(&scim, &company).await }
    });
    while count(&system, "users").await < 100 {
        tokio::task::yield_now().await;
    }
    system.workers[0].kill().await;
    let answer = request.await.unwrap();
    assert_eq!(statuses(&answer), vec!["201"; USERS + GROUPS]);
    assert_eq!(count(&system, "users").await, i64::try_from(USERS).unwrap());
    assert_eq!(count(&system, "group_members").await, i64::try_from(USERS).unwrap());
    balanced(&system).await;
}

#[tokio::test]
async fn a_limit_is_enforced_while_the_body_arrives_and_named() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let announced = &scim.get("/ServiceProviderConfig").await.expect(200).body["bulk"];
    assert_eq!(*announced, json!({ "supported": true, "maxOperations": MOST, "maxPayloadSize": 8 * 1024 * 1024 }));

    // Neither body ever ends: the answer does not wait for that.
    let operation = format!("{},", post("/Users", "x", &user("x")));
    let too_many = operation.repeat(MOST + 1);
    let too_large = format!("{{\"method\":\"{}", "x".repeat(9 * 1024 * 1024));
    for (sent, limit) in [(too_many, "maxOperations"), (too_large, "maxPayloadSize")] {
        let answer = answer_to_unfinished(&scim, &format!(r#"{{"schemas":["{BULK}"],"Operations":[{sent}"#)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{limit}: {answer}");
        assert!(answer.contains(limit) && answer.contains("application/scim+json"), "{answer}");
    }
    assert_eq!(scim.get("/Users").await.body["totalResults"], json!(0));

    let most: Vec<Value> = (0..MOST).map(|_| json!({ "method": "DELETE", "path": "/Users/x" })).collect();
    assert_eq!(statuses(&bulk(&scim, &most).await), vec!["404"; MOST]);
}

#[tokio::test]
async fn a_request_that_is_wrong_as_a_whole_does_nothing() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let operations = json!([post("/Users", "x", &user("x"))]);
    scim.post("/Bulk", &json!({ "Operations": operations })).await.expect_error(400, Some("invalidSyntax"));
    let with_limit = json!({ "schemas": [BULK], "failOnErrors": "one", "Operations": operations });
    scim.post("/Bulk", &with_limit).await.expect_error(400, Some("invalidValue"));
    let text = json!({ "schemas": [BULK], "Operations": operations }).to_string();
    let cut = scim.request(Method::POST, "/Bulk").header("content-type", "application/scim+json");
    send(cut.body(text[..text.len() - 2].to_owned())).await.expect_error(400, Some("invalidSyntax"));
    let plain = scim.request(Method::POST, "/Bulk").header("content-type", "text/plain");
    send(plain.body(text)).await.expect_error(415, None);
    send(scim.bare(Method::POST, "/Bulk").body("{}")).await.expect_error(401, None);
    scim.get("/Bulk").await.expect_error(405, None);
    assert_eq!(scim.get("/Users").await.body["totalResults"], json!(0));
}

const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Users, and groups that share them out: group n has every user whose number leaves n.
fn company() -> Vec<Value> {
    let users = (0..USERS).map(|number| post("/Users", &format!("u{number}"), &user(&format!("user{number}"))));
    let groups = (0..GROUPS).map(|number| {
        let members: Vec<String> = (number..USERS).step_by(GROUPS).map(|user| format!("bulkId:u{user}")).collect();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        post("/Groups", &format!("g{number}"), &group(&format!("Group {number}"), &members))
    });
    users.chain(groups).collect()
}

fn post(path: &str, bulk_id: &str, data: &Value) -> Value {
    json!({ "method": "POST", "path": path, "bulkId": bulk_id, "data": data })
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

async fn bulk(scim: &Scim, operations: &[Value]) -> Answer {
    let answer = scim.post("/Bulk", &json!({ "schemas": [BULK], "Operations": operations })).await.expect(200);
    assert_eq!(answer.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]));
    answer
}

fn results(answer: &Answer) -> Vec<Value> {
    answer.body["Operations"].as_array().unwrap().clone()
}

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["Operations"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

/// The id in a result's location.
fn id(result: &Value) -> &str {
    result["location"].as_str().and_then(|location| location.rsplit('/').next()).unwrap()
}

async fn read(scim: &Scim, result: &Value) -> Answer {
    let location = result["location"].as_str().unwrap();
    scim.get(location.strip_prefix(&scim.base_url).unwrap()).await
}

fn members(group: &Value) -> BTreeSet<&str> {
    group["members"].as_array().into_iter().flatten().map(|member| member["value"].as_str().unwrap()).collect()
}

/// Every row of users, groups and their members, but for who said last that a user is active: a repetition says it again.
async fn everything(system: &System) -> Vec<JsonValue> {
    let sql = system.sql().await;
    let mut rows = Vec::new();
    for table in ["users", "groups", "group_members"] {
        let text = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        let statement = Statement::from_string(sql.get_database_backend(), text);
        rows.extend(JsonValue::find_by_statement(statement).all(&sql).await.unwrap());
    }
    for row in rows.iter_mut().filter_map(JsonValue::as_object_mut) {
        row.retain(|column, _| !["active_seq", "active_arrived"].contains(&column.as_str()));
    }
    rows
}

/// Nothing that the log has taken is unaccounted for.
async fn balanced(system: &System) {
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!((&balance["balanced"], &balance["missing"]), (&json!(true), &json!(0)), "{balance:#}");
}

async fn count(system: &System, table: &str) -> i64 {
    let sql = system.sql().await;
    let statement = Statement::from_string(sql.get_database_backend(), format!("SELECT count(*) FROM {table}"));
    sql.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Sends a body in chunks without ever ending it; what the server says to that.
async fn answer_to_unfinished(scim: &Scim, body: &str) -> String {
    let request = scim.request(Method::POST, "/Bulk").build().unwrap();
    let (url, token) = (request.url(), request.headers()["authorization"].to_str().unwrap());
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\nContent-Type: application/scim+json\r\nTransfer-Encoding: chunked\r\n\r\n",
        url.path(),
    );
    let (mut from, mut to) = socket.split();
    let sending = async {
        to.write_all(head.as_bytes()).await.unwrap();
        for piece in body.as_bytes().chunks(64 * 1024) {
            // The server may have heard enough.
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let receiving = async {
        let mut buffer = [0; 4096];
        while !answer.ends_with(b"}") {
            let count = from.read(&mut buffer).await.unwrap();
            assert!(count > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&buffer[..count]);
        }
    };
    tokio::select! {
        () = sending => {}
        () = receiving => {}
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn as_many_changes_of_one_group_as_a_request_may_have_are_all_done() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let group = scim.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    let change = |number: usize| {
        let value = json!([{ "value": format!("01900000-0000-7000-8000-{number:012}") }]);
        let data = patch(&json!([{ "op": "add", "path": "members", "value": value }]));
        json!({ "method": "PATCH", "path": format!("/Groups/{group}"), "data": data })
    };
    let answer = bulk(&scim, &(0..1_500).map(change).collect::<Vec<_>>()).await;
    assert_eq!(statuses(&answer), vec!["204"; 1_500]);
}
