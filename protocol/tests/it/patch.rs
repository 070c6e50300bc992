//! PATCH: RFC 7644 §3.5.2, and the forms that identity providers send.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use protocol::scim::patch::PatchRequest;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::attributes::any_json;
use crate::values::{id, patch, shown, stored};

const USER: &str = r#"{"userName":"alice","title":"Boss","name":{"givenName":"A","familyName":"B"},
    "emails":[{"type":"work","value":"w@x","primary":true},{"type":"home","value":"h@x"}]}"#;
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// What a PATCH makes of [`USER`]: the attributes that differ, null for those that are gone, or the error.
pub(crate) fn check(operations: &str, expected: &Expect) {
    check_on(USER, operations, expected);
}

fn check_on(before: &str, operations: &str, expected: &Expect) {
    let before = stored(before);
    let after = patch(ResourceType::User, operations).and_then(|request| request.apply(&before));
    expected.assert_eq(&after.map_or_else(
        |error| shown(&error),
        |after| {
            let mut difference = json!({});
            let names = before.as_map().keys().chain(after.as_map().keys());
            for name in names.filter(|name| before.as_map().get(*name) != after.as_map().get(*name)) {
                difference[name] = after.as_map().get(name).cloned().unwrap_or_default();
            }
            difference.to_string()
        },
    ));
}

/// What a PATCH on a group comes to.
fn check_members(operations: &str, expected: &Expect) {
    let edit = patch(ResourceType::Group, operations).map(|request| request.member_delta());
    expected.assert_eq(&edit.map_or_else(
        |error| shown(&error),
        |edit| {
            let short = |ids: std::collections::BTreeSet<_>| {
                ids.iter().map(|id: &protocol::id::ResourceId| id.to_string().split_off(35)).collect::<String>()
            };
            format!("clear {} remove [{}] add [{}]", edit.clear, short(edit.remove), short(edit.add))
        },
    ));
}

