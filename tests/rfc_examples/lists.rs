//! RFC 7644 §3.4.2 and §3.4.3: lists, their filters, pages, and searches by POST.

use serde_json::{Value, json};

use super::example;
use crate::harness::scim::{Scim, group, user};
use crate::harness::{Database, System, on_both};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

on_both!(every_filter_finds_what_matches_and_nothing_else);
async fn every_filter_finds_what_matches_and_nothing_else(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for user in people() {
        scim.post("/Users", &user).await.expect(201);
    }
    let filters = example("rfc7644/3_4_2_2_filters.json");
    let filters: Vec<&str> = filters.as_array().unwrap().iter().map(|filter| filter.as_str().unwrap()).collect();
    let everybody = ["bjensen", "dave", "john", "jsmith", "mandy"].as_slice();
    let found: [&[&str]; 19] = [
        // `userName Eq "john"`, and the same with the name in another letter case (§3.4.2.2).
        &["john"],
        &["john"],
        &["bjensen"],
        &["jsmith"],
        &["john", "jsmith"],
        &["john", "jsmith"],
        &["bjensen", "mandy"],
        // Since, and before, a moment of 2011.
        everybody,
        everybody,
        &[],
        &[],
        &["bjensen"],
        &["bjensen", "jsmith", "mandy"],
        // `schemas eq` the Enterprise extension.
        &["bjensen"],
        &["bjensen", "dave"],
        &["john", "jsmith"],
        &["bjensen"],
        // `emails[type eq "work" and value co "@example.com"]`: one and the same value.
        &["bjensen"],
        &["bjensen", "mandy"],
    ];
    assert_eq!(filters.len(), found.len());
    let mut wrong = Vec::new();
    for (filter, expected) in filters.into_iter().zip(found) {
        for (way, found) in [("GET", got(&scim, filter).await), ("POST", searched(&scim, filter).await)] {
            if found.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>()) != Ok(expected.to_vec())
            {
                wrong.push(format!("{way} {filter}: {found:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The same moment on the other side of everything, for the filters that found all or none.
    for (op, expected) in [("gt", [].as_slice()), ("ge", &[]), ("lt", everybody), ("le", everybody)] {
        let later = got(&scim, &format!("meta.lastModified {op} \"9999-05-13T04:42:34Z\"")).await.unwrap();
        assert_eq!(later, expected, "{op}");
    }
}

on_both!(a_search_of_everything_is_restricted_by_kind);
async fn a_search_of_everything_is_restricted_by_kind(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    scim.post("/Users", &user("jsmith")).await.expect(201);
    scim.post("/Groups", &group("Smith Family", &[])).await.expect(201);
    // §3.4.2.1 leaves the quotes out, which the grammar of §3.4.2.2 does not allow.
    let both = r#"(meta.resourceType eq "User") or (meta.resourceType eq "Group")"#;
    let kinds = |found: Vec<Value>| -> Vec<_> { found.iter().map(|one| one["meta"]["resourceType"].clone()).collect() };
    assert_eq!(kinds(scim.find("", both).await), ["User", "Group"]);
    assert_eq!(kinds(scim.find("", r#"meta.resourceType eq "Group""#).await), ["Group"]);
    assert_eq!(kinds(scim.find("/Users", r#"meta.resourceType eq "Group""#).await), [""; 0]);
}

on_both!(a_list_shows_what_is_asked_for);
async fn a_list_shows_what_is_asked_for(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let mut expected = example("rfc7644/3_4_2_list_response.json");
    for listed in expected["Resources"].as_array_mut().unwrap() {
        let id = scim.post("/Users", &user(listed["userName"].as_str().unwrap())).await.expect(201).id();
        listed["id"] = json!(id);
    }
    let mut list = scim.get("/Users?attributes=userName").await.expect(200).body;
    without_schemas(&mut list);
    for name in ["schemas", "totalResults", "Resources"] {
        assert_eq!(list[name], expected[name], "{name}");
    }
}

on_both!(a_page_has_ten_of_more);
async fn a_page_has_ten_of_more(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for number in 1..=11 {
        scim.post("/Users", &user(&format!("user{number}"))).await.expect(201);
    }
    let list = scim.get("/Users?startIndex=1&count=10").await.expect(200).body;
    assert_eq!([&list["totalResults"], &list["itemsPerPage"], &list["startIndex"]], [11, 10, 1]);
    assert_eq!(list["Resources"].as_array().map(Vec::len), Some(10));
    assert_eq!(list["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
}

on_both!(a_search_by_post_finds_users_and_groups);
async fn a_search_by_post_finds_users_and_groups(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let mut expected = example("rfc7644/3_4_3_search_response.json");
    let james = json!({ "userName": "jsmith", "displayName": "Smith, James" });
    expected["Resources"][0]["id"] = json!(scim.post("/Users", &james).await.expect(201).id());
    expected["Resources"][1]["id"] = json!(scim.post("/Groups", &group("Smith Family", &[])).await.expect(201).id());
    scim.post("/Users", &json!({ "userName": "smith", "displayName": "Jensen, Barbara" })).await.expect(201);
    scim.post("/Groups", &group("Blacksmiths", &[])).await.expect(201);

    let mut list = scim.post("/.search", &example("rfc7644/3_4_3_search_request.json")).await.expect(200).body;
    without_schemas(&mut list);
    for name in ["schemas", "startIndex", "Resources"] {
        assert_eq!(list[name], expected[name], "{name}");
    }
    // The example shows two of a hundred, ten of which are on the page.
    assert_eq!([&list["totalResults"], &list["itemsPerPage"]], [2, 2]);
}

/// Five people of whom each filter finds some, except those that ask for a moment.
fn people() -> [Value; 5] {
    let person = |user_name: &str, family_name: &str, kind: &str| json!({ "userName": user_name, "name": { "familyName": family_name }, "userType": kind });
    let mut barbara = person("bjensen", "Jensen", "Employee");
    barbara["title"] = json!("Tour Guide");
    barbara["emails"] =
        json!([{ "type": "work", "value": "bjensen@example.com" }, { "type": "home", "value": "babs@jensen.org" }]);
    barbara[ENTERPRISE] = json!({ "employeeNumber": "701984" });
    let mut james = person("jsmith", "O'Malley", "Intern");
    james["emails"] = json!([{ "type": "home", "value": "james@elsewhere.net" }]);
    let mut mandy = person("mandy", "Pepperidge", "Contractor");
    mandy["title"] = json!("Guide");
    mandy["emails"] = json!([{ "type": "work", "value": "mandy@example.org" }]);
    mandy["ims"] = json!([{ "type": "xmpp", "value": "mandy@foo.com" }]);
    let mut dave = person("dave", "Smith", "Employee");
    dave["emails"] =
        json!([{ "type": "home", "value": "dave@example.com" }, { "type": "other", "value": "work@example.net" }]);
    [barbara, james, mandy, dave, person("john", "Doe", "Temp")]
}

/// Whom a filter finds by GET; the error's words if it is refused.
async fn got(scim: &Scim, filter: &str) -> Result<Vec<String>, String> {
    names(&scim.filtered("/Users", filter).await.body)
}

/// The same by POST.
async fn searched(scim: &Scim, filter: &str) -> Result<Vec<String>, String> {
    names(&scim.post("/Users/.search", &json!({ "schemas": [SEARCH], "filter": filter })).await.body)
}

fn names(list: &Value) -> Result<Vec<String>, String> {
    let found = list["Resources"].as_array().ok_or_else(|| list["detail"].to_string())?;
    let mut names: Vec<_> = found.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

/// The standard's lists of parts of resources leave out `schemas`, which is always returned here.
fn without_schemas(list: &mut Value) {
    for resource in list["Resources"].as_array_mut().unwrap() {
        assert!(resource.as_object_mut().unwrap().remove("schemas").is_some());
    }
}
