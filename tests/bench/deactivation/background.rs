//! What else a system has to do while somebody is deactivated.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{anyhow, bail};
use futures::StreamExt;
use reqwest::StatusCode;
use rosterd::client::Request;
use serde::Serialize;
use serde_json::Value;

use super::super::load::Caller;
use super::super::people::{self, PORTION};

/// The kinds of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Load {
    /// No other request.
    Nothing,
    /// Creates in the workspace of those who are deactivated.
    CreatesHere,
    /// Creates in another workspace.
    CreatesElsewhere,
    /// Bulk requests in the workspace of those who are deactivated.
    Bulk,
    /// Lists of 200 users.
    Lists,
}

impl Load {
    pub(super) const ALL: [Self; 5] =
        [Self::Nothing, Self::CreatesHere, Self::CreatesElsewhere, Self::Bulk, Self::Lists];

    fn call(self, number: usize) -> Request {
        match self {
            Self::Nothing | Self::CreatesHere | Self::CreatesElsewhere => people::create("newcomer", number),
            Self::Bulk => people::bulk("newcomer", number * PORTION, PORTION, 0),
            Self::Lists => Request::get(format!("/Users?count=200&startIndex={}", number % 5 * 200 + 1)),
        }
    }

    /// How much one request counts.
    const fn weight(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Bulk => PORTION,
            Self::CreatesHere | Self::CreatesElsewhere | Self::Lists => 1,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::CreatesHere => "creates, same workspace",
            Self::CreatesElsewhere => "creates, another workspace",
            Self::Bulk => "bulk requests",
            Self::Lists => "lists",
        })
    }
}

/// How much of the load was answered.
#[derive(Debug, Default)]
pub(super) struct Count {
    at_least: u32,
    done: AtomicU32,
    refused: AtomicU32,
}

impl Count {
    /// Nothing yet, of so much.
    pub(super) fn up_to(at_least: u32) -> Self {
        Self { at_least, ..Self::default() }
    }

    /// What was done.
    pub(super) fn done(&self) -> u32 {
        self.done.load(Ordering::Relaxed)
    }

    /// What was refused: requests with 503, operations of a bulk request with any status but 201.
    pub(super) fn refused(&self) -> u32 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether as much was answered as there has to be.
    pub(super) fn is_complete(&self) -> bool {
        self.done() + self.refused() >= self.at_least
    }

    fn add(&self, done: usize, refused: usize) -> anyhow::Result<()> {
        self.done.fetch_add(u32::try_from(done)?, Ordering::Relaxed);
        self.refused.fetch_add(u32::try_from(refused)?, Ordering::Relaxed);
        Ok(())
    }
}

/// A load, so many requests at a time.
#[derive(Debug)]
pub(super) struct Background {
    load: Load,
    in_flight: usize,
    count: Arc<Count>,
}

impl Background {
    pub(super) fn new(load: Load, in_flight: usize, count: Count) -> Self {
        Self { load, in_flight, count: Arc::new(count) }
    }

    /// Where it is counted.
    pub(super) fn count(&self) -> Arc<Count> {
        Arc::clone(&self.count)
    }

    /// Sends one request after the other until it is dropped; ends only if one of them fails.
    pub(super) async fn keep_up(&self, caller: &Caller) -> anyhow::Error {
        if self.load == Load::Nothing {
            return std::future::pending().await;
        }
        let requests = (0_usize..).map(|number| self.request(caller, number));
        let mut answers = futures::stream::iter(requests).buffer_unordered(self.in_flight);
        while let Some(answered) = answers.next().await {
            if let Err(failure) = answered {
                return failure;
            }
        }
        anyhow!("there are no more requests")
    }

    async fn request(&self, caller: &Caller, number: usize) -> anyhow::Result<()> {
        let response = caller.answer(number, self.load.call(number)).await?;
        let (status, bytes) = (response.status(), response.bytes().await?);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            return self.count.add(0, self.load.weight());
        }
        if !status.is_success() {
            bail!("{status}: {}", String::from_utf8_lossy(&bytes));
        }
        let done = if self.load == Load::Bulk { created(&serde_json::from_slice(&bytes)?) } else { self.load.weight() };
        self.count.add(done, self.load.weight() - done)
    }
}

/// How many operations of a bulk request created somebody.
fn created(answer: &Value) -> usize {
    let operations = answer.get("Operations").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    operations.iter().filter(|operation| operation.get("status").and_then(Value::as_str) == Some("201")).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_that_were_refused_are_not_counted_as_done() {
        let answer = json!({ "Operations": [{ "status": "201" }, { "status": "503" }, { "status": "201" }] });
        assert_eq!(created(&answer), 2);
        assert_eq!(created(&json!({})), 0);
    }

    #[test]
    fn a_load_is_complete_when_all_of_it_was_answered() {
        let count = Count::up_to(3);
        count.add(1, 1).unwrap();
        assert!(!count.is_complete());
        count.add(1, 0).unwrap();
        assert_eq!((count.is_complete(), count.done(), count.refused()), (true, 2, 1));
    }

    #[test]
    fn no_two_bulk_requests_create_the_same_people() {
        let names = |number| {
            let body = Load::Bulk.call(number).body.unwrap();
            let name = |place| body["Operations"][place]["data"]["userName"].as_str().unwrap().to_owned();
            [name(0), name(PORTION - 1)]
        };
        assert_eq!(names(0), ["newcomer-0@example.com", "newcomer-1999@example.com"]);
        assert_eq!(names(1)[0], "newcomer-2000@example.com");
    }
}
