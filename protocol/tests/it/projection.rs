//! What of a resource is shown: RFC 7644 §3.9, and `returned` (RFC 7643 §7).

use expect_test::{Expect, expect};
use protocol::scim::list::Include;
use protocol::scim::members::{Member, Members};
use protocol::scim::projection::Projection;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use serde_json::Value;

use crate::values::{ACME, acme, id, resource, shown};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const BOTH: [ResourceType; 2] = [ResourceType::User, ResourceType::Group];

fn projection(attributes: &[&str], excluded: &[&str]) -> Projection {
    Projection::parse(&acme(), &BOTH, attributes, excluded).unwrap()
}

/// The user with this projection: its members, without `schemas`, `id` and, if it is whole, `meta`.
fn check(attributes: &[&str], excluded: &[&str], expected: &Expect) {
    check_with(&projection(attributes, excluded), expected);
}

fn check_with(projection: &Projection, expected: &Expect) {
    let user = resource(
        ResourceType::User,
        id(1),
        &format!(
            r#"{{"userName":"ann","active":true,"name":{{"givenName":"Ann","familyName":"Lee"}},
            "emails":[{{"type":"work","value":"a@x"}},{{"type":"home","value":"a@y","display":"Home"}}],
            "{ENTERPRISE}":{{"department":"R","manager":{{"value":"7"}}}},
            "{ACME}":{{"badge":"A7","secret":"s","note":"n","tag":"t","desks":[{{"value":"N","floor":3}}]}}}}"#
        ),
    );
    let rendered = serde_json::to_value(user.render("https://x", projection)).unwrap();
    let Value::Object(mut rendered) = rendered else { panic!("{rendered}") };
    assert!(rendered.remove("schemas").is_some() && rendered.remove("id").is_some(), "both are always returned");
    if rendered.get("meta").is_some_and(|meta| meta.as_object().is_some_and(|meta| meta.len() == 5)) {
        rendered.insert("meta".to_owned(), Value::from("whole"));
    }
    expected.assert_eq(&Value::Object(rendered).to_string().replace(ENTERPRISE, "ENTERPRISE").replace(ACME, "ACME"));
}

#[test]
fn without_a_wish_what_is_returned_by_default_is_shown() {
    let all = expect![[
        r#"{"active":true,"emails":[{"type":"work","value":"a@x"},{"display":"Home","type":"home","value":"a@y"}],"meta":"whole","name":{"familyName":"Lee","givenName":"Ann"},"ACME":{"badge":"A7","desks":[{"floor":3,"value":"N"}],"tag":"t"},"ENTERPRISE":{"department":"R","manager":{"value":"7"}},"userName":"ann"}"#
    ]];
    check(&[], &[], &all);
    check(&["", " "], &[""], &all);
    check_with(&Projection::everything(acme()), &all);
    assert!(!projection(&[], &[]).is_asked_for() && projection(&["title"], &[]).is_asked_for());
}

