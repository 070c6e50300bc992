//! Walks by cursor (RFC 9865): through many while others come and go, in any order, and never by a cursor that is none.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim, encoded, group, user};
use crate::harness::{Database, System, on_both};

const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// How many there are, how many come and go meanwhile, and how many of each while one page is read.
const MANY: usize = 20_000;
const CHANGES: usize = 500;
const PER_PAGE: usize = 5;

on_both!(a_walk_through_twenty_thousand_shows_who_is_there_throughout_exactly_once);
async fn a_walk_through_twenty_thousand_shows_who_is_there_throughout_exactly_once(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    scim.post("/Users", &user("model")).await.expect(201);
    multiply(&system, database).await;
    let (mut times, mut cursor, mut changes) = (BTreeMap::<String, usize>::new(), Some(String::new()), 0..CHANGES);
    let (mut gone, mut counted) = (BTreeSet::new(), None);
    while let Some(after) = cursor.take() {
        let changes: Vec<usize> = changes.by_ref().take(PER_PAGE).collect();
        let path = format!("/Users?attributes=userName&cursor={after}");
        let come = changes.iter().map(|n| scim.post_owned("/Users", user(&format!("new{n}"))));
        // All over the list, in no order of it.
        let go: Vec<String> = changes.iter().map(|n| copied(n * 211 % CHANGES * (MANY / CHANGES) + 7)).collect();
        let leave = go.iter().map(|id| delete(&scim, id));
        let (page, come, left) = tokio::join!(scim.get(&path), join_all(come), join_all(leave));
        assert!(come.iter().all(|answer| answer.status == 201) && left.iter().all(|answer| answer.status == 204));
        gone.extend(go);
        let page = page.expect(200).body;
        // Counted once, while the first five came and went.
        let total = page["totalResults"].as_u64().unwrap();
        assert_eq!(*counted.get_or_insert(total), total);
        for id in ids(&page) {
            *times.entry(id).or_default() += 1;
        }
        cursor = page["nextCursor"].as_str().map(str::to_owned);
    }
    assert!(counted.is_some_and(|total| total.abs_diff(20_001) <= 5), "{counted:?}");
    assert_eq!((changes.next(), gone.len()), (None, CHANGES), "all of them came and went meanwhile");
    let throughout = (0..MANY).map(copied).filter(|id| !gone.contains(id));
    let wrong: Vec<String> = throughout.filter(|id| times.get(id) != Some(&1)).collect();
    assert!(wrong.is_empty(), "{} of those who were there throughout: {:?}", wrong.len(), wrong.first());
    assert!(times.values().all(|times| *times == 1), "nobody is shown twice");
}

async fn delete(scim: &Scim, id: &str) -> Answer {
    scim.delete(&format!("/Users/{id}")).await
}

/// The id of one of many.
fn copied(n: usize) -> String {
    format!("01900000-0000-7000-9000-{n:012x}")
}

/// Makes many after the model of the one that is there.
async fn multiply(system: &System, database: Database) {
    let (numbers, id, name) = match database {
        Database::Postgresql => (
            format!("generate_series(0, {}) AS s(n)", MANY - 1),
            "('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid",
            "'user' || n",
        ),
        Database::Sqlite => (
            format!("(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s LIMIT {MANY}) SELECT n FROM s)"),
            "unhex(printf('01900000000070009000%012x', n))",
            "'user' || n",
        ),
    };
    let same = "active, active_seq, attributes, search, ownership, version, last_sequence, created_at, modified_at";
    let sql = format!(
        "INSERT INTO users (workspace, id, user_name, user_name_key, {same}) \
         SELECT workspace, {id}, {name}, {name}, {same} FROM users, {numbers} WHERE workspace = 'acme'"
    );
    let connection = system.sql().await;
    assert_eq!(connection.execute_unprepared(&sql).await.unwrap().rows_affected(), u64::try_from(MANY).unwrap());
    connection.close().await.unwrap();
}

