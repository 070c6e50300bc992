//! One try of a request after the other: at which server, how fast, and when to try again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backoff::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use runtime::lock::locked;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Options, SimulateError};
use crate::client::{Client, Request};

/// How long Okta and Entra wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);
/// The most tries of one operation beyond the first.
const MAX_RETRIES: usize = 29;
/// How long one operation may take with all its tries.
const MAX_TIME: Duration = Duration::from_mins(3);
/// The longest `Retry-After` that is waited for.
const MAX_PAUSE: Duration = Duration::from_secs(30);

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
        let parts = [self.status.as_str(), text("scimType"), text("detail")];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
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
    tries: u64,
    why: String,
}

/// Sends requests to the ingresses in turn, so that a retry goes to another one.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    next: AtomicUsize,
    pace: Option<Pace>,
    /// What came last instead of an answer.
    trouble: std::sync::Mutex<Option<String>>,
}

impl Sender {
    pub(super) fn new(options: &Options) -> Result<Self, SimulateError> {
        let builder = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).user_agent("rosterd-simulate");
        let client = Client::new(&options.base_urls, options.token.reveal(), builder)?;
        Ok(Self {
            client,
            next: AtomicUsize::new(0),
            pace: options.rate.map(Pace::new),
            trouble: std::sync::Mutex::default(),
        })
    }

    /// Tries once; `patience` keeps the time that it waits for its turn.
    pub(super) async fn attempt(&self, request: &Request, patience: &mut Patience) -> Attempt {
        if let Some(pace) = &self.pace {
            let began = Instant::now();
            pace.wait().await;
            patience.paced += began.elapsed();
        }
        let answer = async {
            let response = self.client.send(self.next.fetch_add(1, Ordering::Relaxed), request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        };
        let attempt = match answer.await {
            Ok((status, headers, bytes)) => judge(status, &headers, &bytes),
            Err(error) => Attempt::Unknown { retry_after: None, why: reason(&error).to_owned() },
        };
        if let Attempt::Unknown { why, .. } = &attempt {
            *locked(&self.trouble) = Some(why.clone());
        }
        attempt
    }

    /// What came last instead of an answer.
    pub(super) fn last_trouble(&self) -> Option<String> {
        locked(&self.trouble).clone()
    }

    /// Tries until there is an answer; for requests that may be sent twice.
    pub(super) async fn repeat(&self, request: &Request, patience: &mut Patience) -> Result<Reply, GaveUp> {
        loop {
            match self.attempt(request, patience).await {
                Attempt::Answered(reply) => return Ok(reply),
                Attempt::Unknown { retry_after, why } => patience.pause(retry_after, why).await?,
            }
        }
    }
}

/// How many tries and how much time one operation has left.
#[derive(Debug)]
pub(super) struct Patience {
    retries: u64,
    /// 100 ms doubling up to 2 s.
    delays: ExponentialBackoff,
    until: Instant,
    /// How long the rate that was asked for held its requests back.
    paced: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        let delays = ExponentialBuilder::default().with_min_delay(Duration::from_millis(100));
        let delays = delays.with_max_delay(Duration::from_secs(2)).with_max_times(MAX_RETRIES).build();
        Self { retries: 0, delays, until: Instant::now() + MAX_TIME, paced: Duration::ZERO }
    }

    /// Tries beyond the first.
    pub(super) const fn retries(&self) -> u64 {
        self.retries
    }

    /// How long the operation's requests waited for their turn: no part of what the server needs.
    pub(super) const fn paced(&self) -> Duration {
        self.paced
    }

    /// Waits before the next try, first of all for what the server asked for.
    pub(super) async fn pause(&mut self, retry_after: Option<Duration>, why: String) -> Result<(), GaveUp> {
        let pause = self.delays.next().map(|delay| retry_after.unwrap_or(delay).min(MAX_PAUSE));
        let Some(pause) = pause.filter(|pause| Instant::now() + *pause <= self.until) else {
            return Err(GaveUp { tries: self.retries + 1, why });
        };
        self.retries += 1;
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

/// "Later" is no answer; nor is a gateway's word about a server that it cannot reach.
fn judge(status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> Attempt {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let reply = || {
        let body = serde_json::from_slice(bytes).unwrap_or(Value::Null);
        Reply { status, location: text(LOCATION).map(str::to_owned), body }
    };
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => {
            let retry_after =
                text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
            Attempt::Unknown { retry_after, why: reply().detail() }
        }
        _ => Attempt::Answered(reply()),
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
}
