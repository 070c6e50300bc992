//! Filters: RFC 7644 §3.4.2.2.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use protocol::scim::filter::{Filter, FilterValue};
use protocol::scim::patch::PatchPath;
use protocol::scim::resource_type::ResourceType;

use crate::values::{json, shown};

fn check(text: &str, expected: &Expect) {
    let parsed = Filter::parse(ResourceType::User, text);
    expected.assert_eq(&parsed.map_or_else(|error| shown(&error), |filter| filter.to_string()));
}

fn matches(text: &str) -> bool {
    let user = json(
        r#"{"userName":"Alice","externalId":"Ext","active":true,"title":"","name":{"givenName":"Zoë"},
            "emails":[{"type":"work","value":"a@example.com","primary":true},{"type":"home","value":"b@example.org"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"R&D","manager":{"value":"7"}},
            "schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"01900000-0000-7000-9000-000000000001",
            "meta":{"resourceType":"User","created":"2026-01-31T08:00:00.000Z","version":"W/\"3\""}}"#,
    );
    Filter::parse(ResourceType::User, text).unwrap().matches(&user)
}

#[test]
fn the_examples_of_rfc_7644_are_understood() {
    for text in [
        r#"userName eq "bjensen""#,
        r#"name.familyName co "O'Malley""#,
        r#"userName sw "J""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
        "title pr",
        r#"meta.lastModified gt "2011-05-13T04:42:34Z""#,
        r#"title pr and userType eq "Employee""#,
        r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
        r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#,
        r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#,
        r#"userType eq "Employee" and (emails.type eq "work")"#,
        r#"userType eq "Employee" and emails[type eq "work" and value co "@example.com"]"#,
        r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#,
    ] {
        let filter = Filter::parse(ResourceType::User, text).unwrap();
        assert_eq!(Filter::parse(ResourceType::User, &filter.to_string()).unwrap(), filter, "{text}");
    }
}

