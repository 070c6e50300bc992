//! The provider's side of HTTP: which server, how often, how fast, and when to try again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Options, SimulateError};

/// How long Okta and Entra wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// The most tries of one operation.
const MAX_TRIES: u32 = 30;
/// How long one operation may take with all its tries.
const MAX_TIME: Duration = Duration::from_mins(3);
/// The longest `Retry-After` that is waited for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// One HTTP request below the Base URL.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// From the Base URL on, such as `/Users`.
    pub(super) path: String,
    pub(super) query: Vec<(&'a str, String)>,
    pub(super) body: Option<&'a Value>,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None }
    }

    pub(super) fn query(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(super) fn body(self, body: &'a Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

/// An answer that settles the request.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) body: Value,
}

impl Reply {
    /// The SCIM error's words, or what there is instead.
    pub(super) fn detail(&self) -> String {
        let text = |name| self.body.get(name).and_then(Value::as_str).unwrap_or_default();
        format!("{} {} {}", self.status.as_u16(), text("scimType"), text("detail")).trim_end().to_owned()
    }
}

/// What one try came to.
#[derive(Debug)]
pub(super) enum Attempt {
    Answered(Reply),
    /// No answer, or "later": whether the request took effect is unknown.
    Unknown {
        /// What the server asked for.
        retry_after: Option<Duration>,
        why: String,
    },
}

/// Why no further try is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no answer after {tries} tries: {why}")]
pub(super) struct GaveUp {
    tries: u32,
    why: String,
}

/// Sends requests to the ingresses in turn.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    bases: Vec<Url>,
    next: AtomicUsize,
    pace: Option<Pace>,
}

impl Client {
    pub(super) fn new(options: &Options) -> Result<Self, SimulateError> {
        let bases = options.base_urls.iter().map(|url| base_url(url)).collect::<Result<Vec<_>, _>>()?;
        if bases.is_empty() {
            return Err(SimulateError::NoBaseUrl);
        }
        // reqwest panics without a provider; whoever has installed one already keeps theirs.
        drop(rustls::crypto::ring::default_provider().install_default());
        let builder = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).default_headers(headers(options)?);
        let local = bases
            .iter()
            .all(|url| url.host_str().is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]")));
        let builder = if local { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|source| SimulateError::Client { source })?;
        let pace = options.rate.map(Pace::new);
        Ok(Self { http, bases, next: AtomicUsize::new(0), pace })
    }

    /// Tries once.
    pub(super) async fn attempt(&self, request: &Request<'_>) -> Attempt {
        if let Some(pace) = &self.pace {
            pace.wait().await;
        }
        let Some(url) = self.url(request) else {
            return Attempt::Unknown { retry_after: None, why: "no server".to_owned() };
        };
        let mut builder = self.http.request(request.method.clone(), url);
        if let Some(body) = request.body {
            builder = builder.header(CONTENT_TYPE, "application/scim+json").body(body.to_string());
        }
        let answer = async {
            let response = builder.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        };
        match answer.await {
            Ok((status, headers, bytes)) => judge(status, &headers, &bytes),
            Err(error) => Attempt::Unknown { retry_after: None, why: reason(&error).to_owned() },
        }
    }

    /// Tries until there is an answer; for requests that may be sent twice. With it comes the number of retries.
    pub(super) async fn repeat(&self, request: &Request<'_>, patience: &mut Patience) -> Result<Reply, GaveUp> {
        loop {
            match self.attempt(request).await {
                Attempt::Answered(reply) => return Ok(reply),
                Attempt::Unknown { retry_after, why } => patience.pause(retry_after, why).await?,
            }
        }
    }

    /// The next server in turn, so that a retry goes to another one.
    fn url(&self, request: &Request<'_>) -> Option<Url> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut url = self.bases.get(turn % self.bases.len())?.clone();
        let path = format!("{}{}", url.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        Some(url)
    }
}

