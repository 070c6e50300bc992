//! A filter over several kinds at once: RFC 7644 §3.4.2.1.

use expect_test::{Expect, expect};
use protocol::scim::filter::Filter;
use protocol::scim::resource_type::ResourceType::{Group, User};

use crate::values::{ACME, acme, shown};

/// The filter for each kind; `all` where everything matches.
fn check(text: &str, expected: &Expect) {
    let lists = Filter::parse_for_each(&acme(), &[User, Group], text);
    expected.assert_eq(&lists.map_or_else(
        |error| shown(&error),
        |lists| {
            let each = lists.iter().map(|list| {
                let filter = list.filter.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
                format!("{}: {filter}", list.resource_type.name())
            });
            each.collect::<Vec<_>>().join("; ")
        },
    ));
}

#[test]
fn an_attribute_of_both_kinds_is_looked_at_in_both() {
    check(r#"displayName sw "smith""#, &expect![[r#"User: displayName sw "smith"; Group: displayName sw "smith""#]]);
    check(
        r#"(meta.resourceType eq "User") or (meta.resourceType eq "Group")"#,
        &expect![[
            r#"User: meta.resourceType eq "User" or meta.resourceType eq "Group"; Group: meta.resourceType eq "User" or meta.resourceType eq "Group""#
        ]],
    );
}

#[test]
fn an_attribute_that_a_kind_lacks_has_no_value_there() {
    check(r#"userName eq "ann""#, &expect![[r#"User: userName eq "ann""#]]);
    check("members pr", &expect!["Group: members pr"]);
    check("title eq null", &expect!["User: title eq null; Group: all"]);
    check("title ne null", &expect!["User: title ne null"]);
    check(r#"title ne "CEO""#, &expect![[r#"User: title ne "CEO"; Group: all"#]]);
    check("not (title pr)", &expect!["User: not (title pr); Group: all"]);
    check(r#"not (title ne "CEO")"#, &expect![[r#"User: not (title ne "CEO")"#]]);
    for op in ["co", "sw", "ew", "gt", "ge", "lt", "le"] {
        let lists = Filter::parse_for_each(&acme(), &[User, Group], &format!("title {op} \"x\"")).unwrap();
        assert_eq!(lists.iter().map(|list| list.resource_type).collect::<Vec<_>>(), [User], "{op}");
    }
}

#[test]
fn what_is_decided_is_taken_out_of_what_is_joined() {
    check(
        r#"displayName pr and title ne "CEO""#,
        &expect![[r#"User: displayName pr and title ne "CEO"; Group: displayName pr"#]],
    );
    check(
        "displayName pr or title pr or members pr",
        &expect!["User: displayName pr or title pr; Group: displayName pr or members pr"],
    );
    check("displayName pr and title pr", &expect!["User: displayName pr and title pr"]);
    check("title eq null or members eq null", &expect!["User: all; Group: all"]);
    check("title pr and members pr", &expect![""]);
    check("not (title pr and members pr) and displayName pr", &expect!["User: displayName pr; Group: displayName pr"]);
}

#[test]
fn a_value_path_of_a_kind_that_lacks_it_finds_nothing() {
    check(r#"emails[type eq "work"]"#, &expect![[r#"User: emails[type eq "work"]"#]]);
    check(
        r#"not (emails[type eq "work"]) or members[value eq "x"]"#,
        &expect![[r#"User: not (emails[type eq "work"]); Group: all"#]],
    );
}

#[test]
fn extensions_belong_to_their_kind() {
    check(
        &format!("{ACME}:floor gt 3 or displayName pr"),
        &expect!["User: urn:acme:scim:schemas:2.0:User:floor gt 3 or displayName pr; Group: displayName pr"],
    );
    let core = "urn:ietf:params:scim:schemas:core:2.0:Group:displayName";
    check(&format!("{core} pr"), &expect!["Group: displayName pr"]);
}

#[test]
fn what_no_kind_has_is_refused() {
    check(r#"shoeSize eq "x""#, &expect!["400 invalidFilter: no kind of resource has an attribute 'shoesize'"]);
    check(
        "userName pr or urn:nobody:1.0:User:x pr",
        &expect!["400 invalidFilter: no kind of resource has an attribute 'urn:nobody:1.0:user:x'"],
    );
    check(
        "shoes[size eq 7] and displayName pr",
        &expect!["400 invalidFilter: no kind of resource has an attribute 'shoes'"],
    );
    check("userName eq 7.5", &expect!["400 invalidFilter: userName cannot be compared with such a value"]);
    check("userName is", &expect!["400 invalidFilter: expected an operator at character 10"]);
    let long = format!(r#"userName eq "{}""#, "x".repeat(Filter::MAX_LENGTH));
    check(&long, &expect!["400 invalidFilter: the filter is longer than 4096 bytes"]);
}
