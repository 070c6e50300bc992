//! What is served: each operation's status, headers and body, and the envelope that it makes.

use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Found, GetResource, ListResources, Query, ResourcePage};
use protocol::ownership::Source;
use protocol::scim::filter::TypeFilter;
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::recording::{Answered, ID, Server, group, user};

const ALICE: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"alice"}"#;
const USERS: &str = "/scim/v2/acme/Users";
const DEACTIVATE: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations":[{"op":"replace","path":"active","value":false}]}"#;
const RENAME: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations":[{"op":"replace","path":"displayName","value":"All staff"}]}"#;

fn one() -> String {
    format!("{USERS}/{ID}")
}

fn is_alice(answered: &Answered) {
    assert_eq!(answered.header("content-type"), Some("application/scim+json"));
    assert_eq!(answered.header("etag"), Some(r#"W/"3""#));
    let body = answered.json();
    assert_eq!((&body["id"], &body["userName"]), (&json!(ID), &json!("alice")));
    assert_eq!(body["meta"]["location"], json!(format!("https://scim.example.com{}", one())));
    assert_eq!(body["meta"]["version"], json!(r#"W/"3""#));
}

#[tokio::test]
async fn a_create_is_201_with_its_location() {
    let server = Server::start().will(Outcome::Created { resource: Box::new(user()) });
    let created = server.send("POST", USERS, ALICE).await;
    assert_eq!(created.status, 201);
    assert_eq!(created.header("location"), Some(format!("https://scim.example.com{}", one()).as_str()));
    is_alice(&created);
    let (envelope, lane) = server.submitted();
    assert_eq!((lane, envelope.source), (Lane::Interactive, Source::IdentityProvider));
    assert_eq!((envelope.workspace.as_str(), envelope.resource_type), ("acme", ResourceType::User));
    assert_eq!(envelope.token.as_ref(), Some(server.token.id()));
    assert_ne!(envelope.operation.0, envelope.resource.0);
    assert_eq!(envelope.fingerprint.0.len(), 64);
    let Command::Create { attributes, .. } = envelope.body else { panic!("{:?}", envelope.body) };
    assert_eq!(attributes.string("userName"), Some("alice"));
}

#[tokio::test]
async fn a_host_header_never_gets_into_a_location() {
    for headers in
        [[("host", "evil.example")], [("x-forwarded-host", "evil.example")], [("forwarded", "host=evil.example")]]
    {
        let server = Server::start().will(Outcome::Created { resource: Box::new(user()) });
        let created = server.send_with("POST", USERS, ALICE, &headers).await;
        assert!(!created.text.contains("evil") && !created.header("location").unwrap().contains("evil"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_replace_names_its_precondition() {
    for (if_match, meant) in [
        (vec![], Precondition::None),
        (vec![("if-match", "*")], Precondition::Exists),
        (vec![("if-match", r#"W/"3""#)], Precondition::IfMatch(vec![Version::from_number(3)])),
    ] {
        let server = Server::start().will(Outcome::Updated { resource: Box::new(user()) });
        let updated = server.send_with("PUT", &one(), ALICE, &if_match).await;
        assert_eq!(updated.status, 200);
        is_alice(&updated);
        let (envelope, lane) = server.submitted();
        assert_eq!((envelope.body.precondition(), lane), (&meant, Lane::Interactive));
        assert_eq!(envelope.resource, ID.parse::<ResourceId>().unwrap());
    }
}

#[tokio::test]
async fn a_deactivation_and_a_deletion_take_the_urgent_lane() {
    let server = Server::start().will(Outcome::Updated { resource: Box::new(user()) });
    let updated = server.send("PATCH", &one(), DEACTIVATE).await;
    assert_eq!(updated.status, 200);
    is_alice(&updated);
    assert_eq!(server.submitted().1, Lane::Urgent);

    let server = Server::start().will(Outcome::Deleted);
    let deleted = server.send("DELETE", &one(), "").await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_eq!(server.submitted().1, Lane::Urgent);
}

#[tokio::test]
async fn a_patch_of_a_group_is_204_with_the_new_version() {
    let server = Server::start().will(Outcome::UpdatedWithoutBody { version: Version::from_number(4) });
    let updated = server.send("PATCH", &format!("/scim/v2/acme/Groups/{ID}"), RENAME).await;
    assert_eq!((updated.status.as_u16(), updated.text.as_str()), (204, ""));
    assert_eq!(updated.header("etag"), Some(r#"W/"4""#));
    let (envelope, lane) = server.submitted();
    assert_eq!((envelope.resource_type, lane), (ResourceType::Group, Lane::Interactive));
}

#[tokio::test]
async fn a_resource_is_read_by_its_id() {
    let server = Server::start().knows(Answer::Get(Found::Resource(Box::new(user()))));
    let read = server.send("GET", &one(), "").await;
    assert_eq!(read.status, 200);
    is_alice(&read);
    assert_eq!(read.header("cache-control"), Some("no-store"));
    let asked = server.gateway.asked.lock().unwrap().clone();
    let (precondition, joined) = (Precondition::None, Include::ALL);
    let query = GetResource { resource_type: ResourceType::User, id: ID.parse().unwrap(), precondition, joined };
    assert_eq!(asked, [("acme".parse().unwrap(), query.into())]);
}

#[tokio::test]
async fn a_list_says_how_many_there_are_and_which_part_this_is() {
    let server = Server::start().knows(Answer::List(ResourcePage { total: 7, resources: vec![group()], next: None }));
    let path = "/scim/v2/acme/Groups?filter=displayName%20eq%20%22Staff%22&startIndex=5&count=1&unknown=1&";
    let listed = server.send("GET", path, "").await;
    assert_eq!(listed.status, 200);
    let body = listed.json();
    assert_eq!((&body["totalResults"], &body["startIndex"], &body["itemsPerPage"]), (&json!(7), &json!(5), &json!(1)));
    assert_eq!(body["Resources"][0]["displayName"], json!("Staff"));
    let asked = server.gateway.asked.lock().unwrap().clone();
    let [(_, Query::List(ListResources { lists, paging, .. }))] = asked.as_slice() else { panic!("{asked:?}") };
    let [TypeFilter { resource_type: ResourceType::Group, filter: Some(filter) }] = lists.as_slice() else {
        panic!("{lists:?}")
    };
    let page = Paging::Index(Page::new(Some(5), Some(1)));
    assert_eq!((filter.to_string().as_str(), paging), (r#"displayName eq "Staff""#, &page));
}

#[tokio::test]
async fn slashes_too_many_are_tolerated() {
    for path in ["/scim/v2/acme/Users/", "//scim//v2/acme//Users", "/scim/v2/acme/Users/?"] {
        let server = Server::start().knows(Answer::List(ResourcePage { total: 0, resources: vec![], next: None }));
        assert_eq!(server.send("GET", path, "").await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_trace_goes_on_and_the_same_request_has_the_same_fingerprint() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut fingerprints = Vec::new();
    for (method, path, body) in [("PUT", one(), ALICE), ("PUT", one(), ALICE), ("PATCH", one(), DEACTIVATE)] {
        let server = Server::start();
        server.send_with(method, &path, body, &[("traceparent", trace)]).await;
        let (envelope, _) = server.submitted();
        assert_eq!(envelope.trace.as_deref(), Some(trace));
        fingerprints.push(envelope.fingerprint);
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
    assert_ne!(fingerprints[0], fingerprints[2]);
}
