//! PATCH in the forms that identity providers send and the standard does not know.

use expect_test::expect;

use crate::patch::{ENTERPRISE, check};

#[test]
fn a_value_path_over_type_that_matches_nothing_creates_the_value() {
    // Entra: better-auth PR 10682, ssoready PR 249.
    check(
        r#"[{"op":"Add","path":"phoneNumbers[type eq \"work\"].value","value":"1"}]"#,
        &expect![[r#"{"phoneNumbers":[{"type":"work","value":"1"}]}"#]],
    );
    check(
        r#"[{"op":"Replace","path":"emails[type eq \"other\"].value","value":"o@x"}]"#,
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"type":"home","value":"h@x"},{"type":"other","value":"o@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"replace","path":"roles[primary eq \"True\"].value","value":"admin"}]"#,
        &expect![[r#"{"roles":[{"primary":true,"value":"admin"}]}"#]],
    );
}

#[test]
fn a_value_path_over_type_and_primary_creates_a_value_of_both() {
    check(
        r#"[{"op":"Add","path":"emails[type eq \"other\" and primary eq \"True\"].value","value":"o@x"}]"#,
        &expect![[
            r#"{"emails":[{"primary":false,"type":"work","value":"w@x"},{"type":"home","value":"h@x"},{"primary":true,"type":"other","value":"o@x"}]}"#
        ]],
    );
    check(
        r#"[{"op":"Add","path":"roles[type eq \"a\" and type eq \"b\"].value","value":"x"}]"#,
        &expect!["400 noTarget: no value of roles matches the filter of the path"],
    );
}

#[test]
fn paths_are_read_in_the_forms_that_providers_write() {
    check(
        r#"[{"op":"replace","path":"emails[type EQ Home].value","value":"n@x"}]"#,
        &expect![[r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"type":"home","value":"n@x"}]}"#]],
    );
    check(
        &format!(r#"[{{"op":"add","path":"{ENTERPRISE}:manager.$ref","value":"../Users/7"}}]"#),
        &expect![[
            r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"$ref":"../Users/7"}}}"#
        ]],
    );
}

#[test]
fn a_list_of_one_is_one_value_where_one_is_expected() {
    // Entra: directory-scimple 1242, SCIM-SDK 686.
    check(
        &format!(r#"[{{"op":"Replace","path":"{ENTERPRISE}:manager","value":[{{"value":"7"}}]}}]"#),
        &expect![[r#"{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"7"}}}"#]],
    );
    check(r#"[{"op":"add","path":"title","value":["CEO"]}]"#, &expect![[r#"{"title":"CEO"}"#]]);
    check(r#"[{"op":"add","path":"title","value":[]}]"#, &expect!["{}"]);
    check(
        r#"[{"op":"add","path":"title","value":["CEO","CTO"]}]"#,
        &expect!["400 invalidValue: title must be a string"],
    );
}

#[test]
fn a_remove_with_values_removes_these_only() {
    check(
        r#"[{"op":"Remove","path":"emails","value":[{"value":"h@x"}]}]"#,
        &expect![[r#"{"emails":[{"primary":true,"type":"work","value":"w@x"}]}"#]],
    );
    check(
        r#"[{"op":"Remove","path":"emails","value":[{"type":"WORK","value":"w@x"},{"value":"none@x"}]}]"#,
        &expect![[r#"{"emails":[{"type":"home","value":"h@x"}]}"#]],
    );
    check(r#"[{"op":"remove","path":"emails","value":[{"type":"home","value":"w@x"}]}]"#, &expect!["{}"]);
    // What names no value removes none.
    for value in ["[]", "[null]", "[{}]", r#"[{"value":null}]"#] {
        check(&format!(r#"[{{"op":"remove","path":"emails","value":{value}}}]"#), &expect!["{}"]);
    }
    check(r#"[{"op":"remove","path":"emails","value":null}]"#, &expect![[r#"{"emails":null}"#]]);
    check(r#"[{"op":"remove","path":"emails","value":["h@x","w@x"]}]"#, &expect![[r#"{"emails":null}"#]]);
    check(r#"[{"op":"remove","path":"title","value":"other"}]"#, &expect![[r#"{"title":null}"#]]);
}

#[test]
fn the_type_of_a_value_is_compared_in_any_letter_case() {
    check(r#"[{"op":"add","path":"emails","value":[{"type":"HOME","value":"h@x"}]}]"#, &expect!["{}"]);
    check(
        r#"[{"op":"add","path":"emails","value":[{"type":"Home","value":"h@x","display":"H"}]}]"#,
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"w@x"},{"display":"H","type":"home","value":"h@x"}]}"#
        ]],
    );
}

#[test]
fn a_set_of_attributes_may_use_paths_as_names() {
    // Entra with aadOptscim062020; Okta repeats the id.
    check(
        &format!(
            r#"[{{"op":"replace","value":{{"id":"7","schemas":[],"meta":{{}},"shoeSize":1,"groups":[],"name.givenName":"C",
                "emails[type eq \"work\"].value":"n@x","{ENTERPRISE}:department":"R","{}":{{"COSTCENTER":"9","x":1}}}}}}]"#,
            ENTERPRISE.to_uppercase()
        ),
        &expect![[
            r#"{"emails":[{"primary":true,"type":"work","value":"n@x"},{"type":"home","value":"h@x"}],"name":{"familyName":"B","givenName":"C"},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"costCenter":"9","department":"R"}}"#
        ]],
    );
}

#[test]
fn what_names_nothing_known_changes_nothing() {
    check(r#"[{"op":"replace","value":{"shoeSize":43}}]"#, &expect!["{}"]);
    check(r#"[{"op":"add","value":{}}]"#, &expect!["{}"]);
    check(&format!(r#"[{{"op":"add","path":"{ENTERPRISE}","value":{{"x":1}}}}]"#), &expect!["{}"]);
}
