//! Who gets in, and what those who do not get.

use axum::body::Body;
use http::Request;
use protocol::credential::Token;
use protocol::message::query::{Answer, GetCredential, ResourcePage};
use serde_json::json;

use crate::recording::{Server, credential};

const LIST: &str = "/scim/v2/acme/Users";

#[tokio::test]
async fn every_reason_for_a_401_looks_the_same() {
    let server = Server::start().knows(Answer::Credential(None));
    let unknown = Token::from_random([9; 9], [9; 32]).unwrap();
    let forged = Token::from_random([1; 9], [9; 32]).unwrap();
    let own = server.token.reveal().to_owned();
    let mut bodies = Vec::new();
    for (path, token) in [
        (LIST, unknown.reveal()),
        (LIST, forged.reveal()),
        (LIST, "rst_nonsense"),
        ("/scim/v2/globex/Users", &own),
        ("/scim/v2/NO.SUCH/Users", &own),
    ] {
        let refused = server.send_with("GET", path, "", &[("authorization", &format!("Bearer {token}"))]).await;
        assert_eq!(refused.scim_error(), "401", "{path}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"scim\""));
        bodies.push(refused.text);
    }
    let without = server.send_raw(Request::builder().uri(LIST).body(Body::empty()).unwrap()).await;
    bodies.push(without.text);
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{bodies:?}");
    assert_eq!(server.gateway.asked.lock().unwrap().len(), 1, "only the unknown token is worth a question");
    assert!(server.nothing_reached_the_log());
}

#[tokio::test]
async fn authentication_comes_before_everything_else() {
    let server = Server::start();
    for (method, path, body) in [
        ("GET", "/scim/v2/acme/Nothing", ""),
        ("DELETE", LIST, ""),
        ("POST", LIST, "not json"),
        ("POST", LIST, &"x".repeat(100_000)),
    ] {
        let refused = server.send_with(method, path, body, &[("authorization", "Bearer none")]).await;
        assert_eq!(refused.scim_error(), "401", "{method} {path}");
    }
    assert_eq!(
        server.send_with("GET", "/elsewhere", "", &[("authorization", "Bearer none")]).await.scim_error(),
        "404"
    );
}

#[tokio::test]
async fn a_token_may_come_without_the_word_bearer() {
    let server = Server::start().knows(Answer::List(ResourcePage { total: 0, resources: vec![], next: None }));
    let token = server.token.reveal().to_owned();
    assert_eq!(server.send_with("GET", LIST, "", &[("authorization", &token)]).await.status, 200);
}

#[tokio::test]
async fn an_unknown_token_is_asked_for_and_let_in_if_a_worker_knows_it() {
    let fresh = Token::from_random([5; 9], [6; 32]).unwrap();
    let server = Server::start().knows(Answer::Credential(Some(credential(&fresh, "acme"))));
    let header = format!("Bearer {}", fresh.reveal());
    let config = "/scim/v2/acme/ServiceProviderConfig";
    for _ in 0..2 {
        assert_eq!(server.send_with("GET", config, "", &[("authorization", &header)]).await.status, 200);
    }
    let asked = server.gateway.asked.lock().unwrap();
    assert_eq!(*asked, [("acme".parse().unwrap(), GetCredential { token: fresh.id().clone() }.into())]);
}

#[tokio::test]
async fn a_token_that_nobody_can_judge_now_is_503_never_401() {
    let server = Server::start();
    let unknown = Token::from_random([9; 9], [9; 32]).unwrap();
    let header = format!("Bearer {}", unknown.reveal());
    for answer in [None, Some(Answer::Unavailable)] {
        if let Some(answer) = answer {
            let refused = Server::start().knows(answer).send_with("GET", LIST, "", &[("authorization", &header)]).await;
            assert_eq!(refused.scim_error(), "503");
        }
        let refused = server.send_with("GET", LIST, "", &[("authorization", &header)]).await;
        assert_eq!(refused.scim_error(), "503");
        assert!(refused.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn the_service_provider_config_is_true() {
    let config = Server::start().send("GET", "/scim/v2/acme/ServiceProviderConfig", "").await;
    assert_eq!(config.status, 200);
    let body = config.json();
    let supported: Vec<bool> = ["patch", "filter", "etag", "bulk", "sort", "changePassword"]
        .map(|feature| body[feature]["supported"].as_bool().unwrap())
        .to_vec();
    assert_eq!(supported, [true, true, true, true, true, false]);
    assert_eq!(body["filter"]["maxResults"], json!(200));
    assert_eq!(body["authenticationSchemes"][0]["type"], "oauthbearertoken");
}