#[test]
fn the_printed_form_is_canonical() {
    check(
        r#"USERNAME EQ "x" OR (active eq "True" AND NOT (title PR))"#,
        &expect![[r#"userName eq "x" or active eq true and not (title pr)"#]],
    );
    check(
        r#"(userName eq "x" or title pr) and active eq true"#,
        &expect![[r#"(userName eq "x" or title pr) and active eq true"#]],
    );
    check(
        r#"EMAILS[TYPE eq "work" and (value pr or primary eq true)]"#,
        &expect![[r#"emails[type eq "work" and (value pr or primary eq true)]"#]],
    );
    check(
        r#"meta.created ge "2026-01-01T01:00:00+01:00""#,
        &expect![[r#"meta.created ge "2026-01-01T00:00:00.000Z""#]],
    );
}

#[test]
fn what_is_not_supported_is_refused_and_never_quoted() {
    check(r#"shoeSize eq "secret""#, &expect!["400 invalidFilter: a User has no attribute 'shoeSize'"]);
    check(r#"userName is "secret""#, &expect!["400 invalidFilter: expected an operator at character 10"]);
    check("userName eq", &expect!["400 invalidFilter: expected a JSON value at character 12"]);
    check("", &expect!["400 invalidFilter: expected an attribute, 'not' or '(' at character 1"]);
    check("userName eq 7.5", &expect!["400 invalidFilter: userName cannot be compared with such a value"]);
    check("active gt true", &expect!["400 invalidFilter: 'gt' is not defined for active"]);
    check(r#"active eq "perhaps""#, &expect!["400 invalidFilter: active cannot be compared with such a value"]);
    check(r#"name eq "secret""#, &expect!["400 invalidFilter: name is complex: name a sub-attribute"]);
    check(r#"emails[shoeSize eq "x"]"#, &expect!["400 invalidFilter: emails has no sub-attribute 'shoeSize'"]);
    check(r#"userName[value eq "x"]"#, &expect!["400 invalidFilter: userName has no sub-attributes to filter by"]);
    check(
        r#"meta.created gt "yesterday""#,
        &expect!["400 invalidFilter: meta.created cannot be compared with such a value"],
    );
    check("title gt null", &expect!["400 invalidFilter: 'gt' is not defined for title"]);
    check(r#"title eq "\u0000""#, &expect!["400 invalidFilter: title cannot be compared with such a value"]);
}

#[test]
fn an_error_says_at_which_character_what_was_expected() {
    let check = |text: &str, expected: Expect| {
        let error = Filter::parse(ResourceType::User, text).unwrap_err();
        expected.assert_eq(&shown(&error));
    };
    check("  title pr and", expect!["400 invalidFilter: expected an attribute, 'not' or '(' at character 15"]);
    check("title pr active pr", expect!["400 invalidFilter: expected 'and', 'or' or the end at character 10"]);
    check("title pr)", expect!["400 invalidFilter: expected 'and', 'or' or the end at character 9"]);
    check("not title pr", expect!["400 invalidFilter: expected '(' at character 5"]);
    check("(title pr", expect!["400 invalidFilter: expected 'and', 'or' or ')' at character 10"]);
    check(r#"emails[type eq "work")"#, expect!["400 invalidFilter: expected 'and', 'or' or ']' at character 22"]);
    check("emails[a[b pr]]", expect!["400 invalidFilter: expected an operator at character 9"]);
    check("emails[type pr]. value pr", expect!["400 invalidFilter: expected a sub-attribute at character 16"]);
    check("userName eq 'x'", expect!["400 invalidFilter: expected a JSON value at character 13"]);
    check(r#"userName eq "x"#, expect!["400 invalidFilter: expected a JSON value at character 13"]);
    // Characters, not bytes.
    check(r#"title eq "é€😀" or title eq "\x""#, expect!["400 invalidFilter: expected a JSON value at character 28"]);
    let text = "title\u{2003}pr and é pr";
    check(text, expect!["400 invalidFilter: expected an attribute, 'not' or '(' at character 14"]);
}

#[test]
fn an_error_in_a_path_says_where_as_well() {
    let check = |text: &str, expected: Expect| {
        let error = PatchPath::parse(&ResourceType::User.into(), text).unwrap_err();
        expected.assert_eq(&shown(&error));
    };
    check("", expect!["400 invalidPath: expected an attribute at character 1"]);
    check("name givenName", expect!["400 invalidPath: expected the end at character 6"]);
    check(r#"emails[type eq "é"]value"#, expect!["400 invalidPath: expected the end at character 20"]);
    check(r#"emails[type eq "é"].1"#, expect!["400 invalidPath: expected a sub-attribute at character 20"]);
    check("emails[type eq].value", expect!["400 invalidPath: expected a JSON value at character 15"]);
}

#[test]
fn the_forms_that_providers_write_are_understood() {
    check(r#"emails[type eq "work"].value eq "x""#, &expect![[r#"emails[type eq "work" and value eq "x"]"#]]);
    check(
        r#"emails[type eq "work" or primary eq True].value ne x"#,
        &expect![[r#"not (emails[(type eq "work" or primary eq true) and value eq "x"])"#]],
    );
    check("externalId eq 701984", &expect![[r#"externalId eq "701984""#]]);
    check("externalId eq jyoung", &expect![[r#"externalId eq "jyoung""#]]);
    check(
        r#"id eq "1" and manager eq "2""#,
        &expect![[r#"id eq "1" and urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "2""#]],
    );
    check(
        "manager.$ref pr and(active EQ true)",
        &expect!["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.$ref pr and active eq true"],
    );
    check(
        "externalId eq jyoung and b*d eq 1",
        &expect!["400 invalidFilter: expected an attribute, 'not' or '(' at character 26"],
    );
}

#[test]
fn length_depth_and_terms_are_bounded() {
    check(
        &format!(r#"userName eq "{}""#, "x".repeat(Filter::MAX_LENGTH)),
        &expect!["400 invalidFilter: the filter is longer than 4096 bytes"],
    );
    let nested = |levels| format!("{}title pr{}", "not (".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(ResourceType::User, &nested(Filter::MAX_DEPTH - 1)).is_ok());
    check(&nested(Filter::MAX_DEPTH), &expect!["400 invalidFilter: the filter is nested deeper than 32 levels"]);
    check(&nested(500), &expect!["400 invalidFilter: the filter is nested deeper than 32 levels"]);
    let terms = |count| vec!["title pr"; count].join(" or ");
    assert!(Filter::parse(ResourceType::User, &terms(Filter::MAX_TERMS)).is_ok());
    check(&terms(Filter::MAX_TERMS + 1), &expect!["400 invalidFilter: the filter has more than 128 comparisons"]);
}

#[test]
fn letter_case_counts_only_where_the_schema_says_so() {
    assert!(matches(r#"userName eq "ALICE""#) && matches(r#"name.givenName eq "ZOË""#));
    assert!(matches(r#"externalId eq "Ext""#) && !matches(r#"externalId eq "ext""#));
}

#[test]
fn values_are_looked_at_as_the_standard_says() {
    assert!(matches(r#"emails co "example.org""#) && matches(r#"emails.type eq "home""#));
    assert!(matches(r#"emails[type eq "work" and primary eq true]"#));
    assert!(!matches(r#"emails[type eq "home" and primary eq true]"#));
    assert!(!matches("title pr") && !matches("nickName pr") && matches("emails pr"));
    assert!(matches("nickName eq null") && matches("userName ne null") && matches(r#"nickName ne "x""#));
    let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
    assert!(matches(&format!(r#"{department} sw "r""#)));
    assert!(matches(r#"userName gt "ALICD" and userName lt "b" and userName ge "alice""#));
}

#[test]
fn what_the_server_alone_sets_is_compared_too() {
    assert!(matches(r#"id sw "0190" and not (id sw "0191")"#) && !matches(r#"id eq "x""#));
    assert!(matches(r#"meta.created ge "2026-01-31T09:00:00+01:00""#) && matches(r#"meta[version eq "W/\"3\""]"#));
    assert!(matches(r#"schemas ew ":USER""#) == matches(r#"schemas eq "x""#) && matches(r#"schemas ew ":User""#));
}

#[test]
fn an_equality_is_told_apart() {
    let filter = Filter::parse(ResourceType::User, r#"USERNAME eq "x""#).unwrap();
    let (path, value) = filter.as_equality().unwrap();
    assert!(path.is("userName") && *value == FilterValue::String("x".to_owned()));
    assert!(Filter::parse(ResourceType::User, "title pr").unwrap().as_equality().is_none());
    assert!(Filter::parse(ResourceType::User, r#"not (title eq "x")"#).unwrap().as_equality().is_none());
}

/// The text of any filter within the limits.
fn any_filter() -> impl Strategy<Value = String> {
    let text = "[^\\x00]{0,6}".prop_map(|text| serde_json::Value::from(text).to_string());
    let op = "(eq|ne|co|sw|ew|gt|ge|lt|le)";
    let term = prop_oneof![
        "(title|emails|name\\.givenName|urn:ietf:params:scim:schemas:extension:enterprise:2\\.0:User:manager) pr",
        ("(userName|externalId|emails|emails\\.type)", op, text.clone())
            .prop_map(|(path, op, text)| format!("{path} {op} {text}")),
        "active (eq|ne) (true|false|null)",
        text.prop_map(|text| format!("emails[type eq \"work\" and not (value co {text} or primary eq true)]")),
    ];
    term.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|terms| format!("({})", terms.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|terms| format!("({})", terms.join(" or "))),
            inner.prop_map(|term| format!("not ({term})")),
        ]
    })
}

proptest! {
    #[test]
    fn a_printed_filter_reads_the_same(text in any_filter()) {
        let filter = Filter::parse(ResourceType::User, &text).unwrap();
        prop_assert_eq!(&Filter::parse(ResourceType::User, &filter.to_string()).unwrap(), &filter);
        let sent = serde_json::to_vec(&filter).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Filter>(&sent).unwrap(), filter);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}", words in "((not |\\(|\\)|\\[|\\]| and | or | eq |\"|emails|true|\\.|urn:a:b){0,24})") {
        let _ = Filter::parse(ResourceType::User, &text);
        let _ = Filter::parse(ResourceType::Group, &words);
    }
}
