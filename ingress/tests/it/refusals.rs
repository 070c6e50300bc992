//! What is refused at the edge: always a SCIM error of the right status, and nothing reaches the log.

use http::Request;
use ingress::gate::Work;
use ingress::gateway::GatewayError;
use protocol::id::OperationId;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Found};
use protocol::scim::error::ScimError;

use crate::recording::{ID, MAX_USER_BODY, Server, user};

const ALICE: &str = r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"alice"}"#;
const USERS: &str = "/scim/v2/acme/Users";

#[tokio::test]
async fn what_cannot_be_understood_is_refused_at_the_edge() {
    let server = Server::start();
    let one = format!("{USERS}/{ID}");
    for (method, path, body, expected) in [
        ("GET", "/scim/v2/acme/Nothing", "", "404"),
        ("POST", "/scim/v2/acme", ALICE, "405"),
        ("GET", "/scim/v2/acme/Devices", "", "404"),
        ("GET", "/scim/v1/acme/Users", "", "400 invalidVers"),
        ("GET", "/scim/v2/acme/v3/Users", "", "400 invalidVers"),
        ("GET", "/scim/v2/acme/Me", "", "501"),
        ("GET", "/scim/v2/acme/Schemas?filter=id%20pr", "", "403"),
        ("GET", "/scim/v2/acme/Schemas/urn:x", "", "404"),
        ("POST", "/scim/v2/acme/.search", "{}", "400 invalidSyntax"),
        ("GET", "/scim/v2/acme?filter=shoeSize%20pr", "", "400 invalidFilter"),
        ("GET", &format!("{USERS}?attributes=title&excludedAttributes=name"), "", "400 invalidValue"),
        ("GET", &format!("{USERS}?sortBy=shoeSize"), "", "400 invalidPath"),
        ("GET", "/", "", "404"),
        ("GET", "/scim/v2/acme/users", "", "404"),
        ("POST", "/scim/v2/acme/ServiceProviderConfig", "", "405"),
        ("DELETE", USERS, "", "405"),
        ("POST", &one, ALICE, "405"),
        ("POST", USERS, "{\"userName\": alice}", "400 invalidSyntax"),
        ("POST", USERS, "", "400 invalidSyntax"),
        ("POST", USERS, "{}", "400 invalidValue"),
        ("PUT", &one, "[1]", "400 invalidSyntax"),
        ("PATCH", &one, "{}", "400 invalidSyntax"),
        ("PUT", &format!("{USERS}/1"), ALICE, "404"),
        ("DELETE", &format!("{USERS}/{}", ID.replace('-', "")), "", "404"),
        ("GET", &format!("{USERS}?filter=userName%20zz%20%22x%22"), "", "400 invalidFilter"),
        ("GET", &format!("{USERS}?count=many"), "", "400 invalidValue"),
    ] {
        let refused = server.send(method, path, body).await;
        assert_eq!(refused.scim_error(), expected, "{method} {path} {body}");
    }
    assert!(server.nothing_reached_the_log());
    assert!(server.gateway.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wrong_method_is_told_which_ones_there_are() {
    let refused = Server::start().send("PUT", USERS, ALICE).await;
    assert_eq!(refused.status, 405);
    let allowed = refused.header("allow").unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST") && !allowed.contains("PUT"), "{allowed}");
}

#[tokio::test]
async fn malformed_json_is_located_and_never_quoted() {
    let refused = Server::start().send("POST", USERS, "{\n  \"userName\": secret-name\n}").await;
    assert_eq!(refused.scim_error(), "400 invalidSyntax");
    assert!(refused.text.contains("line 2 column"), "{}", refused.text);
    assert!(!refused.text.contains("secret-name"));
}

#[tokio::test]
async fn json_deeper_than_the_parser_goes_is_refused() {
    let body = format!("{}1{}", "[".repeat(900), "]".repeat(900));
    assert_eq!(Server::start().send("POST", USERS, &body).await.scim_error(), "400 invalidSyntax");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_the_limit_of_its_kind() {
    let server = Server::start();
    for (path, limit) in [(USERS, MAX_USER_BODY), ("/scim/v2/acme/Groups", 2 * MAX_USER_BODY)] {
        let refused = server.send("POST", path, &" ".repeat(limit + 1)).await;
        assert_eq!(refused.scim_error(), "413");
        assert!(refused.text.contains(&limit.to_string()), "{}", refused.text);
        assert_eq!(server.send("POST", path, &" ".repeat(limit)).await.scim_error(), "400 invalidSyntax");
    }
    assert!(server.nothing_reached_the_log());
}

#[tokio::test]
async fn only_json_in_utf_8_and_uncompressed_is_taken() {
    let server = Server::start();
    for headers in [
        [("content-type", "text/plain")],
        [("content-type", "application/x-www-form-urlencoded")],
        [("content-type", "application/json; charset=iso-8859-1")],
        [("content-encoding", "gzip")],
    ] {
        assert_eq!(server.send_with("POST", USERS, ALICE, &headers).await.scim_error(), "415", "{headers:?}");
    }
    assert!(server.nothing_reached_the_log());
    for content_type in ["application/json", "application/scim+json; charset=utf-8"] {
        let server = Server::start().will(Outcome::Deleted);
        server.send_with("POST", USERS, ALICE, &[("content-type", content_type)]).await;
        server.submitted();
    }
    let server = Server::start().will(Outcome::Deleted);
    let bearer = format!("Bearer {}", server.token.reveal());
    let untyped = Request::post(USERS).header("authorization", bearer).body(ALICE.to_owned().into()).unwrap();
    server.send_raw(untyped).await;
    server.submitted();
}

#[tokio::test]
async fn an_id_that_is_none_is_answered_like_one_that_is_not_there() {
    let server = Server::start().knows(Answer::Get(Found::Nothing));
    let unknown = server.send("GET", &format!("{USERS}/{ID}"), "").await;
    let malformed = server.send("GET", &format!("{USERS}/1"), "").await;
    let escaped = server.send("GET", &format!("{USERS}/%27"), "").await;
    assert_eq!(unknown.scim_error(), "404");
    assert_eq!([&unknown.text, &unknown.text], [&malformed.text, &escaped.text]);
}

#[tokio::test]
async fn a_refusal_of_a_worker_is_passed_on() {
    let server = Server::start().will(Outcome::Rejected { error: ScimError::uniqueness("userName") });
    assert_eq!(server.send("POST", USERS, ALICE).await.scim_error(), "409 uniqueness");
    let server = Server::start().knows(Answer::Refused { error: ScimError::new(501, "not yet") });
    assert_eq!(server.send("GET", USERS, "").await.scim_error(), "501");
}

#[tokio::test]
async fn a_failing_log_is_answered_with_when_to_come_back() {
    let operation: OperationId = ID.parse().unwrap();
    for (error, status, retry, txn) in [
        (GatewayError::Timeout { queued: Some(operation) }, "503", true, Some(ID)),
        (GatewayError::Timeout { queued: None }, "503", true, None),
        (GatewayError::LogFull, "503", true, None),
        (GatewayError::StoresNothing, "503", true, None),
        (GatewayError::TooManyRequests, "429", true, None),
        (GatewayError::TooLarge { limit: 5 }, "413", false, None),
        (GatewayError::Refused(ScimError::new(500, "no")), "500", false, None),
    ] {
        let refused = Server::start().will_fail(error).send("POST", USERS, ALICE).await;
        assert_eq!(refused.scim_error(), status);
        assert_eq!((refused.header("retry-after").is_some(), refused.header("set-txn")), (retry, txn), "{status}");
    }
}

#[tokio::test]
async fn a_workspace_of_which_too_much_waits_is_told_so_and_nothing_reaches_the_log() {
    let server = Server::start();
    let acme = "acme".parse().unwrap();
    let works = [Work::Command(Lane::Interactive), Work::Command(Lane::Bulk)];
    let waiting = works.map(|work| std::iter::from_fn(|| server.gate.queue(work, &acme)).collect::<Vec<_>>());
    let refused = server.send("POST", USERS, ALICE).await;
    assert_eq!((refused.scim_error().as_str(), refused.header("retry-after")), ("429", Some("5")));
    let bulk = format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[
            {{"method":"POST","path":"/Users","bulkId":"a","data":{ALICE}}},
            {{"method":"DELETE","path":"/Groups/{ID}"}}]}}"#
    );
    let refused = server.send("POST", "/scim/v2/acme/Bulk", &bulk).await.json();
    assert_eq!([&refused["Operations"][0]["status"], &refused["Operations"][1]["status"]], ["429", "429"]);
    assert!(server.nothing_reached_the_log());
    drop(waiting);
    let server = server.will(Outcome::Created { resource: Box::new(user()) });
    assert_eq!(server.send("POST", USERS, ALICE).await.status, 201);
}

#[tokio::test]
async fn a_head_beyond_all_measure_is_refused_as_a_scim_error() {
    let server = Server::start();
    let long = "x".repeat(20_000);
    assert_eq!(server.send_with("GET", USERS, "", &[("x-long", &long)]).await.scim_error(), "431");
    let names: Vec<String> = (0..80).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(server.send_with("GET", USERS, "", &many).await.scim_error(), "431");
    assert_eq!(server.send("GET", &format!("{USERS}?a={long}"), "").await.scim_error(), "414");
}
