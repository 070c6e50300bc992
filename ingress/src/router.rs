//! The whole URL table, and what happens to every request on its way to it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use axum::{Extension, Router};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use protocol::scim::error::{ScimError, ScimType};
use protocol::scim::resource_type::ResourceType;
use tower::util::MapRequestLayer;
use tracing::field::Empty;
use tracing::{Instrument, debug, info_span};

use crate::extract::Began;
use crate::metrics::METRICS;
use crate::response::{SCIM_JSON, error_response};
use crate::state::AppState;
use crate::{auth, bulk, discovery, drain_body, probes, resources};

/// Reading the request and writing the answer may take this much longer than waiting for the outcome.
const BEYOND_THE_ANSWER: Duration = Duration::from_secs(8);

/// The largest head of a request, in bytes and in fields, and its longest path with query, in bytes.
const HEAD_BYTES: usize = 16 * 1024;
const HEAD_FIELDS: usize = 64;
const TARGET_BYTES: usize = 8 * 1024;

/// The version of SCIM in paths.
const VERSION: &str = "v2";

/// The router with everything that the edge serves.
pub fn app(state: AppState) -> Router {
    let table = Router::new()
        .route("/scim/v2/{workspace}", get(resources::list))
        .route("/scim/v2/{workspace}/.search", post(resources::search))
        .route("/scim/v2/{workspace}/Bulk", post(bulk::bulk))
        .route("/scim/v2/{workspace}/Users", collection(ResourceType::User))
        .route("/scim/v2/{workspace}/Users/.search", search(ResourceType::User))
        .route("/scim/v2/{workspace}/Users/{id}", member(ResourceType::User))
        .route("/scim/v2/{workspace}/Groups", collection(ResourceType::Group))
        .route("/scim/v2/{workspace}/Groups/.search", search(ResourceType::Group))
        .route("/scim/v2/{workspace}/Groups/{id}", member(ResourceType::Group))
        .route("/scim/v2/{workspace}/ServiceProviderConfig", get(discovery::service_provider_config))
        .route("/scim/v2/{workspace}/Schemas", get(discovery::schemas))
        .route("/scim/v2/{workspace}/Schemas/{id}", get(discovery::schema))
        .route("/scim/v2/{workspace}/ResourceTypes", get(discovery::resource_types))
        .route("/scim/v2/{workspace}/ResourceTypes/{id}", get(discovery::resource_type))
        .route("/scim/v2/{workspace}/Me", any(discovery::me))
        .route("/livez", get(probes::live))
        .route("/readyz", get(probes::ready))
        .route("/healthz", get(probes::health))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        // The last is the outermost: the end of the connection, time, the rest of the body, log, the size of the head, then authentication before anything else under
        // /scim.
        .layer(middleware::from_fn_with_state(state.clone(), auth::authenticate))
        .layer(middleware::from_fn(head_within_limits))
        .layer(middleware::from_fn(log))
        .layer(middleware::from_fn(accepted))
        .layer(middleware::from_fn(drain_body::drain))
        .layer(middleware::from_fn_with_state(state.clone(), within_time))
        .layer(middleware::from_fn_with_state(state.clone(), last_while_draining))
        .with_state(state);
    // Around the table, because a path has to be normal before it is looked up.
    Router::new().fallback_service(tower::Layer::layer(&MapRequestLayer::new(normalized), table))
}

fn collection(resource_type: ResourceType) -> MethodRouter<AppState> {
    get(resources::list).post(resources::create).layer(Extension(resource_type))
}

fn member(resource_type: ResourceType) -> MethodRouter<AppState> {
    get(resources::get)
        .put(resources::replace)
        .patch(resources::patch)
        .delete(resources::delete)
        .layer(Extension(resource_type))
}

fn search(resource_type: ResourceType) -> MethodRouter<AppState> {
    post(resources::search).layer(Extension(resource_type))
}

async fn unknown_path(uri: Uri) -> Response {
    // RFC 7644 §3.13: a version in the path is obeyed, and this server speaks one.
    let is_version = |part: &str| part.strip_prefix(['v', 'V']).is_some_and(|rest| rest.parse::<f32>().is_ok());
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    let wrong = match parts.as_slice() {
        ["scim", version, ..] if *version != VERSION => is_version(version),
        ["scim", _, _, version, ..] => is_version(version),
        _ => false,
    };
    if wrong {
        let detail = "this server speaks version 2 of SCIM: a version in the path must be v2";
        return error_response(&ScimError::bad_request(ScimType::InvalidVers, detail));
    }
    error_response(&ScimError::new(404, "there is nothing at this path"))
}

