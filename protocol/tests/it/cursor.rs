//! Cursors: RFC 9865.

use proptest::prelude::*;
use protocol::message::query::{Answer, ResourcePage};
use protocol::scim::cursor::{CursorCodec, Position, SortKey};
use protocol::scim::error::ScimType;
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::resource_type::ResourceType::{self, Group, User};
use protocol::scim::schema::Extensions;
use protocol::scim::sort::Sort;
use uuid::Uuid;

use crate::values::id;

/// The cursors of a list: filtered, sorted, of which kinds.
fn cursors(filter: Option<&str>, sort_by: Option<&str>, kinds: &[ResourceType]) -> CursorCodec {
    let filter_of = |kind: ResourceType| filter.map(|text| Filter::parse(kind, text).unwrap());
    let lists: Vec<_> =
        kinds.iter().map(|kind| TypeFilter { resource_type: *kind, filter: filter_of(*kind) }).collect();
    let sort = sort_by.map(|by| Sort::parse(&Extensions::default(), kinds, by, None).unwrap());
    CursorCodec::of(&lists, sort.as_ref())
}

fn position(key: Option<SortKey>) -> Position {
    Position { total: 7, resource_type: User, id: id(3), key }
}

fn is_refused(cursors: &CursorCodec, text: &str) -> bool {
    cursors.read(text).is_err_and(|error| (error.status, error.scim_type) == (400, Some(ScimType::InvalidCursor)))
}

#[test]
fn a_cursor_is_for_the_query_that_it_came_from() {
    let one = cursors(Some("userName sw \"a\""), None, &[User]);
    let cursor = one.write(&position(None));
    // RFC 9865 §2 writes one filter in two ways.
    assert_eq!(cursors(Some("USERNAME SW \"a\""), None, &[User]).read(&cursor), Ok(position(None)));
    for other in [
        cursors(None, None, &[User]),
        cursors(Some("userName sw \"b\""), None, &[User]),
        cursors(Some("userName sw \"a\""), Some("userName"), &[User]),
        cursors(Some("externalId sw \"a\""), None, &[User, Group]),
        cursors(None, None, &[Group]),
    ] {
        assert!(is_refused(&other, &cursor));
    }
    let ascending = Sort::parse(&Extensions::default(), &[User], "userName", None).unwrap();
    let descending = Sort { descending: true, ..ascending.clone() };
    let lists = [TypeFilter { resource_type: User, filter: None }];
    let cursor = CursorCodec::of(&lists, Some(&ascending)).write(&position(Some(SortKey::Unassigned)));
    assert!(is_refused(&CursorCodec::of(&lists, Some(&descending)), &cursor));
}

#[test]
fn a_position_that_no_walk_comes_to_is_none() {
    let (plain, by_name, by_time) = (
        cursors(None, None, &[User]),
        cursors(None, Some("userName"), &[User]),
        cursors(None, Some("meta.created"), &[User]),
    );
    let text = |text: &str| Some(SortKey::Text(text.to_owned()));
    let longest = "\u{1f600}".repeat(SortKey::MAX_CHARACTERS);
    for (cursors, key, taken) in [
        (&plain, None, true),
        (&plain, Some(SortKey::Unassigned), false),
        (&by_name, None, false),
        (&by_name, Some(SortKey::Number(1.0)), false),
        (&by_name, text("a\0"), false),
        (&by_name, text(&format!("{longest}a")), false),
        (&by_name, text(&longest), true),
        (&by_time, text("a"), false),
        (&by_time, Some(SortKey::Number(f64::NAN)), false),
        (&by_time, Some(SortKey::Number(-1.5)), true),
    ] {
        let cursor = cursors.write(&position(key.clone()));
        assert_eq!(cursors.read(&cursor).is_ok(), taken, "{key:?}");
        assert!(cursor.len() <= CursorCodec::MAX_LENGTH, "{}", cursor.len());
    }
    let of_a_group = Position { resource_type: Group, ..position(None) };
    assert!(is_refused(&plain, &plain.write(&of_a_group)));
    assert!(is_refused(&plain, &"A".repeat(CursorCodec::MAX_LENGTH + 1)));
    assert!(is_refused(&plain, ""));
}

#[test]
fn an_answer_without_a_next_position_is_written_as_ever() {
    let answer = Answer::List(ResourcePage { total: 0, resources: Vec::new(), next: None });
    let written = r#"{"list":{"total":0,"resources":[]}}"#;
    assert_eq!(serde_json::to_string(&answer).unwrap(), written);
    assert_eq!(serde_json::from_str::<Answer>(written).unwrap(), answer);
}

fn any_position() -> impl Strategy<Value = (Option<&'static str>, Position)> {
    let sorted = prop_oneof![
        Just((None, None)),
        prop_oneof![Just(SortKey::Unassigned), "[^\\x00]{0,40}".prop_map(SortKey::Text)]
            .prop_map(|key| (Some("externalId"), Some(key))),
        prop_oneof![Just(SortKey::Unassigned), any::<f64>().prop_map(SortKey::Number)]
            .prop_filter("finite", |key| !matches!(key, SortKey::Number(number) if !number.is_finite()))
            .prop_map(|key| (Some("meta.lastModified"), Some(key))),
    ];
    let kind = prop_oneof![Just(User), Just(Group)];
    (sorted, any::<u64>(), kind, any::<u128>()).prop_map(|((by, key), total, resource_type, id)| {
        (by, Position { total, resource_type, id: protocol::id::ResourceId(Uuid::from_u128(id)), key })
    })
}

proptest! {
    #[test]
    fn a_cursor_is_read_as_it_was_written((by, position) in any_position(), at in any::<prop::sample::Index>()) {
        let cursors = cursors(None, by, &[User, Group]);
        let cursor = cursors.write(&position);
        prop_assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{}", cursor);
        prop_assert_eq!(cursors.read(&cursor), Ok(position.clone()));
        let sent = serde_json::to_vec(&position).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Position>(&sent).unwrap(), position);

        let at = at.index(cursor.len());
        prop_assert!(is_refused(&cursors, &cursor[..at]));
        let mut other = cursor.into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        prop_assert!(is_refused(&cursors, &String::from_utf8(other).unwrap()));
    }

    #[test]
    fn whatever_comes_as_a_cursor_is_refused(text in prop_oneof![any::<String>(), "[A-Za-z0-9_-]{0,120}", "[A-Za-z0-9_=-]{40,50}"]) {
        for by in [None, Some("externalId"), Some("meta.created")] {
            prop_assert!(is_refused(&cursors(None, by, &[User, Group]), &text));
        }
    }
}
