//! What is written with an open end and page by page is what is rendered at once.

use proptest::prelude::*;
use proptest::sample::subsequence;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, ListMembers, MemberPage, Query};
use protocol::scim::members::{Member, Members};
use protocol::scim::projection::Projection;
use protocol::scim::render::{ListResponse, Place};
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use serde_json::Value;

use crate::values::{id, json, resource};

const BASE_URL: &str = "https://scim.example.com/scim/v2/acme";
const NAMES: [&str; 9] = [
    "members",
    "members.value",
    "members.type",
    "members.$ref",
    "members.display",
    "displayName",
    "meta",
    "meta.version",
    "id",
];

/// A member with whatever a name can hold.
fn member() -> impl Strategy<Value = Member> {
    (0..1000_u32, any::<bool>(), ".{0,12}").prop_map(|(n, is_user, display)| {
        let resource_type = if is_user { ResourceType::User } else { ResourceType::Group };
        Member { id: id(n), resource_type, display: Some(display) }
    })
}

fn projection() -> impl Strategy<Value = Projection> {
    (subsequence(NAMES.to_vec(), 0..4), any::<bool>()).prop_map(|(names, excluded)| {
        let (attributes, excluded): (&[&str], &[&str]) = if excluded { (&[], &names) } else { (&names, &[]) };
        Projection::parse(&Extensions::default(), &ResourceType::ALL, attributes, excluded).unwrap()
    })
}

fn group(n: u32) -> Resource {
    resource(ResourceType::Group, id(n), r#"{"displayName":"g","externalId":"}]"}"#)
}

/// With the members in it.
fn whole(n: u32, members: &[Member]) -> Resource {
    Resource { members: Members::Read(members.to_vec()), ..group(n) }
}

/// Writes a resource whose members come in pages of so many.
fn by_pages(resource: &Resource, members: &[Member], size: usize, projection: &Projection, out: &mut Vec<u8>) {
    let Some(mut open) = resource.open(BASE_URL, projection, out).unwrap() else { return };
    assert_eq!(open.id, resource.id);
    for page in members.chunks(size) {
        let asked = |member: &Member| Member {
            display: member.display.clone().filter(|_| open.shows_display()),
            ..member.clone()
        };
        let page: Vec<Member> = page.iter().map(asked).collect();
        open.write(&page, BASE_URL, out).unwrap();
    }
    open.end(out);
}

fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

proptest! {
    #[test]
    fn a_group_by_pages_is_the_group_at_once(
        members in prop::collection::vec(member(), 0..12),
        size in 1_usize..5,
        projection in projection(),
    ) {
        let paged = Resource { members: Members::Paged, ..group(1) };
        let mut written = Vec::new();
        by_pages(&paged, &members, size, &projection, &mut written);
        let expected = serde_json::to_value(whole(1, &members).render(BASE_URL, &projection)).unwrap();
        prop_assert_eq!(parsed(&written), expected);
    }

    #[test]
    fn a_list_by_pages_is_the_list_at_once(
        groups in prop::collection::vec((prop::collection::vec(member(), 0..4), any::<bool>()), 0..4),
        walk in any::<Option<bool>>(),
        projection in projection(),
    ) {
        let all: Vec<Resource> = (0..).zip(&groups).map(|(n, (members, _))| whole(n, members)).collect();
        let parts = (0..).zip(&groups).map(|(n, (members, is_paged))| {
            if *is_paged { Resource { members: Members::Paged, ..group(n) } } else { whole(n, members) }
        });
        let parts: Vec<Resource> = parts.collect();
        let place = match walk {
            None => Place::Index(2),
            Some(has_next) => Place::Walk { next: has_next.then_some("]}") },
        };
        let list = |resources| ListResponse { total: 9, place, resources, base_url: BASE_URL, projection: &projection };
        let mut written = Vec::new();
        list(&parts).open(&mut written).unwrap();
        for (index, (resource, (members, _))) in parts.iter().zip(&groups).enumerate() {
            if index > 0 {
                written.push(b',');
            }
            by_pages(resource, members, 2, &projection, &mut written);
        }
        written.extend_from_slice(ListResponse::END);
        prop_assert_eq!(parsed(&written), serde_json::to_value(list(&all)).unwrap());
    }
}

/// A resource without members has no word of them, and what is said of paged ones is short.
#[test]
fn members_are_an_addition_to_what_travels() {
    let before = r#"{"resource_type":"Group","id":"01900000-0000-7000-8000-000000000001","attributes":{"displayName":"g"},
        "meta":{"created":1700000000000,"last_modified":1700000000000,"version":1}}"#;
    let mut read: Resource = serde_json::from_value(json(before)).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), json(before), "written as before");
    read.members = Members::Paged;
    let outcome = Outcome::Updated { resource: Box::new(read.clone()) };
    let again: Outcome = serde_json::from_value(serde_json::to_value(&outcome).unwrap()).unwrap();
    assert_eq!(again, outcome);
    let query = Query::from(ListMembers { group: id(1), after: None, count: 2, display: false });
    let text = r#"{"members":{"group":"01900000-0000-7000-8000-000000000001","after":null,"count":2,"display":false}}"#;
    assert_eq!(serde_json::to_value(query).unwrap(), json(text));
    let member = Member { id: id(2), resource_type: ResourceType::User, display: None };
    let answer = Answer::Members(MemberPage { members: vec![member], next: Some(id(2)) });
    let text = r#"{"members":{"members":[{"value":"01900000-0000-7000-8000-000000000002","type":"User"}],
        "next":"01900000-0000-7000-8000-000000000002"}}"#;
    assert_eq!(serde_json::to_value(answer).unwrap(), json(text));
}
