//! A gateway that writes down what reaches the log and answers as it is told, and a client of the router in front of it.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use futures::future::{BoxFuture, join_all};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use ingress::credentials::Credentials;
use ingress::gate::{Gate, Waiting};
use ingress::gateway::{Gateway, GatewayError, NewCommand, QueryError, Receipt, Timing};
use ingress::health::Health;
use ingress::state::{AppState, Settings};
use protocol::credential::{Credential, Token};
use protocol::id::{OperationId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Query};
use protocol::scim::attributes::Attributes;
use protocol::scim::bulk::BulkLimits;
use protocol::scim::dialect::Dialect;
use protocol::scim::resource::{Meta, Ownership, Resource, Version};
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use serde_json::Value;
use tower::ServiceExt;

/// What the gateway is asked, and what it answers.
#[derive(Default)]
pub(crate) struct Recording {
    pub(crate) submitted: Mutex<Vec<(Envelope<Command>, Lane)>>,
    pub(crate) asked: Mutex<Vec<(WorkspaceId, Query)>>,
    pub(crate) seen: Mutex<Vec<(WorkspaceId, Dialect)>>,
    pub(crate) answered: Mutex<Vec<OperationId>>,
    outcome: Mutex<Option<Result<Outcome, GatewayError>>>,
    answers: Mutex<VecDeque<Answer>>,
    /// What a health check finds; that all is well without it.
    pub(crate) probed: Mutex<Option<Result<(), QueryError>>>,
}

impl Gateway for Recording {
    fn append(&self, command: NewCommand) -> BoxFuture<'_, Result<Receipt, GatewayError>> {
        let NewCommand { envelope, lane, .. } = command;
        self.submitted.lock().unwrap().push((envelope, lane));
        let outcome = self.outcome.lock().unwrap().take();
        let outcome = async { outcome.unwrap_or(Err(GatewayError::Timeout { queued: None })) };
        Box::pin(async { Ok(Receipt::new(outcome)) })
    }

    fn append_batch(
        &self,
        creates: Vec<Envelope<Command>>,
        timing: Timing,
        waiting: Waiting,
    ) -> BoxFuture<'_, Vec<Result<Receipt, GatewayError>>> {
        let create = |envelope| NewCommand { envelope, lane: Lane::Bulk, timing, waiting: waiting.clone() };
        Box::pin(join_all(creates.into_iter().map(create).map(|create| self.append(create))))
    }

    fn answered(&self, create: OperationId) {
        self.answered.lock().unwrap().push(create);
    }

    fn not_taken(&self, create: OperationId) {
        self.answered.lock().unwrap().retain(|answered| *answered != create);
    }

    fn report_answers(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn send<'a>(&'a self, workspace: &'a WorkspaceId, query: Query) -> BoxFuture<'a, Result<Answer, GatewayError>> {
        self.asked.lock().unwrap().push((workspace.clone(), query));
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async { answer.ok_or(GatewayError::Timeout { queued: None }) })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), QueryError>> {
        let probed = self.probed.lock().unwrap().unwrap_or(Ok(()));
        Box::pin(async move { probed })
    }

    fn saw(&self, workspace: &WorkspaceId, dialect: Dialect) {
        self.seen.lock().unwrap().push((workspace.clone(), dialect));
    }

    fn max_payload(&self) -> usize {
        8 * 1024 * 1024
    }
}

/// A router, its gateway, and the token of workspace `acme`.
pub(crate) struct Server {
    pub(crate) gateway: Arc<Recording>,
    pub(crate) health: Arc<Health>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) token: Token,
    app: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

pub(crate) const MAX_USER_BODY: usize = 2_000;

impl Server {
    pub(crate) fn start() -> Self {
        let gateway = Arc::new(Recording::default());
        let credentials = Arc::new(Credentials::default());
        let token = Token::from_random([1; 9], [2; 32]).unwrap();
        credentials.learn(credential(&token, "acme"));
        let health = Arc::new(Health::default());
        let settings = Arc::new(Settings {
            public_url: "https://scim.example.com".to_owned(),
            ingress: "test".parse().unwrap(),
            answer_within: Duration::from_secs(50),
            max_user_body: MAX_USER_BODY,
            max_group_body: 2 * MAX_USER_BODY,
            bulk: BulkLimits { operations: 10, bytes: 20_000 },
        });
        let gate = Arc::new(Gate::default());
        let state = AppState {
            gateway: Arc::clone(&gateway) as Arc<dyn Gateway>,
            credentials,
            health: Arc::clone(&health),
            gate: Arc::clone(&gate),
            pulse: ingress::pulse::Pulse::default(),
            settings,
        };
        Self { gateway, health, gate, token, app: ingress::router::app(state) }
    }

