//! A workspace's own schemas in bodies, in operations of PATCH, in filters and in decisions.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use protocol::access::Verdict;
use protocol::decide::{Change, Lookup, decide};
use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::ownership::{OwnershipPolicy, Source};
use protocol::scim::attributes::Attributes;
use protocol::scim::error::ScimError;
use protocol::scim::filter::Filter;
use protocol::scim::name::CanonicalName;
use protocol::scim::patch::{PATCH_SCHEMA, PatchRequest};
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::ResourceSchema;
use serde_json::{Value, json};

use crate::values::{ACME, NOW, acme, envelope, id, resource, shown};

fn schema() -> ResourceSchema {
    acme().of(ResourceType::User)
}

pub(crate) fn patch(operations: Value) -> Result<PatchRequest, ScimError> {
    let mut body = json!({ "schemas": [PATCH_SCHEMA] });
    body["Operations"] = operations;
    PatchRequest::parse(schema(), body)
}

pub(crate) const fn command(request: PatchRequest) -> Command {
    Command::Patch { request, precondition: Precondition::None }
}

#[test]
fn a_body_is_checked_against_the_schema() {
    let parse = |extension: Value| {
        let parsed = Attributes::parse(schema(), json!({ "userName": "ann", ACME.to_uppercase(): extension }));
        parsed
            .map_or_else(|error| shown(&error), |kept| kept.as_map().get(ACME).cloned().unwrap_or_default().to_string())
    };
    // Neither what only the server writes is kept, nor what nobody may read.
    let everything = json!({ "BADGE": "A7", "hiredAt": "2024-02-29T08:00:00Z", "floor": 3, "grade": "x", "pin": "1234",
        "secret": "s", "desks": { "VALUE": "N" }, "unknown": true, "team": null });
    expect![[r#"{"badge":"A7","desks":[{"value":"N"}],"floor":3,"hiredAt":"2024-02-29T08:00:00Z","secret":"s"}"#]]
        .assert_eq(&parse(everything));
    expect!["null"].assert_eq(&parse(Value::Null));
    expect!["null"].assert_eq(&parse(json!({})));
    expect!["400 invalidValue: urn:acme:scim:schemas:2.0:User:badge is required and must not be empty"]
        .assert_eq(&parse(json!({ "floor": 3 })));
    expect!["400 invalidValue: urn:acme:scim:schemas:2.0:User.floor must be a whole number"]
        .assert_eq(&parse(json!({ "badge": "A", "floor": "3" })));
    expect![
        "400 invalidValue: urn:acme:scim:schemas:2.0:User.hiredAt must be a point in time such as 2026-01-31T08:00:00Z"
    ]
    .assert_eq(&parse(json!({ "badge": "A", "hiredAt": "yesterday" })));
    // To a workspace without the schema it is unknown, and so ignored.
    let unknown = Attributes::parse(ResourceType::User, json!({ "userName": "ann", ACME: { "floor": "x" } })).unwrap();
    assert!(unknown.as_map().get(ACME).is_none());
}

#[test]
fn a_patch_is_checked_against_the_schema() {
    let refused = |operation: Value| shown(&patch(json!([operation])).unwrap_err());
    let on = |op: &str, name: &str| json!({ "op": op, "path": format!("{ACME}:{name}"), "value": "x" });
    expect!["400 mutability: urn:acme:scim:schemas:2.0:User:grade is read-only"]
        .assert_eq(&refused(on("add", "grade")));
    expect!["400 mutability: urn:acme:scim:schemas:2.0:User:badge is required and cannot be removed"]
        .assert_eq(&refused(on("remove", "badge")));
    expect!["400 invalidPath: a User has no attribute 'urn:acme:scim:schemas:2.0:User:shoe'"]
        .assert_eq(&refused(on("add", "shoe")));
    expect!["400 invalidValue: urn:acme:scim:schemas:2.0:User:floor must be a whole number"]
        .assert_eq(&refused(on("replace", "floor")));
    assert_eq!(patch(json!([on("add", "pin")])).unwrap().operations(), []);
}

#[test]
fn letter_case_counts_where_the_schema_says_so() {
    let user = crate::values::json(&format!(
        r#"{{"userName":"ann","{ACME}":{{"badge":"A7","team":"Blue","floor":3,"hiredAt":"2024-02-29T08:00:00+01:00",
            "desks":[{{"value":"N","keyCode":"Xy"}}]}}}}"#
    ));
    let rendered = user;
    let matches = |filter: &str| Filter::parse(schema(), &filter.replace("ACME", ACME)).unwrap().matches(&rendered);
    assert!(matches(r#"ACME:badge eq "A7" and ACME:team eq "BLUE""#) && !matches(r#"ACME:badge eq "a7""#));
    assert!(matches(r#"ACME:desks[value eq "n" and keyCode eq "Xy"]"#));
    assert!(!matches(r#"ACME:desks[value eq "n" and keyCode eq "xy"]"#) && matches(r#"ACME:desks co "N""#));
    assert!(matches(r#"ACME:floor gt 2.5 and ACME:hiredAt eq "2024-02-29T07:00:00Z""#));
    let refused = Filter::parse(schema(), &format!("{ACME}:floor eq \"3\"")).unwrap_err();
    assert_eq!(shown(&refused), format!("400 invalidFilter: {ACME}:floor cannot be compared with such a value"));
}

/// No other rows.
struct Nobody;

impl Lookup for Nobody {
    fn holder(&self, _: ResourceType, _: &CanonicalName) -> Option<ResourceId> {
        None
    }

    fn member_count(&self, _: ResourceId) -> u64 {
        0
    }

    fn is_member(&self, _: ResourceId, _: ResourceId) -> bool {
        false
    }
}

/// The extension after a command on a user who has this one.
fn run(before: &str, body: Command) -> String {
    let current =
        resource(ResourceType::User, id(1), &format!(r#"{{"userName":"ann","active":true,"{ACME}":{before}}}"#));
    let current = (!matches!(body, Command::Create { .. })).then_some(current);
    let mut envelope = envelope(ResourceType::User, Source::IdentityProvider, body);
    envelope.extensions = acme();
    let of = |resource: &Resource| resource.attributes.as_map().get(ACME).cloned().unwrap_or_default().to_string();
    match decide(current.as_ref(), &envelope, &Nobody, &OwnershipPolicy::default(), Verdict::Counts, NOW) {
        Ok(Change::Create { resource, .. } | Change::Update { resource, .. }) => of(&resource),
        Ok(Change::Unchanged) => "unchanged".to_owned(),
        Ok(Change::Delete) => "deleted".to_owned(),
        Ok(Change::Superseded) => "superseded".to_owned(),
        Err(error) => shown(&error),
    }
}

const HIRED: &str = r#"{"badge":"A","hiredAt":"2024-02-29T08:00:00Z"}"#;

fn replace(extension: Value) -> Command {
    let body = BTreeMap::from([("userName", json!("ann")), (ACME, extension)]);
    let attributes = Attributes::parse(schema(), serde_json::to_value(body).unwrap()).unwrap();
    Command::Replace { attributes, members: BTreeSet::new(), precondition: Precondition::None }
}

#[test]
fn what_is_immutable_is_set_once() {
    let patched = |before: &str, operation: Value| run(before, command(patch(json!([operation])).unwrap()));
    let hired = format!("{ACME}:hiredAt");
    let refused = format!("400 mutability: {ACME}:hiredAt is immutable");
    let set = |op: &str, time: &str| json!({ "op": op, "path": hired, "value": time });
    assert_eq!(patched(r#"{"badge":"A"}"#, set("add", "2024-02-29T08:00:00Z")), HIRED);
    assert_eq!(patched(HIRED, set("replace", "2024-02-29T08:00:00Z")), "unchanged");
    let said = patched(HIRED, set("replace", "2025-01-01T00:00:00Z"));
    assert!(said.starts_with(&refused), "{said}");
    assert!(patched(HIRED, json!({ "op": "remove", "path": hired })).starts_with(&refused));
    // RFC 7644 §3.5.1: a PUT has the same value or none.
    let another = replace(json!({ "badge": "A", "hiredAt": "2025-01-01T00:00:00Z" }));
    assert!(run(HIRED, another).starts_with(&refused));
    assert_eq!(run(HIRED, replace(json!({ "badge": "B" }))), HIRED.replace("\"A\"", "\"B\""));
}

#[test]
fn what_is_required_stays_while_the_extension_is_followed() {
    let required = format!("400 invalidValue: {ACME}:badge is required and must not be empty");
    let patched = |before: &str, operation: Value| run(before, command(patch(json!([operation])).unwrap()));
    let floor = json!({ "op": "add", "path": format!("{ACME}:floor"), "value": 3 });
    assert_eq!(patched("{}", floor.clone()), required);
    assert_eq!(patched(r#"{"badge":"A"}"#, floor), r#"{"badge":"A","floor":3}"#);
    assert_eq!(
        patched(r#"{"badge":"A"}"#, json!({ "op": "replace", "path": format!("{ACME}:badge"), "value": " " })),
        required
    );
    // The whole of the extension may go, unless something in it is immutable and so stays.
    assert_eq!(run(r#"{"badge":"A"}"#, replace(Value::Null)), "null");
    assert_eq!(run(HIRED, replace(Value::Null)), required);
}
