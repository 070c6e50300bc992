//! The requests, each in the forms that Okta and Entra send.

use reqwest::Method;
use serde_json::{Value, json};

use crate::history::{Attribute, Values};
use crate::workload::http::Request;
use crate::workload::population::Person;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

pub(super) fn create_user(user_name: &str, marker: &str, values: &Values) -> Request {
    let mut body = user(user_name, marker, values);
    body["active"] = json!(true);
    Request::new(Method::POST, "/Users").body(body)
}

/// All attributes but `active`, which a PUT without it leaves as it is.
pub(super) fn replace_user(person: &Person, values: &Values) -> Request {
    let body = user(&person.user_name, &person.marker, values);
    Request::new(Method::PUT, format!("/Users/{}", person.id)).body(body)
}

/// Entra's form names the path, Okta's does not.
pub(super) fn patch_user(id: &str, attribute: Attribute, value: &str, entra: bool) -> Request {
    let operation = match (entra, attribute) {
        (true, _) => json!({ "op": "Replace", "path": attribute.path(), "value": value }),
        (false, Attribute::FamilyName) => json!({ "op": "replace", "value": { "name": { "familyName": value } } }),
        (false, _) => json!({ "op": "replace", "value": { attribute.path(): value } }),
    };
    patch("/Users", id, &operation)
}

pub(super) fn set_active(id: &str, active: bool, entra: bool) -> Request {
    let text = if active { "True" } else { "False" };
    let operation = if entra {
        json!({ "op": "Replace", "path": "active", "value": text })
    } else {
        json!({ "op": "replace", "value": { "active": active } })
    };
    patch("/Users", id, &operation)
}

pub(super) fn create_group(name: &str, marker: &str) -> Request {
    let body = json!({ "schemas": [GROUP], "displayName": name, "externalId": marker, "members": [] });
    Request::new(Method::POST, "/Groups").body(body)
}

pub(super) fn rename_group(id: &str, name: &str, entra: bool) -> Request {
    let operation = if entra {
        json!({ "op": "Replace", "path": "displayName", "value": name })
    } else {
        json!({ "op": "replace", "value": { "id": id, "displayName": name } })
    };
    patch("/Groups", id, &operation)
}

pub(super) fn add_member(group: &str, user: &str, entra: bool) -> Request {
    let op = if entra { "Add" } else { "add" };
    patch("/Groups", group, &json!({ "op": op, "path": "members", "value": [{ "value": user }] }))
}

/// Entra's form lists the members, Okta's filters them.
pub(super) fn remove_member(group: &str, user: &str, entra: bool) -> Request {
    let operation = if entra {
        json!({ "op": "Remove", "path": "members", "value": [{ "value": user }] })
    } else {
        json!({ "op": "remove", "path": format!("members[value eq \"{user}\"]") })
    };
    patch("/Groups", group, &operation)
}

pub(super) fn delete(path: &str, id: &str) -> Request {
    Request::new(Method::DELETE, format!("{path}/{id}"))
}

pub(super) fn get(path: &str, id: &str) -> Request {
    Request::new(Method::GET, format!("{path}/{id}"))
}

pub(super) fn find_users(user_name: &str) -> Request {
    Request::new(Method::GET, format!("/Users?filter=userName%20eq%20%22{user_name}%22"))
}

fn user(user_name: &str, marker: &str, values: &Values) -> Value {
    let mut body =
        json!({ "schemas": [USER], "userName": user_name, "externalId": marker, "name": { "givenName": "Ann" } });
    for (attribute, value) in values {
        match attribute {
            Attribute::FamilyName => body["name"]["familyName"] = json!(value),
            other => body[other.path()] = json!(value),
        }
    }
    body
}

fn patch(path: &str, id: &str, operation: &Value) -> Request {
    let body = json!({ "schemas": [PATCH_OP], "Operations": [operation] });
    Request::new(Method::PATCH, format!("{path}/{id}")).body(body)
}