    pub(crate) fn ready(self) -> Self {
        self.health.credentials_loaded.store(true, Ordering::Relaxed);
        self
    }

    pub(crate) fn will(self, outcome: Outcome) -> Self {
        *self.gateway.outcome.lock().unwrap() = Some(Ok(outcome));
        self
    }

    pub(crate) fn will_fail(self, error: GatewayError) -> Self {
        *self.gateway.outcome.lock().unwrap() = Some(Err(error));
        self
    }

    /// The next question gets this answer.
    pub(crate) fn knows(self, answer: Answer) -> Self {
        self.gateway.answers.lock().unwrap().push_back(answer);
        self
    }

    /// A request with the token and a SCIM body.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answered {
        self.send_with(method, path, body, &[]).await
    }

    /// The same with headers that replace or join the usual ones.
    pub(crate) async fn send_with(&self, method: &str, path: &str, body: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
        let bearer = format!("Bearer {}", self.token.reveal());
        let usual = [("authorization", bearer.as_str()), ("content-type", "application/scim+json"), ("host", "host")];
        for (name, value) in usual.into_iter().chain(headers.iter().copied()) {
            request.headers_mut().insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        self.send_raw(request).await
    }

    /// A request as it is.
    pub(crate) async fn send_raw(&self, request: Request<Body>) -> Answered {
        let (parts, body) = self.response(request).await.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answered { status: parts.status, headers: parts.headers, text }
    }

    /// An answer whose body nobody has read yet.
    pub(crate) async fn response(&self, request: Request<Body>) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    /// A request with the token and no body.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request<Body> {
        let request = Request::builder().method(method).uri(path);
        request.header("authorization", format!("Bearer {}", self.token.reveal())).body(Body::empty()).unwrap()
    }

    pub(crate) fn nothing_reached_the_log(&self) -> bool {
        self.gateway.submitted.lock().unwrap().is_empty()
    }

    /// The one command that reached the log.
    pub(crate) fn submitted(&self) -> (Envelope<Command>, Lane) {
        let submitted = self.gateway.submitted.lock().unwrap();
        assert_eq!(submitted.len(), 1);
        submitted[0].clone()
    }
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Asserts that this is a SCIM error, and returns it as `status scimType`.
    pub(crate) fn scim_error(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/scim+json"), "{self:?}");
        let body = self.json();
        assert_eq!(body["schemas"], serde_json::json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(body["status"].as_str(), Some(self.status.as_str()), "a string, equal to the status line");
        assert!(body["detail"].is_string());
        [self.status.as_str(), body["scimType"].as_str().unwrap_or("")].join(" ").trim().to_owned()
    }
}

pub(crate) fn credential(token: &Token, workspace: &str) -> Credential {
    Credential {
        id: token.id().clone(),
        workspace: workspace.parse().unwrap(),
        label: "Okta".to_owned(),
        hash: token.hash(),
        version: 1,
        created_at: Timestamp::from_millis(0),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
        profile: protocol::profile::Profile::default(),
    }
}

pub(crate) const ID: &str = "01900000-0000-7000-8000-000000000001";

pub(crate) fn user() -> Resource {
    resource(ResourceType::User, &serde_json::json!({ "userName": "alice", "active": true }))
}

pub(crate) fn group() -> Resource {
    resource(ResourceType::Group, &serde_json::json!({ "displayName": "Staff" }))
}

fn resource(resource_type: ResourceType, attributes: &Value) -> Resource {
    let at = Timestamp::from_millis(1_700_000_000_000);
    let attributes = Attributes::from_stored(attributes.as_object().unwrap().clone());
    let meta = Meta { created: at, last_modified: at, version: Version::from_number(3) };
    Resource::new(resource_type, ID.parse().unwrap(), attributes, meta, Ownership::default())
}
