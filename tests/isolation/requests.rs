//! Every route with every method, with an id wherever one can stand.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::Ids;
use crate::harness::scim::{Scim, encoded, group, patch, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
const BULK: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// Stand in a path for the user and the group that the request is about.
const CARRIER: &str = "{carrier}";
const CREW: &str = "{crew}";

/// A request below a Base URL.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    body: Option<Value>,
}

impl Request {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None }
    }

    fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// The request as this client sends it.
    pub(super) fn with(&self, scim: &Scim) -> RequestBuilder {
        match &self.body {
            Some(body) => scim.json(self.method.clone(), &self.path, body),
            None => scim.request(self.method.clone(), &self.path),
        }
    }

    /// The same about this user or this group.
    pub(super) fn on(self, carrier: &str, crew: &str) -> Self {
        Self { path: self.path.replace(CARRIER, carrier).replace(CREW, crew), ..self }
    }

    pub(super) fn title(&self) -> String {
        format!("{} {} {}", self.method, self.path, self.body.as_ref().map(Value::to_string).unwrap_or_default())
    }
}

/// Requests whose answers show whether an id is known.
pub(super) fn all(ids: &Ids<'_>) -> Vec<Request> {
    let mut requests = Vec::new();
    for id in [ids.user, ids.group] {
        for kind in ["Users", "Groups"] {
            requests.extend(about(&format!("/{kind}/{id}")));
        }
        for path in ["Schemas", "ResourceTypes", "Me", "Nothing"] {
            requests.push(Request::new(Method::GET, format!("/{path}/{id}")));
        }
        requests.extend(looking_for(id));
        requests.push(bulk(id));
    }
    requests
}

/// All that can be asked of one resource.
fn about(path: &str) -> Vec<Request> {
    let operations = patch(&json!([{ "op": "replace", "path": "externalId", "value": "taken over" }]));
    let body = if path.starts_with("/Users") { user("taken-over") } else { group("Taken over", &[]) };
    let mut requests = vec![
        Request::new(Method::GET, format!("{path}?attributes=externalId")),
        Request::new(Method::GET, format!("{path}?excludedAttributes=members")),
        Request::new(Method::GET, format!("{path}/members")),
        Request::new(Method::PUT, path).body(body.clone()),
        Request::new(Method::PUT, path).body(json!({})),
        Request::new(Method::PATCH, path).body(operations.clone()),
        Request::new(Method::PATCH, format!("{path}?attributes=externalId")).body(operations),
        Request::new(Method::PATCH, path).body(patch(&json!([{ "op": "remove", "path": "members" }]))),
        Request::new(Method::POST, path).body(body),
    ];
    let bare = [Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS];
    requests.extend(bare.into_iter().map(|method| Request::new(method, path)));
    requests
}

/// Queries that find something only where the id is known.
fn looking_for(id: &str) -> Vec<Request> {
    let filters = [
        format!("id eq \"{id}\""),
        format!("id sw \"{id}\""),
        format!("members.value eq \"{id}\""),
        format!("members[value eq \"{id}\"]"),
        format!("groups.value eq \"{id}\""),
        format!("{ENTERPRISE}:manager.value eq \"{id}\""),
        format!("meta.location co \"{id}\""),
    ];
    let mut requests = Vec::new();
    for filter in &filters {
        for path in ["", "/Users", "/Groups"] {
            requests.push(Request::new(Method::GET, format!("{path}?filter={}", encoded(filter))));
            let body = json!({ "schemas": [SEARCH], "filter": filter });
            requests.push(Request::new(Method::POST, format!("{path}/.search")).body(body));
        }
    }
    requests
}

fn bulk(id: &str) -> Request {
    let operations = json!([
        { "method": "DELETE", "path": format!("/Users/{id}") },
        { "method": "DELETE", "path": format!("/Groups/{id}") },
        { "method": "PUT", "path": format!("/Users/{id}"), "data": user("taken-over") },
    ]);
    Request::new(Method::POST, "/Bulk").body(json!({ "schemas": [BULK], "Operations": operations }))
}

/// Writes that are accepted, and name somebody who need not exist.
pub(super) fn naming(ids: &Ids<'_>) -> Vec<Request> {
    let Ids { user: person, group: team } = ids;
    let mut managed = user("managed");
    managed[ENTERPRISE] = json!({ "manager": { "value": person } });
    let mut claiming = user("claiming");
    claiming["id"] = json!(person);
    claiming["groups"] = json!([{ "value": team }]);
    let crew = |operations: Value| Request::new(Method::PATCH, format!("/Groups/{CREW}")).body(patch(&operations));
    let carrier = |operations: Value| Request::new(Method::PATCH, format!("/Users/{CARRIER}")).body(patch(&operations));
    vec![
        Request::new(Method::POST, "/Users").body(managed),
        Request::new(Method::POST, "/Users").body(claiming),
        Request::new(Method::POST, "/Groups").body(group("Named", &[person])),
        Request::new(Method::POST, "/Groups").body(group("Named", &[team])),
        Request::new(Method::PUT, format!("/Groups/{CREW}")).body(group("Crew", &[person, team])),
        crew(json!([{ "op": "add", "path": "members", "value": [{ "value": person }, { "value": team }] }])),
        crew(json!([{ "op": "replace", "path": "members", "value": [{ "value": person }] }])),
        crew(json!([{ "op": "remove", "path": format!("members[value eq \"{person}\"]") }])),
        carrier(json!([{ "op": "add", "path": format!("{ENTERPRISE}:manager"), "value": { "value": person } }])),
        carrier(json!([{ "op": "replace", "path": format!("{ENTERPRISE}:manager.value"), "value": person }])),
    ]
}
