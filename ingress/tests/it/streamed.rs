//! Groups that no message holds: their members are asked for while the answer is read.

use http_body_util::BodyExt;
use protocol::id::ResourceId;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Found, ListMembers, MemberPage, Query, ResourcePage};
use protocol::scim::error::ScimError;
use protocol::scim::members::{Member, Members};
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use serde_json::{Value, json};

use crate::recording::{ID, Server, group};

const GROUPS: &str = "/scim/v2/acme/Groups";
const STAFF: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"Staff"}"#;

fn id(n: u32) -> ResourceId {
    format!("01900000-0000-7000-8000-{n:012}").parse().unwrap()
}

fn large() -> Resource {
    Resource { members: Members::Paged, ..group() }
}

fn page(members: &[u32], next: Option<u32>) -> Answer {
    let member = |n: &u32| Member { id: id(*n), resource_type: ResourceType::User, display: None };
    Answer::Members(MemberPage { members: members.iter().map(member).collect(), next: next.map(id) })
}

fn read() -> Answer {
    Answer::Get(Found::Resource(Box::new(large())))
}

/// After which id each page was asked for, and whether with names.
fn asked(server: &Server) -> Vec<(Option<ResourceId>, bool)> {
    let asked = server.gateway.asked.lock().unwrap();
    let pages = asked.iter().filter_map(|(workspace, query)| match query {
        Query::Members(ListMembers { group, after, display, .. }) => {
            assert_eq!((group.to_string().as_str(), workspace.as_str()), (ID, "acme"));
            Some((*after, *display))
        }
        _ => None,
    });
    pages.collect()
}

fn values(group: &Value) -> Vec<&str> {
    group["members"].as_array().unwrap().iter().map(|member| member["value"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_large_group_is_answered_page_by_page() {
    let pages = [page(&[1, 2], Some(5)), page(&[], Some(6)), page(&[7], None)];
    let server = pages.into_iter().fold(Server::start().knows(read()), Server::knows);
    let answered = server.send("GET", &format!("{GROUPS}/{ID}"), "").await;
    assert_eq!((answered.status.as_u16(), answered.header("etag")), (200, Some(r#"W/"3""#)));
    assert_eq!(answered.header("content-type"), Some("application/scim+json"));
    assert_eq!(answered.header("location"), Some(format!("https://scim.example.com{GROUPS}/{ID}").as_str()));
    let body = answered.json();
    assert_eq!(values(&body), [1, 2, 7].map(|n| id(n).to_string()));
    let user = format!("https://scim.example.com/scim/v2/acme/Users/{}", id(7));
    assert_eq!(body["members"][2], json!({ "value": id(7).to_string(), "type": "User", "$ref": user }));
    assert_eq!((&body["displayName"], &body["meta"]["version"]), (&json!("Staff"), &json!(r#"W/"3""#)));
    assert_eq!(asked(&server), [(None, false), (Some(id(5)), false), (Some(id(6)), false)]);
}

#[tokio::test]
async fn a_page_is_asked_for_when_it_is_read_and_not_before() {
    let server = Server::start().knows(read()).knows(page(&[1], Some(1))).knows(page(&[2], None));
    let path = format!("{GROUPS}/{ID}?attributes=members.display");
    let mut body = server.response(server.request("GET", &path)).await.into_body();
    assert_eq!(asked(&server), []);
    let mut frames = 0;
    while asked(&server).is_empty() {
        body.frame().await.unwrap().unwrap();
        frames += 1;
    }
    assert_eq!((asked(&server), frames), (vec![(None, true)], 2), "the head, then the first page");
    drop(body);
    assert_eq!(asked(&server).len(), 1, "a client that went away asks for no more");
}

#[tokio::test]
async fn what_shows_no_members_asks_for_none() {
    for (method, query) in [("HEAD", ""), ("GET", "?excludedAttributes=members"), ("GET", "?attributes=displayName")] {
        let server = Server::start().knows(read());
        let answered = server.send_raw(server.request(method, &format!("{GROUPS}/{ID}{query}"))).await;
        assert_eq!((answered.status.as_u16(), answered.header("etag")), (200, Some(r#"W/"3""#)), "{method} {query}");
        assert_eq!(asked(&server), [], "{method} {query}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_completed_is_cut_off() {
    let refused = Answer::Refused { error: ScimError::new(500, "no") };
    for failure in [None, Some(refused), Some(Answer::Unavailable)] {
        let server = Server::start().knows(read()).knows(page(&[1], Some(1)));
        let server = failure.into_iter().fold(server, Server::knows);
        let mut body = server.response(server.request("GET", &format!("{GROUPS}/{ID}"))).await.into_body();
        let mut text = Vec::new();
        let ended = loop {
            match body.frame().await {
                Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap()),
                ended => break ended,
            }
        };
        assert!(ended.is_some_and(|frame| frame.is_err()), "the connection ends before the body does");
        assert!(serde_json::from_slice::<Value>(&text).is_err());
    }
}

#[tokio::test]
async fn a_list_and_a_change_show_large_groups_alike() {
    let list = ResourcePage { total: 3, resources: vec![group(), large(), large(), group()], next: None };
    let pages = [page(&[1], Some(2)), page(&[3], None), page(&[], None)];
    let server = pages.into_iter().fold(Server::start().knows(Answer::List(list)), Server::knows);
    let body = server.send("GET", GROUPS, "").await.json();
    assert_eq!((&body["totalResults"], &body["itemsPerPage"]), (&json!(3), &json!(4)));
    assert_eq!(body["Resources"].as_array().unwrap().len(), 4);
    assert_eq!(values(&body["Resources"][1]), [1, 3].map(|n| id(n).to_string()));
    assert_eq!(body["Resources"][2], body["Resources"][0], "without a live member there is no attribute");

    for (method, path, outcome, status) in [
        ("POST", GROUPS.to_owned(), Outcome::Created { resource: Box::new(large()) }, 201),
        ("PUT", format!("{GROUPS}/{ID}"), Outcome::Updated { resource: Box::new(large()) }, 200),
    ] {
        let server = Server::start().will(outcome).knows(page(&[1, 2], None));
        let answered = server.send(method, &path, STAFF).await;
        assert_eq!((answered.status.as_u16(), answered.header("etag")), (status, Some(r#"W/"3""#)));
        assert_eq!(answered.header("location"), Some(format!("https://scim.example.com{GROUPS}/{ID}").as_str()));
        assert_eq!(values(&answered.json()), [1, 2].map(|n| id(n).to_string()));
    }
}