/// How many tries and how much time one operation has left.
#[derive(Debug)]
pub(super) struct Patience {
    tries: u32,
    until: Instant,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { tries: 1, until: Instant::now() + MAX_TIME }
    }

    /// Tries beyond the first.
    pub(super) fn retries(&self) -> u64 {
        u64::from(self.tries - 1)
    }

    /// Waits before the next try: what the server asked for, else 100 ms doubling up to 2 s.
    pub(super) async fn pause(&mut self, retry_after: Option<Duration>, why: String) -> Result<(), GaveUp> {
        let doubling = Duration::from_millis(100 << (self.tries - 1).min(5)).min(Duration::from_secs(2));
        let pause = retry_after.unwrap_or(doubling).min(MAX_PAUSE);
        if self.tries >= MAX_TRIES || Instant::now() + pause > self.until {
            return Err(GaveUp { tries: self.tries, why });
        }
        self.tries += 1;
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// Spaces requests evenly.
#[derive(Debug)]
struct Pace {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Self { gap: Duration::from_secs_f64(1.0 / per_second.max(0.001)), next: Mutex::new(Instant::now()) }
    }

    async fn wait(&self) {
        let turn = {
            let mut next = self.next.lock().await;
            let turn = (*next).max(Instant::now());
            *next = turn + self.gap;
            turn
        };
        tokio::time::sleep_until(turn).await;
    }
}

fn base_url(text: &str) -> Result<Url, SimulateError> {
    let invalid = || SimulateError::BaseUrl { url: text.to_owned() };
    let url: Url = text.parse().map_err(|_| invalid())?;
    if matches!(url.scheme(), "http" | "https") && url.query().is_none() { Ok(url) } else { Err(invalid()) }
}

fn headers(options: &Options) -> Result<HeaderMap, SimulateError> {
    let mut token =
        HeaderValue::from_str(&format!("Bearer {}", options.token.reveal())).map_err(|_| SimulateError::Token)?;
    token.set_sensitive(true);
    Ok(HeaderMap::from_iter([
        (AUTHORIZATION, token),
        (ACCEPT, HeaderValue::from_static("application/scim+json")),
        (USER_AGENT, HeaderValue::from_static("rosterd-simulate")),
    ]))
}

/// "Later" is no answer; nor is a gateway's word about a server that it cannot reach.
fn judge(status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> Attempt {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => {
            let retry_after =
                text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
            Attempt::Unknown { retry_after, why: format!("status {}", status.as_u16()) }
        }
        _ => {
            let body = serde_json::from_slice(bytes).unwrap_or(Value::Null);
            Attempt::Answered(Reply { status, location: text(LOCATION).map(str::to_owned), body })
        }
    }
}

fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, headers: &HeaderMap) -> String {
        match judge(StatusCode::from_u16(status).unwrap(), headers, b"{}") {
            Attempt::Answered(reply) => format!("settled by {}", reply.status.as_u16()),
            Attempt::Unknown { retry_after, .. } => format!("again after {retry_after:?}"),
        }
    }

    #[test]
    fn only_later_and_broken_gateways_are_tried_again() {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static("7"))]);
        for status in [429, 503] {
            assert_eq!(judged(status, &headers), "again after Some(7s)");
        }
        assert_eq!(judged(502, &HeaderMap::new()), "again after None");
        for status in [200, 201, 204, 400, 401, 404, 409, 412, 500] {
            assert_eq!(judged(status, &headers), format!("settled by {status}"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_thirty_tries() {
        let mut patience = Patience::new();
        let mut tries = 1;
        while patience.pause(Some(Duration::from_millis(1)), "timeout".to_owned()).await.is_ok() {
            tries += 1;
        }
        assert_eq!((tries, patience.retries()), (30, 29));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_after_three_minutes() {
        let mut patience = Patience::new();
        let began = Instant::now();
        while patience.pause(Some(Duration::from_hours(1)), "timeout".to_owned()).await.is_ok() {}
        assert_eq!(began.elapsed(), MAX_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_spaces_requests_evenly() {
        let pace = Pace::new(10.0);
        let began = Instant::now();
        for _ in 0..11 {
            pace.wait().await;
        }
        assert_eq!(began.elapsed().as_millis(), 1_000);
    }

    #[test]
    fn a_base_url_is_http_and_has_no_query() {
        assert!(base_url("http://127.0.0.1:8080/scim/v2/acme/").is_ok());
        assert!(base_url("ftp://host/").is_err() && base_url("acme").is_err() && base_url("http://h/?a=b").is_err());
    }
}
