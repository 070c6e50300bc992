//! Bodies of POST and PUT against the schema (RFC 7643 §2).

use expect_test::{Expect, expect};
use proptest::prelude::*;
use protocol::scim::attributes::Attributes;
use protocol::scim::resource_type::ResourceType;

use crate::values::{id, json, shown};

fn check(resource_type: ResourceType, body: &str, expected: &Expect) {
    let parsed = crate::values::body(resource_type, json(body)).map(|body| body.attributes);
    expected
        .assert_eq(&parsed.map_or_else(|error| shown(&error), |kept| serde_json::to_string(kept.as_map()).unwrap()));
}

#[test]
fn names_become_canonical_and_what_the_server_owns_is_dropped() {
    check(
        ResourceType::User,
        r#"{"schemas":["x"],"ID":"1","meta":{},"groups":[],"USERNAME":"alice","password":"secret","Name":{"GIVENNAME":"A"},
            "shoeSize":42,"urn:custom:1.0:User":{"a":1},
            "URN:IETF:params:scim:schemas:extension:enterprise:2.0:user":{"Department":"R","manager":{"displayName":"B","value":"2"}}}"#,
        &expect![[
            r#"{"name":{"givenName":"A"},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"R","manager":{"value":"2"}},"userName":"alice"}"#
        ]],
    );
}

#[test]
fn null_and_empty_are_unassigned() {
    check(
        ResourceType::User,
        r#"{"userName":"alice","title":null,"emails":[],"name":{},"phoneNumbers":[null],"addresses":[{}],"nickName":""}"#,
        &expect![[r#"{"nickName":"","userName":"alice"}"#]],
    );
}

#[test]
fn booleans_as_text_and_values_without_their_list_are_understood() {
    check(
        ResourceType::User,
        r#"{"userName":"alice","active":"False","emails":{"value":"a@example.com","primary":"TRUE"}}"#,
        &expect![[r#"{"active":false,"emails":[{"primary":true,"value":"a@example.com"}],"userName":"alice"}"#]],
    );
}

#[test]
fn a_wrong_type_is_named_but_not_quoted() {
    check(ResourceType::User, r#"{"userName":7}"#, &expect!["400 invalidValue: userName must be a string"]);
    check(
        ResourceType::User,
        r#"{"userName":"a","active":"perhaps"}"#,
        &expect!["400 invalidValue: active must be a boolean"],
    );
    check(
        ResourceType::User,
        r#"{"userName":"a","emails":[{"value":{"x":"secret"}}]}"#,
        &expect!["400 invalidValue: emails.value must be a string"],
    );
    check(
        ResourceType::User,
        r#"{"userName":"a","name":"Alice"}"#,
        &expect!["400 invalidValue: name must be an object"],
    );
    check(
        ResourceType::User,
        r#"{"userName":"a\u0000b"}"#,
        &expect!["400 invalidValue: userName must not contain the character U+0000"],
    );
    check(ResourceType::User, r#"["userName"]"#, &expect!["400 invalidSyntax: the body must be a JSON object"]);
}

#[test]
fn a_required_attribute_must_be_there() {
    check(
        ResourceType::User,
        r#"{"userName":" "}"#,
        &expect!["400 invalidValue: userName is required and must not be empty"],
    );
    check(
        ResourceType::Group,
        r#"{"members":[]}"#,
        &expect!["400 invalidValue: displayName is required and must not be empty"],
    );
}

#[test]
fn two_spellings_of_one_name_are_refused() {
    check(
        ResourceType::User,
        r#"{"userName":"a","username":"b"}"#,
        &expect!["400 invalidValue: userName is given twice, in different letter case"],
    );
}

#[test]
fn at_most_one_value_is_primary() {
    check(
        ResourceType::User,
        r#"{"userName":"a","emails":[{"value":"x","primary":true},{"value":"y","primary":true}]}"#,
        &expect!["400 invalidValue: emails has more than one primary value"],
    );
}

#[test]
fn values_are_counted() {
    let values = |count: usize| vec![r#"{"value":"x"}"#; count].join(",");
    let user = |count| json(&format!(r#"{{"userName":"a","roles":[{}]}}"#, values(count)));
    assert!(Attributes::parse(ResourceType::User, user(1000)).is_ok());
    assert!(Attributes::parse(ResourceType::User, user(1001)).is_err());
}

#[test]
fn a_decimal_is_read_as_it_was_written() {
    for written in ["8.383658838626809e-78", "-1.4295908420087709e-139", "0.1", "1e300"] {
        let read = json(written);
        assert_eq!(json(&read.to_string()), read);
        assert_eq!(read.as_f64(), written.parse().ok(), "{written}");
    }
}

#[test]
fn members_are_ids() {
    check(
        ResourceType::Group,
        r#"{"displayName":"g","members":[{"value":"alice"}]}"#,
        &expect!["400 invalidValue: members.value must be the id of a user or group, a UUID"],
    );
    check(
        ResourceType::Group,
        r#"{"displayName":"g","members":[{"display":"alice"}]}"#,
        &expect!["400 invalidValue: members.value must be the id of a user or group, a UUID"],
    );
    let body = format!(r#"{{"displayName":"g","members":[{{"value":"{}","display":"A"}},"{}"]}}"#, id(2), id(3));
    let group = crate::values::body(ResourceType::Group, json(&body)).unwrap();
    assert_eq!(group.members.into_iter().collect::<Vec<_>>(), [id(2), id(3)]);
}

/// Any JSON, with the names that matter among its keys.
pub(crate) fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        ".{0,8}".prop_map(serde_json::Value::from),
        "(add|Replace|remove|True|name\\.givenName|emails|members\\[value eq \"x\"\\])"
            .prop_map(serde_json::Value::from),
    ];
    let key =
        "(schemas|Operations|op|path|value|userName|displayName|emails|members|name|active|primary|type|[a-z]{0,4})";
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_panics_and_what_is_kept_is_kept_again(body in any_json()) {
        for resource_type in [ResourceType::User, ResourceType::Group] {
            if let Ok(kept) = crate::values::body(resource_type, body.clone()) {
                let mut sent = kept.attributes.as_map().clone();
                sent.insert("members".to_owned(), serde_json::json!(kept.members));
                let again = crate::values::body(resource_type, sent.into());
                prop_assert_eq!(again, Ok(kept));
            }
        }
    }
}
