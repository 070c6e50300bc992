//! How Okta and Entra say the same things: the bodies and filters that each of them sends (after the vendors' own
//! documentation and recorded requests).

use serde_json::{Value, json};

use super::plan::{Dialect, Person, Team};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// The filter with which a person is looked up before a create.
pub fn user_filter(person: &Person) -> String {
    match person.dialect {
        Dialect::Okta => format!("userName eq \"{}\"", person.user_name),
        Dialect::Entra => format!("externalId eq \"{}\"", person.external_id),
    }
}

/// The filter with which a group is looked up before a create: both providers match groups by name.
pub fn group_filter(team: &Team) -> String {
    format!("displayName eq \"{}\"", team.display_name)
}

/// The body that creates a person.
pub fn create_user(person: &Person) -> Value {
    let emails = json!([{ "primary": true, "value": person.email, "type": "work" }]);
    match person.dialect {
        Dialect::Okta => json!({
            "schemas": [USER],
            "userName": person.user_name,
            "name": { "givenName": person.given_name, "familyName": person.family_name },
            "emails": emails,
            "displayName": person.display_name(),
            "title": person.title,
            "locale": "en-US",
            "timezone": person.timezone,
            "externalId": person.external_id,
            "groups": [],
            "password": "1mz050nq",
            "active": true,
        }),
        Dialect::Entra => json!({
            "schemas": [USER, ENTERPRISE_USER],
            "externalId": person.external_id,
            "userName": person.user_name,
            "active": true,
            "displayName": person.display_name(),
            "emails": emails,
            "meta": { "resourceType": "User" },
            "name": {
                "formatted": person.display_name(),
                "familyName": person.family_name,
                "givenName": person.given_name,
            },
            "timezone": person.timezone,
            "title": person.title,
            ENTERPRISE_USER: { "employeeNumber": person.external_id, "department": "Sales & \"Field\"" },
        }),
    }
}

/// Okta's PUT: the whole resource as it was read, `id`, `meta` and `groups` included, with the new values.
pub fn replace_user(mut current: Value, after: &Person) -> Value {
    if let Some(body) = current.as_object_mut() {
        body.insert("userName".to_owned(), json!(after.user_name));
        body.insert("name".to_owned(), json!({ "givenName": after.given_name, "familyName": after.family_name }));
        body.insert("displayName".to_owned(), json!(after.display_name()));
        body.insert("emails".to_owned(), json!([{ "primary": true, "value": after.email, "type": "work" }]));
        body.insert("title".to_owned(), json!(after.title));
    }
    current
}

/// Entra's PATCH: one operation for each attribute.
pub fn patch_user(after: &Person) -> Value {
    patch(&json!([
        { "op": "Replace", "path": "userName", "value": after.user_name },
        { "op": "Replace", "path": "name.familyName", "value": after.family_name },
        { "op": "Replace", "path": "displayName", "value": after.display_name() },
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": after.email },
        { "op": "Add", "path": "title", "value": after.title },
    ]))
}

/// Takes access away or gives it back: Okta without a path, Entra with the text `"True"` or `"False"`.
pub fn set_active(dialect: Dialect, active: bool) -> Value {
    let text = if active { "True" } else { "False" };
    match dialect {
        Dialect::Okta => patch(&json!([{ "op": "replace", "value": { "active": active } }])),
        Dialect::Entra => patch(&json!([{ "op": "Replace", "path": "active", "value": text }])),
    }
}

/// The body that creates a group, always empty.
pub fn create_group(team: &Team) -> Value {
    match team.dialect {
        Dialect::Okta => json!({
            "schemas": [GROUP],
            "displayName": team.display_name,
            "externalId": team.external_id,
            "members": [],
        }),
        Dialect::Entra => json!({
            "schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
            "externalId": team.external_id,
            "displayName": team.display_name,
            "meta": { "resourceType": "Group" },
        }),
    }
}

/// Adds people to a group.
pub fn add_members<'a>(dialect: Dialect, ids: impl IntoIterator<Item = &'a str>) -> Value {
    let members: Vec<Value> = ids.into_iter().map(|id| json!({ "value": id })).collect();
    let op = match dialect {
        Dialect::Okta => "add",
        Dialect::Entra => "Add",
    };
    patch(&json!([{ "op": op, "path": "members", "value": members }]))
}

/// Takes one person out of a group: Okta by a value filter, Entra by a list of ids.
pub fn remove_member(dialect: Dialect, id: &str) -> Value {
    match dialect {
        Dialect::Okta => patch(&json!([{ "op": "remove", "path": format!("members[value eq \"{id}\"]") }])),
        Dialect::Entra => patch(&json!([{ "op": "Remove", "path": "members", "value": [{ "value": id }] }])),
    }
}

fn patch(operations: &Value) -> Value {
    json!({ "schemas": [PATCH_OP], "Operations": operations })
}
