//! What an answer shows: the attributes that are asked for (RFC 7644 §3.9), in the order and the part asked for.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim, encoded, group, send, user};
use crate::harness::{Database, System, on_both};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

on_both!(a_user_shows_what_is_asked_for);
async fn a_user_shows_what_is_asked_for(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let created = scim.post("/Users", &employee("ann")).await.expect(201);
    let path = format!("/Users/{}", created.id());

    let number = format!("{ENTERPRISE}:employeeNumber");
    for (asked, shown) in [
        ("userName", json!({ "userName": "ann" })),
        ("USERNAME,externalid", json!({ "userName": "ann", "externalId": "ext-ann" })),
        (" userName , active ", json!({ "userName": "ann", "active": true })),
        ("name.familyName", json!({ "name": { "familyName": "Jensen" } })),
        ("emails.value", json!({ "emails": [{ "value": "ann@example.com" }] })),
        ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", json!({ "name": { "givenName": "Barbara" } })),
        (number.as_str(), json!({ ENTERPRISE: { "employeeNumber": "7" } })),
        (ENTERPRISE, json!({ ENTERPRISE: { "employeeNumber": "7", "department": "R&D" } })),
        ("nothing", json!({})),
        ("password", json!({})),
    ] {
        let read = scim.get(&format!("{path}?attributes={}", encoded(asked))).await.expect(200);
        assert_eq!(without_always(&read.body, &created.id()), shown, "{asked}");
        assert_eq!(read.header("etag"), created.header("etag"), "{asked}");
    }

    let (extension, extension_number) = (format!("/{ENTERPRISE}"), format!("/{ENTERPRISE}/employeeNumber"));
    for (left_out, pointers) in [
        ("name", vec!["/name"]),
        ("name.familyName,emails.type", vec!["/name/familyName", "/emails/0/type"]),
        (number.as_str(), vec![extension_number.as_str()]),
        (ENTERPRISE, vec![extension.as_str()]),
        // Always returned (RFC 7643 §7), so never left out.
        ("id,schemas", vec![]),
    ] {
        let pointers: Vec<String> = pointers.into_iter().map(str::to_owned).collect();
        let read = scim.get(&format!("{path}?excludedAttributes={}", encoded(left_out))).await.expect(200);
        for pointer in ["/id", "/schemas", "/userName"] {
            assert!(read.body.pointer(pointer).is_some(), "{left_out}: {pointer}");
        }
        let expected = without(&created.body, &pointers);
        assert_eq!(
            without(&read.body, &["/schemas".to_owned()]),
            without(&expected, &["/schemas".to_owned()]),
            "{left_out}"
        );
    }
    let both = scim.get(&format!("{path}?attributes=userName&excludedAttributes=name")).await;
    assert_eq!(both.status, 400, "RFC 7644 §3.9: one excludes the other");
}

on_both!(every_answer_with_a_resource_shows_what_is_asked_for);
async fn every_answer_with_a_resource_shows_what_is_asked_for(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let post = scim.post("/Users?attributes=userName", &employee("ann")).await.expect(201);
    assert_eq!(without_always(&post.body, &post.id()), json!({ "userName": "ann" }));
    let (id, path) = (post.id(), format!("/Users/{}", post.id()));
    let put = scim.put(&format!("{path}?attributes=userName"), &employee("ann")).await.expect(200);
    assert_eq!(without_always(&put.body, &id), json!({ "userName": "ann" }));
    let retitle = json!([{ "op": "replace", "path": "title", "value": "Boss" }]);
    let patched = scim.patch(&format!("{path}?attributes=title"), retitle).await.expect(200);
    assert_eq!(without_always(&patched.body, &id), json!({ "title": "Boss" }));
    let list = scim.get("/Users?excludedAttributes=name,emails").await.expect(200).body;
    assert_eq!(list["Resources"][0]["userName"], "ann");
    assert_eq!((&list["Resources"][0]["name"], &list["Resources"][0]["emails"]), (&Value::Null, &Value::Null));

    let team = scim.post("/Groups?excludedAttributes=members", &group("Team", &[&id])).await.expect(201);
    assert_eq!((&team.body["displayName"], &team.body["members"]), (&json!("Team"), &Value::Null));
    let path = format!("/Groups/{}", team.id());
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Crew" }]);
    // RFC 7644 §3.5.2: "if a client requests attributes, the server MUST return 200".
    let patched = scim.patch(&format!("{path}?attributes=displayName"), rename).await.expect(200);
    assert_eq!(without_always(&patched.body, &team.id()), json!({ "displayName": "Crew" }));
    let read = scim.get(&format!("{path}?attributes=members.value")).await.expect(200);
    assert_eq!(without_always(&read.body, &team.id()), json!({ "members": [{ "value": id }] }));
    let list = scim.get("/Groups?attributes=displayName").await.expect(200).body;
    assert_eq!(without_always(&list["Resources"][0], &team.id()), json!({ "displayName": "Crew" }));
}