async fn wrong_method() -> Response {
    error_response(&ScimError::new(405, "this path does not take this method; see the Allow header"))
}

/// While the process stops, each answer is its connection's last: the client's next request goes elsewhere.
async fn last_while_draining(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if state.health.draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The last bound on everything: a provider hears from us before it gives up.
async fn within_time(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Began(tokio::time::Instant::now()));
    let limit = state.settings.answer_within + BEYOND_THE_ANSWER;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => crate::error::ApiError::from(crate::gateway::GatewayError::Timeout { queued: None }).into_response(),
    }
}

/// Hyper has limits of its own, above these: it answers without a body, and a client should read a SCIM error.
async fn head_within_limits(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEAD_FIELDS || bytes > HEAD_BYTES {
        let detail = format!("a request may have at most {HEAD_FIELDS} header fields of {HEAD_BYTES} bytes in all");
        return error_response(&ScimError::new(431, detail));
    }
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > TARGET_BYTES) {
        return error_response(&ScimError::new(414, format!("a URL may have at most {TARGET_BYTES} bytes")));
    }
    next.run(request).await
}

/// RFC 7644 §3.8: who takes only `application/json` gets the same JSON under that name. Errors keep the name of SCIM.
async fn accepted(request: Request, next: Next) -> Response {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accept = accept.to_ascii_lowercase();
    let plain = accept.contains("application/json") && !accept.contains("application/scim+json");
    let mut response = next.run(request).await;
    if plain && response.status().is_success() && response.headers().get(CONTENT_TYPE) == Some(&SCIM_JSON) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}

/// The span of a request: its route, never its path. Ids stay out of logs, and so do the names in a query. The handler
/// records `trace`, and `operation` for a command.
async fn log(route: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let (method, started) = (request.method().clone(), Instant::now());
    let route = route.as_ref().map_or("unknown", MatchedPath::as_str);
    let span = info_span!("request", %method, route, trace = Empty, operation = Empty);
    let _in_flight = METRICS.in_flight.count();
    let response = METRICS.counting_held(next.run(request).instrument(span.clone())).await;
    METRICS.answered(route, &method, response.status().as_u16(), started.elapsed());
    let milliseconds = started.elapsed().as_millis();
    span.in_scope(|| debug!(status = response.status().as_u16(), milliseconds, "answered {method} {route}"));
    response
}

/// Tolerates doubled and trailing slashes: providers build URLs by pasting (Entra adds one, Okta forbids one). A version
/// between Base URL and endpoint is the standard's own way to name one (RFC 7644 §3.13).
fn normalized<B>(mut request: http::Request<B>) -> http::Request<B> {
    let path = request.uri().path();
    let names_version = path.split('/').nth(4) == Some(VERSION);
    if !path.contains("//") && !names_version && (path.len() == 1 || !path.ends_with('/')) {
        return request;
    }
    let parts = path.split('/').filter(|part| !part.is_empty()).enumerate();
    let parts = parts.filter(|(index, part)| *index != 3 || *part != VERSION);
    let mut normal: String = parts.flat_map(|(_, part)| ["/", part]).collect();
    if normal.is_empty() {
        normal.push('/');
    }
    if let Some(query) = request.uri().query() {
        normal = format!("{normal}?{query}");
    }
    let mut parts = request.uri().clone().into_parts();
    if let Ok(path_and_query) = PathAndQuery::try_from(normal) {
        parts.path_and_query = Some(path_and_query);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_and_trailing_slashes_do_not_matter() {
        for (sent, meant) in [
            ("/scim/v2/acme/Users", "/scim/v2/acme/Users"),
            ("//scim/v2//acme/Users/?count=1", "/scim/v2/acme/Users?count=1"),
            ("/scim/v2/acme/Users/?a=//", "/scim/v2/acme/Users?a=//"),
            ("/scim/v2/acme/v2/Users/x", "/scim/v2/acme/Users/x"),
            ("/scim/v2/v2/Users", "/scim/v2/v2/Users"),
            ("/", "/"),
            ("//", "/"),
        ] {
            let request = http::Request::builder().uri(format!("http://host{sent}")).body(()).unwrap();
            assert_eq!(normalized(request).uri().path_and_query().unwrap(), meant, "{sent}");
        }
    }
}
