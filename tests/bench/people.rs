//! The people and groups that are sent.

use anyhow::{Context, bail};
use protocol::scim::bulk::BULK_REQUEST_SCHEMA;
use reqwest::Method;
use rosterd::client::Request;
use serde_json::{Value, json};

/// Operations of a large bulk request: as many as an ingress takes by itself.
pub(super) const PORTION: usize = 2000;

/// A user as a provider sends one. Names with the same `series` are unlike those of another.
pub(super) fn user(series: &str, number: usize) -> Value {
    let name = format!("{series}-{number}@example.com");
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User",
                    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "userName": name,
        "externalId": format!("{series}-{number:08}"),
        "name": { "givenName": "Barbara", "familyName": format!("Jensen {number}") },
        "displayName": format!("Barbara Jensen {number}"),
        "emails": [{ "value": name, "type": "work", "primary": true }],
        "active": true,
        "timezone": "Europe/Berlin",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "Sales", "employeeNumber": number.to_string() },
    })
}

/// The creation of a user.
pub(super) fn create(series: &str, number: usize) -> Request {
    Request::new(Method::POST, "/Users").body(user(series, number))
}

/// A group with these members.
pub(super) fn group(name: &str, members: &[String]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members })
}

/// A PATCH of one attribute.
pub(super) fn patch(path: String, op: &str, attribute: &str, value: &Value) -> Request {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": op, "path": attribute, "value": value }],
    });
    Request::new(Method::PATCH, path).body(body)
}

/// A bulk request that creates so many users, and groups that share them out.
pub(super) fn bulk(series: &str, first: usize, users: usize, groups: usize) -> Request {
    let mut operations: Vec<Value> =
        (first..first + users).map(|number| post("/Users", &format!("u{number}"), user(series, number))).collect();
    operations.extend((0..groups).map(|number| {
        let members = (first + number..first + users).step_by(groups);
        let members: Vec<String> = members.map(|user| format!("bulkId:u{user}")).collect();
        post("/Groups", &format!("g{number}"), group(&format!("{series} {number}"), &members))
    }));
    Request::new(Method::POST, "/Bulk").body(json!({ "schemas": [BULK_REQUEST_SCHEMA], "Operations": operations }))
}

fn post(path: &str, bulk_id: &str, data: Value) -> Value {
    let mut operation = json!({ "method": "POST", "path": path, "bulkId": bulk_id });
    if let Some(members) = operation.as_object_mut() {
        members.insert("data".to_owned(), data);
    }
    operation
}

/// The ids of what a bulk request created, all of it.
pub(super) fn created(answer: &Value) -> anyhow::Result<Vec<String>> {
    let operations = answer.get("Operations").and_then(Value::as_array).context("the answer has no Operations")?;
    let id = |operation: &Value| {
        let status = operation.get("status").and_then(Value::as_str);
        if status != Some("201") {
            bail!("an operation of a bulk request was not 201: {operation}");
        }
        let location = operation.get("location").and_then(Value::as_str).context("a location is missing")?;
        Ok(location.rsplit('/').next().unwrap_or_default().to_owned())
    };
    operations.iter().map(id).collect()
}

/// A resource's id.
pub(super) fn id(resource: &Value) -> anyhow::Result<String> {
    let id = resource.get("id").and_then(Value::as_str).context("an answer without id")?;
    Ok(id.to_owned())
}
