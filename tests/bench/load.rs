//! Sends requests, so many at a time, and says how fast they were answered.

use std::time::Duration;

use anyhow::bail;
use futures::StreamExt;
use reqwest::Response;
use rosterd::client::{Client, Request};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(2);

/// A client of one workspace, at all ingresses in turn.
#[derive(Debug, Clone)]
pub(super) struct Caller(Client);

/// How fast requests were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Timing {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
}

impl Caller {
    pub(super) fn new(base_urls: &[String], token: &str) -> anyhow::Result<Self> {
        // reqwest gives up a connection on which the server reads nothing for 30 s, as it does until a bulk request's turn.
        let builder = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).tcp_user_timeout(None);
        Ok(Self(Client::new(base_urls, token, builder)?))
    }

    /// Sends one request to the ingress whose turn `number` is; the body of its answer, which has to be a success.
    pub(super) async fn send(&self, number: usize, request: Request) -> anyhow::Result<Value> {
        let response = self.answer(number, request).await?;
        let (status, bytes) = (response.status(), response.bytes().await?);
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&bytes));
        }
        Ok(if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes)? })
    }

    /// Sends one request to the ingress whose turn `number` is; its answer, whatever its status.
    pub(super) async fn answer(&self, number: usize, request: Request) -> anyhow::Result<Response> {
        Ok(self.0.send(number, &request).await?)
    }

    /// Reads an answer to its end without keeping it: its length in bytes.
    pub(super) async fn drain(&self, request: Request) -> anyhow::Result<usize> {
        let mut response = self.answer(0, request).await?.error_for_status()?;
        let mut length = 0_usize;
        while let Some(piece) = response.chunk().await? {
            length = length.saturating_add(piece.len());
        }
        Ok(length)
    }

    /// Sends `count` requests, `in_flight` at a time; their answers in no order.
    pub(super) async fn many(
        &self,
        count: usize,
        in_flight: usize,
        call: impl Fn(usize) -> Request,
    ) -> anyhow::Result<(Timing, Vec<Value>)> {
        let began = Instant::now();
        let calls = (0..count).map(|number| {
            let call = call(number);
            async move {
                let sent = Instant::now();
                let answer = self.send(number, call).await?;
                anyhow::Ok((sent.elapsed(), answer))
            }
        });
        let mut answers = futures::stream::iter(calls).buffer_unordered(in_flight);
        let (mut times, mut bodies) = (Vec::with_capacity(count), Vec::with_capacity(count));
        while let Some(answer) = answers.next().await {
            let (time, body) = answer?;
            times.push(time);
            bodies.push(body);
        }
        Ok((Timing::of(times, began.elapsed()), bodies))
    }
}

impl Timing {
    /// Of requests that took so long each, and so long together.
    fn of(mut times: Vec<Duration>, together: Duration) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let place = times.len().saturating_sub(1) * percent / 100;
            times.get(place).map_or(0.0, |time| rounded(time.as_secs_f64() * 1000.0))
        };
        let count = u32::try_from(times.len()).map_or(f64::MAX, f64::from);
        Self { per_second: rounded(count / together.as_secs_f64().max(1e-9)), p50_ms: at(50), p99_ms: at(99) }
    }

    /// Of requests that were sent one after the other.
    pub(super) fn one_by_one(times: Vec<Duration>) -> Self {
        let together = times.iter().sum();
        Self::of(times, together)
    }

    /// The same of something of which each request holds so many.
    pub(super) fn each(self, of: u32) -> Self {
        Self { per_second: rounded(self.per_second * f64::from(of)), ..self }
    }
}

/// To a tenth.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_counts_what_was_answered_and_not_how_long_each_took() {
        let times = (1..=100).map(Duration::from_millis).collect();
        let timing = Timing::of(times, Duration::from_secs(2));
        assert_eq!(timing, Timing { per_second: 50.0, p50_ms: 50.0, p99_ms: 99.0 });
        assert_eq!(timing.each(10), Timing { per_second: 500.0, ..timing });
    }
}