on_both!(a_walk_shows_the_list_whatever_is_asked_for);
async fn a_walk_shows_the_list_whatever_is_asked_for(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let mut members = Vec::new();
    for n in 0..12 {
        let mut body = user(&format!("user{}", n * 5 % 12));
        if n % 3 > 0 {
            body["title"] = json!(format!("Title {}", n % 3));
        }
        members.push(scim.post("/Users", &body).await.expect(201).id());
    }
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    for name in ["Staff", "Crew", "user7"] {
        scim.post("/Groups", &group(name, &members)).await.expect(201);
    }
    let filter = encoded("title pr");
    for asked in [
        "/Users?".to_owned(),
        "/Users?sortBy=userName&sortOrder=descending".to_owned(),
        "/Users?sortBy=title".to_owned(),
        "/Users?sortBy=title&sortOrder=descending".to_owned(),
        "/Users?sortBy=active".to_owned(),
        "/Users?sortBy=meta.created&sortOrder=descending".to_owned(),
        format!("/Users?filter={filter}&sortBy=emails"),
        "/Groups?sortBy=displayName".to_owned(),
        "?".to_owned(),
        "?sortBy=meta.lastModified".to_owned(),
        "?sortBy=displayName".to_owned(),
        "?sortBy=externalId&sortOrder=descending".to_owned(),
    ] {
        let whole = scim.get(&asked).await.expect(200).body;
        assert_eq!((&whole["startIndex"], &whole["nextCursor"]), (&json!(1), &Value::Null), "by index unless asked");
        for count in [1, 4, 200] {
            let page = async |cursor: &str| scim.get(&format!("{asked}&count={count}&cursor={cursor}")).await;
            let pages = walk(page).await;
            let shown: Vec<Value> =
                pages.iter().flat_map(|page| page["Resources"].as_array().unwrap().clone()).collect();
            assert_eq!(json!(shown), whole["Resources"], "{asked} by {count}");
            assert!(pages.iter().all(|page| page["totalResults"] == whole["totalResults"]), "{asked}");
        }
    }
    let whole = scim.get("/Users?sortBy=userName").await.expect(200).body;
    let page = async |cursor: &str| {
        let search = json!({ "schemas": [SEARCH], "sortBy": "userName", "cursor": cursor, "count": 5 });
        scim.post("/Users/.search", &search).await
    };
    let found: Vec<String> = walk(page).await.iter().flat_map(ids).collect();
    assert_eq!(found, ids(&whole));
}

/// All pages of a walk.
async fn walk(page: impl AsyncFn(&str) -> Answer) -> Vec<Value> {
    let (mut pages, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(&cursor).await.expect(200).body;
        assert_eq!(page["startIndex"], Value::Null);
        assert_eq!(page["itemsPerPage"], json!(ids(&page).len()));
        let next = page["nextCursor"].as_str().map(str::to_owned);
        pages.push(page);
        match next {
            Some(next) => cursor = next,
            None => return pages,
        }
    }
}

on_both!(what_is_no_cursor_of_the_query_is_refused);
async fn what_is_no_cursor_of_the_query_is_refused(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for name in ["ann", "bob", "cleo"] {
        scim.post("/Users", &user(name)).await.expect(201);
    }
    let cursor = async |path: &str| {
        let page = scim.get(&format!("{path}&cursor&count=1")).await.expect(200).body;
        page["nextCursor"].as_str().unwrap().to_owned()
    };
    let (plain, sorted) = (cursor("/Users?").await, cursor("/Users?sortBy=userName").await);
    let (half, long) = (&plain[..plain.len() / 2], "A".repeat(5_000));
    for refused in [
        format!("/Users?cursor={sorted}"),
        format!("/Users?cursor={plain}&sortBy=userName"),
        format!("/Users?cursor={sorted}&sortBy=userName&sortOrder=descending"),
        format!("/Users?cursor={plain}&filter={}", encoded("userName pr")),
        format!("/Groups?cursor={plain}"),
        format!("?cursor={plain}"),
        format!("/Users?cursor={half}"),
        format!("/Users?cursor={plain}A"),
        format!("/Users?cursor={plain}%3D"),
        format!("/Users?cursor={long}"),
        "/Users?cursor=1".to_owned(),
        "/Users?cursor=%00%ff".to_owned(),
    ] {
        scim.get(&refused).await.expect_error(400, Some("invalidCursor"));
    }
    scim.get(&format!("/Users?cursor={plain}&startIndex=1")).await.expect_error(400, Some("invalidValue"));
    scim.get("/Users?cursor=&startIndex=2").await.expect_error(400, Some("invalidValue"));
    scim.get("/Users?cursor=&count=many").await.expect_error(400, Some("invalidCount"));
    for (body, scim_type) in [
        (json!({ "schemas": [SEARCH], "cursor": sorted }), "invalidCursor"),
        (json!({ "schemas": [SEARCH], "cursor": "", "startIndex": 1 }), "invalidValue"),
        (json!({ "schemas": [SEARCH], "cursor": "", "count": "many" }), "invalidCount"),
        (json!({ "schemas": [SEARCH], "cursor": 1 }), "invalidValue"),
    ] {
        scim.post("/Users/.search", &body).await.expect_error(400, Some(scim_type));
    }
    // RFC 9865 §2: a negative count is 0, and 0 asks for `totalResults` only.
    for none in ["/Users?cursor&count=0", "/Users?cursor=&count=-3"] {
        let page = scim.get(none).await.expect(200).body;
        assert_eq!((&page["totalResults"], ids(&page).len(), &page["nextCursor"]), (&json!(3), 0, &Value::Null));
    }
    assert_eq!(ids(&scim.get("/Users?cursor&count=100000").await.expect(200).body).len(), 3);
    gives_no_access(&system, &plain).await;
}

/// A cursor shows its holder nothing that a list would not.
async fn gives_no_access(system: &System, cursor: &str) {
    let globex: Scim = system.enable("globex").await;
    let own = globex.post("/Users", &user("ann")).await.expect(201).id();
    let page = globex.get(&format!("/Users?cursor={cursor}")).await.expect(200).body;
    assert_eq!(ids(&page), [own]);
}

fn ids(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}
