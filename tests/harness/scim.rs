//! A SCIM client that shows answers as they are.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// One workspace as a provider sees it.
#[derive(Debug, Clone)]
pub(crate) struct Scim {
    http: Client,
    /// The Base URL.
    pub(crate) base_url: String,
    pub(crate) token: String,
}

/// An answer with its body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as it was sent.
    pub(crate) text: String,
    /// Null if it is not JSON.
    pub(crate) body: Value,
}

impl Scim {
    pub(crate) fn new(base_url: impl Into<String>, token: impl Into<String>) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let http = Client::builder().timeout(Duration::from_mins(1)).no_proxy().build().unwrap();
        Self { http, base_url: base_url.into(), token: token.into() }
    }

    /// The same workspace by way of another server.
    pub(crate) fn by_way_of(&self, server: &str) -> Self {
        let (_, path) = self.base_url.split_once("/scim/").expect("a Base URL");
        Self { base_url: format!("{server}/scim/{path}"), ..self.clone() }
    }

    /// The same workspace with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// A request without a token, below the Base URL.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base_url))
    }

    /// A request with the token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.json(Method::POST, path, body)).await
    }

    /// The same for many at a time: each request owns its body.
    pub(crate) async fn post_owned(&self, path: &str, body: Value) -> Answer {
        self.post(path, &body).await
    }

    /// A GET that may find no server.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Answer> {
        try_send(self.request(Method::GET, path)).await
    }

    /// A POST that may find no server.
    pub(crate) async fn try_post(&self, path: &str, body: Value) -> Option<Answer> {
        try_send(self.json(Method::POST, path, &body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        send(self.json(Method::PUT, path, body)).await
    }

    /// A PATCH with these operations.
    pub(crate) async fn patch(&self, path: &str, operations: Value) -> Answer {
        send(self.json(Method::PATCH, path, &patch(&operations))).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// The resources that a filter finds.
    pub(crate) async fn find(&self, path: &str, filter: &str) -> Vec<Value> {
        let resources = self.filtered(path, filter).await.expect(200).body["Resources"].as_array().cloned();
        resources.unwrap_or_default()
    }

    /// The answer to a list with a filter.
    pub(crate) async fn filtered(&self, path: &str, filter: &str) -> Answer {
        self.get(&format!("{path}?filter={}", encoded(filter))).await
    }

    /// A request with a SCIM body.
    pub(crate) fn json(&self, method: Method, path: &str, body: &Value) -> RequestBuilder {
        self.request(method, path).header("content-type", "application/scim+json").body(body.to_string())
    }
}

impl Answer {
    /// The answer, if it has this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:#}", self.body);
        self
    }

    /// A header's text, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The resource's id.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id in {:#}", self.body)).to_owned()
    }

    /// Checks that this is a SCIM error (RFC 7644 §3.12) with this status and keyword.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, scim_type: Option<&str>) {
        assert_eq!(self.status, status, "{:#}", self.body);
        assert!(self.header("content-type").starts_with("application/scim+json"), "{:?}", self.headers);
        assert_eq!(self.body["schemas"], json!([ERROR]), "{:#}", self.body);
        assert_eq!(self.body["status"], json!(status.to_string()), "{:#}", self.body);
        assert_eq!(self.body["scimType"].as_str(), scim_type, "{:#}", self.body);
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{:#}", self.body);
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    read(request.send().await.unwrap()).await.unwrap()
}

/// The same with a server that may not be there, or end before it has answered, or not answer within the request's own
/// timeout: the connection is closed then.
pub(crate) async fn try_send(request: RequestBuilder) -> Option<Answer> {
    read(request.send().await.ok()?).await.ok()
}

async fn read(response: Response) -> reqwest::Result<Answer> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, headers, text, body })
}

/// A user with this userName.
pub(crate) fn user(user_name: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": user_name,
        "externalId": format!("ext-{user_name}"),
        "name": { "givenName": "Barbara", "familyName": "Jensen" },
        "emails": [{ "value": format!("{user_name}@example.com"), "type": "work", "primary": true }],
        "active": true,
    })
}

/// A group with these members.
pub(crate) fn group(display_name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
    json!({ "schemas": [GROUP], "displayName": display_name, "members": members })
}

/// The body of a PATCH.
pub(crate) fn patch(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

/// A text as part of a query.
pub(crate) fn encoded(filter: &str) -> String {
    filter.replace('%', "%25").replace(' ', "%20").replace('"', "%22").replace('&', "%26").replace('+', "%2B")
}
