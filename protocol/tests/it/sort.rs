//! `sortBy` and `sortOrder`: RFC 7644 §3.4.2.3.

use expect_test::{Expect, expect};
use protocol::scim::resource_type::ResourceType::{self, Group, User};
use protocol::scim::sort::Sort;

use crate::values::{ACME, acme, shown};

fn check(kinds: &[ResourceType], by: &str, order: Option<&str>, expected: &Expect) {
    let parsed = Sort::parse(&acme(), kinds, by, order);
    if let Ok(sort) = &parsed {
        let sent = serde_json::to_vec(sort).unwrap();
        assert_eq!(&serde_json::from_slice::<Sort>(&sent).unwrap(), sort);
    }
    expected.assert_eq(&parsed.map_or_else(
        |error| shown(&error),
        |sort| {
            let by = sort.by.iter().map(|path| format!("{} {path}", path.resource_type().name()));
            format!(
                "{} {}",
                by.collect::<Vec<_>>().join(", "),
                if sort.descending { "descending" } else { "ascending" }
            )
        },
    ));
}

#[test]
fn the_order_is_ascending_unless_it_is_said() {
    check(&[User], "USERNAME", None, &expect!["User userName ascending"]);
    check(&[User], "userName", Some("Ascending"), &expect!["User userName ascending"]);
    check(&[User], "userName", Some("DESCENDING"), &expect!["User userName descending"]);
    check(&[User], "userName", Some("down"), &expect!["400 invalidValue: sortOrder must be ascending or descending"]);
    check(&[User], "userName", Some(""), &expect!["400 invalidValue: sortOrder must be ascending or descending"]);
}

#[test]
fn anything_with_a_value_has_an_order() {
    check(&[User], "name.givenName", None, &expect!["User name.givenName ascending"]);
    check(&[User], "emails", None, &expect!["User emails ascending"]);
    check(&[User], "emails.type", None, &expect!["User emails.type ascending"]);
    check(&[User], "meta.lastModified", None, &expect!["User meta.lastModified ascending"]);
    check(&[Group], "id", None, &expect!["Group id ascending"]);
    let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
    check(
        &[User],
        manager,
        None,
        &expect!["User urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager ascending"],
    );
    check(&[User], &format!("{ACME}:FLOOR"), None, &expect!["User urn:acme:scim:schemas:2.0:User:floor ascending"]);
}

#[test]
fn what_has_no_value_of_its_own_has_no_order() {
    let none = expect!["400 invalidPath: sortBy must be an attribute that has an order"];
    for by in ["name", "addresses", "meta", "shoeSize", "", "a b", "emails[type eq \"work\"]"] {
        check(&[User], by, None, &none);
    }
    check(&[Group], "userName", None, &none);
}

#[test]
fn a_kind_without_the_attribute_is_sorted_as_unassigned() {
    check(&[User, Group], "displayName", None, &expect!["User displayName, Group displayName ascending"]);
    check(&[User, Group], "userName", None, &expect!["User userName ascending"]);
    check(&[User, Group], "members", Some("descending"), &expect!["Group members descending"]);
    let sort = Sort::parse(&acme(), &[User, Group], "userName", None).unwrap();
    assert!(sort.of(User).is_some_and(|path| path.is("userName")) && sort.of(Group).is_none());
}