#[test]
fn add_sets_merges_and_appends() {
    check(r#"[{"op":"add","path":"title","value":"CEO"}]"#, &expect![[r#"{"title":"CEO"}"#]]);
    check(r#"[{"op":"add","path":"nickName","value":"Al"}]"#, &expect![[r#"{"nickName":"Al"}"#]]);
    check(
        r#"[{"op":"add","path":"name","value":{"givenName":"C","middleName":"D"}}]"#,
        &expect![[r#"{"name":{"familyName":"B","givenName":"C","middleName":"D"}}"#]],
    );
    check(
        r#"[{"op":"add","path":"name.middleName","value":"D"}]"#,
        &expect![[r#"{"name":{"familyName":"B","givenName":"A","middleName":"D"}}"#]],
    );
    check(
        r#"[{"op":"add","path":"emails","value":[{"type":"other","value":"o@x"}]}]"#,
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"type":"home","value":"h@x"},{"type":"other","value":"o@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"add","value":{"nickName":"Al","emails":[{"value":"n@x"}]}}]"#,
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"type":"home","value":"h@x"},{"value":"n@x"}],"nickName":"Al"}"#
        ]],
    );
}

#[test]
fn adding_what_is_there_changes_nothing() {
    check(r#"[{"op":"add","path":"emails","value":[{"type":"home","value":"h@x"}]}]"#, &expect!["{}"]);
    check(r#"[{"op":"add","value":{"title":"Boss","name":{"givenName":"A"}}}]"#, &expect!["{}"]);
    check(r#"[{"op":"add","path":"title","value":null}]"#, &expect!["{}"]);
}

#[test]
fn remove_unassigns() {
    check(r#"[{"op":"remove","path":"title"}]"#, &expect![[r#"{"title":null}"#]]);
    check(r#"[{"op":"remove","path":"emails"}]"#, &expect![[r#"{"emails":null}"#]]);
    check(
        r#"[{"op":"remove","path":"emails[type eq \"work\"]"}]"#,
        &expect![[r#"{"emails":[{"type":"home","value":"h@x"}]}"#]],
    );
    check(r#"[{"op":"remove","path":"emails[value pr]"}]"#, &expect![[r#"{"emails":null}"#]]);
    check(
        r#"[{"op":"remove","path":"emails[type eq \"work\"].primary"}]"#,
        &expect![[r#"{"emails":[{"type":"work","value":"w@x"},{"type":"home","value":"h@x"}]}"#]],
    );
    check(
        r#"[{"op":"remove","path":"name.givenName"},{"op":"remove","path":"name.familyName"}]"#,
        &expect![[r#"{"name":null}"#]],
    );
    check(r#"[{"op":"remove","path":"emails[type eq \"other\"]"},{"op":"remove","path":"nickName"}]"#, &expect!["{}"]);
    check(r#"[{"op":"remove"}]"#, &expect!["400 noTarget: a remove needs a path"]);
    check(
        r#"[{"op":"remove","path":"userName"}]"#,
        &expect!["400 mutability: userName is required and cannot be removed"],
    );
}

#[test]
fn replace_replaces_what_it_names() {
    check(r#"[{"op":"replace","path":"title","value":"CEO"}]"#, &expect![[r#"{"title":"CEO"}"#]]);
    check(
        r#"[{"op":"replace","path":"name","value":{"givenName":"C"}}]"#,
        &expect![[r#"{"name":{"familyName":"B","givenName":"C"}}"#]],
    );
    check(
        r#"[{"op":"replace","path":"emails","value":[{"value":"n@x"}]}]"#,
        &expect![[r#"{"emails":[{"value":"n@x"}]}"#]],
    );
    check(
        r#"[{"op":"replace","path":"emails[type eq \"home\"].value","value":"n@x"}]"#,
        &expect![[r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"type":"home","value":"n@x"}]}"#]],
    );
    check(
        r#"[{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"n@x","display":"N"}}]"#,
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"display":"N","type":"home","value":"n@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"replace","path":"emails.display","value":"N"}]"#,
        &expect![[
            r#"{"emails":[{"display":"N","primary":true,"type":"work","value":"w@x"},{"display":"N","type":"home","value":"h@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"replace","path":"title","value":null},{"op":"replace","path":"emails","value":[]}]"#,
        &expect![[r#"{"emails":null,"title":null}"#]],
    );
    check(
        r#"[{"op":"replace","path":"userName","value":null}]"#,
        &expect!["400 mutability: userName is required and cannot be removed"],
    );
    check(
        r#"[{"op":"replace","path":"userName","value":""}]"#,
        &expect!["400 invalidValue: userName is required and must not be empty"],
    );
}

#[test]
fn parts_that_are_replaced_by_null_go() {
    check(
        r#"[{"op":"replace","path":"name","value":{"givenName":null,"middleName":"D"}}]"#,
        &expect![[r#"{"name":{"familyName":"B","middleName":"D"}}"#]],
    );
    check(
        r#"[{"op":"replace","value":{"name":{"givenName":null,"familyName":null}}}]"#,
        &expect![[r#"{"name":null}"#]],
    );
    check(r#"[{"op":"add","path":"name","value":{"givenName":null}}]"#, &expect!["{}"]);
    check(r#"[{"op":"replace","path":"emails","value":[{"type":null}]}]"#, &expect!["{}"]);
    check(r#"[{"op":"replace","path":"emails","value":[{}]}]"#, &expect![[r#"{"emails":null}"#]]);
}

#[test]
fn any_other_value_path_that_matches_nothing_is_no_target() {
    check(
        r#"[{"op":"replace","path":"emails[value eq \"none@x\"].value","value":"w@example.com"}]"#,
        &expect!["400 noTarget: no value of emails matches the filter of the path"],
    );
    check(
        r#"[{"op":"replace","path":"emails[type co \"oth\"].value","value":"w@example.com"}]"#,
        &expect!["400 noTarget: no value of emails matches the filter of the path"],
    );
}

#[test]
fn a_new_primary_value_takes_over() {
    check(
        r#"[{"op":"add","path":"emails","value":{"value":"n@x","primary":true}}]"#,
        &expect![[
            r#"{"emails":[{"primary":false,"type":"work","value":"w@x"},{"type":"home","value":"h@x"},{"primary":true,"value":"n@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"replace","path":"emails[type eq \"home\"].primary","value":"True"}]"#,
        &expect![[
            r#"{"emails":[{"primary":false,"type":"work","value":"w@x"},{"primary":true,"type":"home","value":"h@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"replace","path":"emails.primary","value":true}]"#,
        &expect!["400 invalidValue: emails would have more than one primary value"],
    );
}

#[test]
fn extensions_come_and_go_with_their_attributes() {
    check(
        &format!(r#"[{{"op":"add","path":"{ENTERPRISE}:manager","value":"7"}}]"#),
        &expect![[r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"7"}}}"#]],
    );
    let before = format!(r#"{{"userName":"a","{ENTERPRISE}":{{"department":"R"}}}}"#);
    check_on(
        &before,
        &format!(r#"[{{"op":"remove","path":"{ENTERPRISE}:department"}}]"#),
        &expect![[r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":null}"#]],
    );
    check_on(
        &before,
        &format!(r#"[{{"op":"remove","path":"{ENTERPRISE}"}}]"#),
        &expect![[r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":null}"#]],
    );
    check_on(
        &before,
        &format!(r#"[{{"op":"replace","path":"{ENTERPRISE}","value":{{"division":"D"}}}}]"#),
        &expect![[
            r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"R","division":"D"}}"#
        ]],
    );
}

#[test]
fn what_cannot_be_written_is_said() {
    check(r#"[{"op":"replace","path":"id","value":"7"}]"#, &expect!["400 mutability: id is read-only"]);
    check(r#"[{"op":"add","path":"groups","value":[]}]"#, &expect!["400 mutability: groups is read-only"]);
    check(
        r#"[{"op":"add","path":"shoeSize","value":1}]"#,
        &expect!["400 invalidPath: a User has no attribute 'shoeSize'"],
    );
    check(
        r#"[{"op":"add","path":"emails[","value":1}]"#,
        &expect!["400 invalidPath: expected an attribute, 'not' or '(' at character 8"],
    );
    check(
        r#"[{"op":"add","path":"emails[shoeSize eq 1]","value":1}]"#,
        &expect!["400 invalidFilter: emails has no sub-attribute 'shoeSize'"],
    );
    check(r#"[{"op":"add","path":"title"}]"#, &expect!["400 invalidValue: title needs a value"]);
    check(r#"[{"op":"add","path":"title","value":7}]"#, &expect!["400 invalidValue: title must be a string"]);
    check(
        r#"[{"op":"add","value":"title"}]"#,
        &expect!["400 invalidValue: value of an operation without a path must be an object"],
    );
    check(r#"[{"op":"move","path":"title"}]"#, &expect!["400 invalidSyntax: op must be add, replace or remove"]);
    check("[]", &expect!["400 invalidSyntax: Operations must be 1 to 1000"]);
    check(r#"[{"op":"add","path":"password","value":"secret"}]"#, &expect!["{}"]);
    let error = PatchRequest::parse(ResourceType::User, json!({ "schemas": [], "Operations": [] })).unwrap_err();
    expect!["400 invalidSyntax: schemas must contain urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        .assert_eq(&shown(&error));
}

#[test]
fn members_fold_into_one_edit() {
    let (one, two, three) = (id(2), id(3), id(4));
    check_members(
        &format!(r#"[{{"op":"add","path":"members","value":[{{"value":"{one}","display":"A"}}]}}]"#),
        &expect!["clear false remove [] add [2]"],
    );
    check_members(
        &format!(r#"[{{"op":"add","value":{{"id":"7","members":[{{"value":"{one}"}}]}}}}]"#),
        &expect!["clear false remove [] add [2]"],
    );
    check_members(
        &format!(
            r#"[{{"op":"remove","path":"members[value eq \"{one}\"]"}},{{"op":"add","path":"members","value":[{{"value":"{two}"}}]}}]"#
        ),
        &expect!["clear false remove [2] add [3]"],
    );
    check_members(
        &format!(r#"[{{"op":"remove","path":"members[value eq \"{one}\" or value eq \"{two}\"]"}}]"#),
        &expect!["clear false remove [23] add []"],
    );
    check_members(
        &format!(r#"[{{"op":"Remove","path":"members","value":[{{"value":"{one}"}}]}}]"#),
        &expect!["clear false remove [2] add []"],
    );
    check_members(r#"[{"op":"remove","path":"members"}]"#, &expect!["clear true remove [] add []"]);
    check_members(r#"[{"op":"remove","path":"members","value":[]}]"#, &expect!["clear false remove [] add []"]);
    check_members(r#"[{"op":"replace","path":"members","value":[]}]"#, &expect!["clear true remove [] add []"]);
    check_members(
        &format!(
            r#"[{{"op":"replace","path":"members","value":[{{"value":"{one}"}},{{"value":"{three}"}}]}},{{"op":"remove","path":"members[value eq \"{one}\"]"}}]"#
        ),
        &expect!["clear true remove [] add [4]"],
    );
    check_members(
        &format!(
            r#"[{{"op":"add","path":"members","value":["{one}"]}},{{"op":"remove","path":"members[value eq \"{one}\"]"}}]"#
        ),
        &expect!["clear false remove [2] add []"],
    );
}

#[test]
fn members_are_changed_by_id_only() {
    check_members(
        r#"[{"op":"add","path":"members","value":[{"value":"alice"}]}]"#,
        &expect!["400 invalidValue: members.value must be the id of a user or group, a UUID"],
    );
    check_members(
        r#"[{"op":"remove","path":"members[display eq \"alice\"]"}]"#,
        &expect![[r#"400 invalidFilter: members can be removed only by value eq "<id>", several joined by or"#]],
    );
    check_members(
        r#"[{"op":"replace","path":"members[value eq \"x\"].display","value":"A"}]"#,
        &expect!["400 mutability: members.display is read-only"],
    );
    check_members(
        r#"[{"op":"remove","path":"displayName"}]"#,
        &expect!["400 mutability: displayName is required and cannot be removed"],
    );
}

#[test]
fn the_last_word_on_active_counts() {
    let sets = |operations: &str| patch(ResourceType::User, operations).unwrap().sets_boolean("active");
    assert_eq!(sets(r#"[{"op":"replace","value":{"active":false}}]"#), Some(false));
    assert_eq!(sets(r#"[{"op":"Replace","path":"ACTIVE","value":"False"}]"#), Some(false));
    assert_eq!(
        sets(r#"[{"op":"add","path":"urn:ietf:params:scim:schemas:core:2.0:User:active","value":false}]"#),
        Some(false)
    );
    assert_eq!(
        sets(r#"[{"op":"add","path":"active","value":false},{"op":"add","path":"active","value":true}]"#),
        Some(true)
    );
    assert_eq!(sets(r#"[{"op":"replace","path":"title","value":"false"}]"#), None);
}

proptest! {
    #[test]
    fn no_request_panics_and_each_reads_back_as_sent(body in any_json()) {
        let mut body = body;
        for resource_type in [ResourceType::User, ResourceType::Group] {
            if let Some(body) = body.as_object_mut() {
                body.insert("schemas".to_owned(), json!(["urn:ietf:params:scim:api:messages:2.0:PatchOp"]));
            }
            if let Ok(request) = PatchRequest::parse(resource_type, body.clone()) {
                let sent = serde_json::to_vec(&request).unwrap();
                prop_assert_eq!(serde_json::from_slice::<PatchRequest>(&sent).unwrap(), request.clone());
                let _ = request.apply(&stored(USER));
            }
        }
    }

    #[test]
    fn no_operation_panics_and_each_reads_back_as_sent(
        op in "(add|replace|remove)",
        path in "(title|name|name\\.givenName|emails|emails\\.value|emails\\[type eq \"(work|x)\"\\](\\.value|\\.primary)?|roles|active)",
        value in any_json(),
    ) {
        let operations = json!([{ "op": op, "path": path, "value": value }]).to_string();
        if let Ok(request) = patch(ResourceType::User, &operations) {
            let sent = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(serde_json::from_slice::<PatchRequest>(&sent).unwrap(), request.clone());
            let before = stored(USER);
            if let Ok(after) = request.apply(&before) {
                prop_assert!(after.string("userName").is_some());
                let again = protocol::scim::attributes::Attributes::parse(ResourceType::User, after.as_map().clone().into());
                prop_assert_eq!(again, Ok(after));
            }
        }
    }
}

#[test]
fn a_whole_value_that_is_to_be_replaced_must_be_there() {
    check_on(
        r#"{"userName":"u","emails":[{"type":"home","value":"h@example.com"}]}"#,
        r#"[{"op":"replace","path":"emails[type eq \"work\"]","value":{"value":"w@example.com"}}]"#,
        &expect!["400 noTarget: no value of emails matches the filter of the path"],
    );
}

#[test]
fn a_filter_over_type_and_primary_creates_no_second_value_of_that_type() {
    check_on(
        r#"{"userName":"u","emails":[{"type":"work","value":"w@example.com"}]}"#,
        r#"[{"op":"replace","path":"emails[type eq \"work\" and primary eq true].value","value":"x@example.com"}]"#,
        &expect!["400 noTarget: no value of emails matches the filter of the path"],
    );
}