on_both!(a_search_by_post_is_a_list);
async fn a_search_by_post_is_a_list(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let ann = scim.post("/Users", &employee("ann")).await.expect(201).id();
    scim.post("/Users", &employee("bob")).await.expect(201);
    let team = scim.post("/Groups", &group("Team", &[&ann])).await.expect(201).id();

    let filter = json!({ "schemas": [SEARCH], "filter": "userName eq \"ann\"", "attributes": ["externalId"] });
    let found = scim.post("/Users/.search", &filter).await.expect(200).body;
    assert_eq!((&found["totalResults"], ids(&found)), (&json!(1), vec![ann.clone()]));
    assert_eq!(without_always(&found["Resources"][0], &ann), json!({ "externalId": "ext-ann" }));
    let name = json!({ "schemas": [SEARCH], "filter": "displayName eq \"team\"", "excludedAttributes": ["members"] });
    let found = scim.post("/Groups/.search", &name).await.expect(200).body;
    assert_eq!((ids(&found), &found["Resources"][0]["members"]), (vec![team.clone()], &Value::Null));

    let page =
        json!({ "schemas": [SEARCH], "startIndex": 2, "count": 1, "sortBy": "userName", "sortOrder": "descending" });
    let found = scim.post("/Users/.search", &page).await.expect(200).body;
    assert_eq!((&found["totalResults"], &found["startIndex"], ids(&found)), (&json!(2), &json!(2), vec![ann.clone()]));

    // RFC 7644 §3.4.2.1: what a kind of resource does not have is without a value.
    let everything = scim.post("/.search", &json!({ "schemas": [SEARCH] })).await.expect(200).body;
    assert_eq!(everything["totalResults"], 3);
    let kinds = json!({ "schemas": [SEARCH], "filter": "meta.resourceType eq \"Group\" or userName eq \"ann\"" });
    let mut found = ids(&scim.post("/.search", &kinds).await.expect(200).body);
    found.sort_unstable();
    assert_eq!(found, [ann.clone(), team.clone()]);
    let base = scim.get("").await.expect(200).body;
    assert_eq!((&base["totalResults"], ids(&base).len()), (&json!(3), 3), "RFC 7644 §3.4.2.1: a query at the base");

    for both in ["/.search", "/Users/.search"] {
        let body = json!({ "schemas": [SEARCH], "attributes": ["userName"], "excludedAttributes": ["name"] });
        assert_eq!(scim.post(both, &body).await.status, 400, "{both}");
        scim.post(both, &json!([])).await.expect_error(400, Some("invalidSyntax"));
        let filter = json!({ "schemas": [SEARCH], "filter": "userName" });
        scim.post(both, &filter).await.expect_error(400, Some("invalidFilter"));
    }
}