#[test]
fn named_attributes_override_the_default_and_what_is_always_returned_stays() {
    check(&["userName"], &[], &expect![[r#"{"ACME":{"tag":"t"},"userName":"ann"}"#]]);
    check(&["USERNAME", "title"], &[], &expect![[r#"{"ACME":{"tag":"t"},"userName":"ann"}"#]]);
    check(&["id"], &[], &expect![[r#"{"ACME":{"tag":"t"}}"#]]);
    check(
        &["meta.lastModified"],
        &[],
        &expect![[r#"{"meta":{"lastModified":"2023-11-14T22:13:20.000Z"},"ACME":{"tag":"t"}}"#]],
    );
}

#[test]
fn parts_of_an_attribute_are_shown_of_each_of_its_values() {
    check(
        &["name.givenName", "emails.value"],
        &[],
        &expect![[r#"{"emails":[{"value":"a@x"},{"value":"a@y"}],"name":{"givenName":"Ann"},"ACME":{"tag":"t"}}"#]],
    );
    check(
        &["emails.value", "emails.type"],
        &[],
        &expect![[r#"{"emails":[{"type":"work","value":"a@x"},{"type":"home","value":"a@y"}],"ACME":{"tag":"t"}}"#]],
    );
    // The whole of it includes its parts.
    check(
        &["name.givenName", "name"],
        &[],
        &expect![[r#"{"name":{"familyName":"Lee","givenName":"Ann"},"ACME":{"tag":"t"}}"#]],
    );
}

#[test]
fn urns_name_attributes_and_whole_schemas() {
    let department = format!("{}:DEPARTMENT", ENTERPRISE.to_uppercase());
    check(&[&department], &[], &expect![[r#"{"ACME":{"tag":"t"},"ENTERPRISE":{"department":"R"}}"#]]);
    check(
        &[ENTERPRISE],
        &[],
        &expect![[r#"{"ACME":{"tag":"t"},"ENTERPRISE":{"department":"R","manager":{"value":"7"}}}"#]],
    );
    check(
        &[&format!("{ACME}:desks.floor"), "urn:ietf:params:scim:schemas:core:2.0:User:active"],
        &[],
        &expect![[r#"{"active":true,"ACME":{"desks":[{"floor":3}],"tag":"t"}}"#]],
    );
    check(
        &[ACME],
        &[],
        &expect![[r#"{"ACME":{"badge":"A7","desks":[{"floor":3,"value":"N"}],"note":"n","tag":"t"}}"#]],
    );
    check(
        &[],
        &["urn:ietf:params:scim:schemas:core:2.0:User", ACME],
        &expect![[r#"{"ACME":{"tag":"t"},"ENTERPRISE":{"department":"R","manager":{"value":"7"}}}"#]],
    );
}

#[test]
fn excluded_attributes_are_left_out_unless_they_are_always_returned() {
    check(
        &[],
        &["emails", "name.familyName", "meta", "id", ENTERPRISE, &format!("{ACME}:tag"), &format!("{ACME}:desks")],
        &expect![[r#"{"active":true,"name":{"givenName":"Ann"},"ACME":{"badge":"A7","tag":"t"},"userName":"ann"}"#]],
    );
    check(
        &[],
        &["emails.display", ENTERPRISE, ACME, "name", "meta"],
        &expect![[
            r#"{"active":true,"emails":[{"type":"work","value":"a@x"},{"type":"home","value":"a@y"}],"ACME":{"tag":"t"},"userName":"ann"}"#
        ]],
    );
}

#[test]
fn what_is_never_returned_is_not_even_for_who_asks() {
    check(&[&format!("{ACME}:secret"), "password"], &[], &expect![[r#"{"ACME":{"tag":"t"}}"#]]);
    check(&[&format!("{ACME}:note")], &[], &expect![[r#"{"ACME":{"note":"n","tag":"t"}}"#]]);
}

#[test]
fn a_members_name_and_place_are_parts_like_others() {
    let mut group = resource(ResourceType::Group, id(1), r#"{"displayName":"g"}"#);
    let ann = Member { id: id(2), resource_type: ResourceType::User, display: Some("Ann".to_owned()) };
    group.members = Members::Read(vec![ann]);
    let members = |attributes: &[&str], excluded: &[&str]| {
        let rendered = serde_json::to_value(group.render("https://x", &projection(attributes, excluded))).unwrap();
        rendered["members"].to_string().replace(&id(2).to_string(), "2")
    };
    let default = r#"[{"type":"User","value":"2","$ref":"https://x/Users/2"}]"#;
    assert_eq!(members(&[], &[]), sorted(default));
    assert_eq!(members(&["members"], &[]), sorted(default), "unasked, even with the attribute");
    assert_eq!(
        members(&["members.display", "members.$ref"], &[]),
        sorted(r#"[{"display":"Ann","$ref":"https://x/Users/2"}]"#)
    );
    assert_eq!(members(&[], &["members.type", "members.$REF"]), r#"[{"value":"2"}]"#);
    assert_eq!(members(&[], &["members"]), "null");
}

/// JSON with its names in order.
fn sorted(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap().to_string()
}

#[test]
fn what_is_not_shown_need_not_be_read() {
    let joined = |attributes: &[&str], excluded: &[&str]| projection(attributes, excluded).joined();
    assert_eq!(joined(&[], &[]), Include::ALL);
    assert_eq!(joined(&["userName"], &[]), Include::NONE);
    assert_eq!(joined(&["members.value"], &[]), Include { members: true, groups: false });
    assert_eq!(joined(&["groups"], &[]), Include { members: false, groups: true });
    assert_eq!(joined(&[], &["members"]), Include { members: false, groups: true });
    assert_eq!(joined(&[], &["members.display", "groups"]), Include { members: true, groups: false });
}

#[test]
fn unknown_names_select_nothing_and_both_lists_exclude_each_other() {
    check(&["shoeSize", "a b", "urn:x:y:z"], &[], &expect![[r#"{"ACME":{"tag":"t"}}"#]]);
    let parse = |attributes: &[&str], excluded: &[&str]| {
        Projection::parse(&Extensions::default(), &BOTH, attributes, excluded).map_err(|error| shown(&error))
    };
    let both = "400 invalidValue: attributes and excludedAttributes exclude each other: send one";
    assert_eq!(parse(&["title"], &["name"]), Err(both.to_owned()));
    assert!(parse(&["title"; Projection::MAX_NAMES], &[]).is_ok());
    let many = "400 invalidValue: attributes and excludedAttributes take at most 100 names";
    assert_eq!(parse(&[], &["title"; Projection::MAX_NAMES + 1]), Err(many.to_owned()));
    // Without the extension it is unknown, too.
    assert!(Projection::parse(&Extensions::default(), &BOTH, &[ACME], &[]).unwrap() != projection(&[ACME], &[]));
}
