//! Clients that write and read without a pause, and note how each request went.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::harness::scim::{Answer, Scim, patch, try_send, user};

/// Requests under way at a time.
const CLIENTS: usize = 16;

/// One request.
#[derive(Debug)]
#[expect(dead_code, reason = "what failed is printed")]
pub(super) struct Sample {
    what: &'static str,
    /// None: the connection broke.
    status: Option<u16>,
    took: Duration,
}

/// How the requests of a time went.
#[derive(Debug)]
pub(super) struct Samples(Vec<Sample>);

/// Creates, changes and reads people at all of these until it is told to stop.
pub(super) async fn load(scims: &[Scim], name: &str, until: &CancellationToken) -> Samples {
    let clients = (0..CLIENTS).map(|number| client(&scims[number % scims.len()], format!("{name}-{number}"), until));
    Samples(join_all(clients).await.into_iter().flatten().collect())
}

async fn client(scim: &Scim, name: String, until: &CancellationToken) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut number = 0;
    while !until.is_cancelled() {
        number += 1;
        let body = user(&format!("{name}-{number}"));
        let created = timed(&mut samples, "create", scim.json(Method::POST, "/Users", &body)).await;
        let Some(id) = created.filter(|answer| answer.status == 201).map(|answer| answer.id()) else { continue };
        let path = format!("/Users/{id}");
        let title = patch(&json!([{ "op": "replace", "path": "title", "value": "Dr." }]));
        timed(&mut samples, "change", scim.json(Method::PATCH, &path, &title)).await;
        timed(&mut samples, "read", scim.request(Method::GET, &path)).await;
    }
    samples
}

async fn timed(samples: &mut Vec<Sample>, what: &'static str, request: reqwest::RequestBuilder) -> Option<Answer> {
    let began = Instant::now();
    let answer = try_send(request).await;
    samples.push(Sample { what, status: answer.as_ref().map(|answer| answer.status), took: began.elapsed() });
    answer
}

impl Samples {
    /// Requests that were not answered with a 2xx.
    pub(super) fn failed(&self) -> Vec<&Sample> {
        self.0.iter().filter(|sample| sample.status.is_none_or(|status| status >= 300)).collect()
    }

    pub(super) fn slowest(&self) -> Duration {
        self.0.iter().map(|sample| sample.took).max().unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