on_both!(a_list_is_sorted_and_cut_as_asked);
async fn a_list_is_sorted_and_cut_as_asked(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for (name, title) in [("cleo", Some("b")), ("ann", None), ("Bob", Some("A"))] {
        let mut body = user(name);
        if let Some(title) = title {
            body["title"] = json!(title);
        }
        scim.post("/Users", &body).await.expect(201);
    }
    for (asked, order) in [
        ("sortBy=userName", ["ann", "Bob", "cleo"]),
        ("sortBy=USERNAME&sortOrder=descending", ["cleo", "Bob", "ann"]),
        ("sortBy=emails.value&sortOrder=ascending", ["ann", "Bob", "cleo"]),
        ("sortBy=emails", ["ann", "Bob", "cleo"]),
        // RFC 7644 §3.4.2.3: unassigned comes last, and in descending order first.
        ("sortBy=title", ["Bob", "cleo", "ann"]),
        ("sortBy=title&sortOrder=descending", ["ann", "cleo", "Bob"]),
        ("nonsense=1&Count=1&sortby=userName", ["cleo", "ann", "Bob"]),
    ] {
        assert_eq!(names(&scim.get(&format!("/Users?{asked}")).await.expect(200).body), order, "{asked}");
    }
    for (asked, start, shown) in [
        ("startIndex=0", 1, 3),
        ("startIndex=-5&count=2", 1, 2),
        ("startIndex=3&count=2", 3, 1),
        ("startIndex=4", 4, 0),
        ("count=0", 1, 0),
        ("count=-1", 1, 0),
    ] {
        let list = scim.get(&format!("/Users?{asked}")).await.expect(200).body;
        let expected = (json!(3), json!(start), json!(shown), shown);
        let (total, first, items) = (&list["totalResults"], &list["startIndex"], &list["itemsPerPage"]);
        assert_eq!((total.clone(), first.clone(), items.clone(), names(&list).len()), expected, "{asked}");
    }
    assert_eq!(scim.get("/Users?sortOrder=sideways&sortBy=userName").await.status, 400);
}

on_both!(discovery_versions_and_media_types_are_those_of_the_standard);
async fn discovery_versions_and_media_types_are_those_of_the_standard(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    for path in ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"] {
        scim.get(path).await.expect(200);
        scim.get(&format!("{path}?attributes=id&sortBy=id&count=0")).await.expect(200);
        // RFC 7644 §4: so that nobody takes the whole for what a filter found.
        scim.get(&format!("{path}?filter={}", encoded("name pr"))).await.expect_error(403, None);
    }
    let older = Scim::new(scim.base_url.replace("/v2/", "/v1/"), system.token());
    older.get("/Users").await.expect_error(400, Some("invalidVers"));
    scim.get("/Me").await.expect_error(501, None);

    for media_type in ["application/scim+json", "application/json"] {
        let name = media_type.replace(['/', '+'], "-");
        let request = scim.request(Method::POST, "/Users").header("content-type", media_type);
        let created = send(request.header("accept", media_type).body(user(&name).to_string())).await.expect(201);
        assert!(is_json(&created), "{media_type}: {}", created.header("content-type"));
        let read = send(scim.request(Method::GET, "/Users").header("accept", media_type)).await.expect(200);
        assert!(is_json(&read), "{media_type}: {}", read.header("content-type"));
    }
}

fn is_json(answer: &Answer) -> bool {
    matches!(answer.header("content-type"), "application/scim+json" | "application/json")
}

/// A user with the enterprise extension.
fn employee(name: &str) -> Value {
    let mut body = user(name);
    body["schemas"].as_array_mut().unwrap().push(json!(ENTERPRISE));
    body[ENTERPRISE] = json!({ "employeeNumber": "7", "department": "R&D" });
    body["password"] = json!("correct horse");
    body
}

/// A resource less what is always shown, which must be there.
fn without_always(resource: &Value, id: &str) -> Value {
    assert_eq!(resource["id"], json!(id), "{resource:#}");
    assert!(resource["schemas"].as_array().is_some_and(|schemas| !schemas.is_empty()), "{resource:#}");
    without(resource, &["/id".to_owned(), "/schemas".to_owned()])
}

fn without(resource: &Value, pointers: &[String]) -> Value {
    let mut resource = resource.clone();
    for pointer in pointers {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        if let Some(parent) = resource.pointer_mut(parent).and_then(Value::as_object_mut) {
            parent.remove(name);
        }
    }
    resource
}

fn names(list: &Value) -> Vec<&str> {
    let resources = list["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    resources.iter().map(|resource| resource["userName"].as_str().unwrap()).collect()
}

fn ids(list: &Value) -> Vec<String> {
    let resources = list["Resources"].as_array().cloned().unwrap_or_default();
    resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}
