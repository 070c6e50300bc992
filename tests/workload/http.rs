//! Requests below the Base URLs, and what their answers show.

use std::time::Duration;

use reqwest::StatusCode;
use rosterd::client::Client;
pub(super) use rosterd::client::Request;
use serde_json::Value;

use crate::history::{Attribute, GroupSight, Outcome, Sight, UserSight};

/// How long Okta and Entra wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// The server, at all its URLs.
#[derive(Debug, Clone)]
pub(super) struct Http(Client);

/// An answer, or why there is none.
pub(super) enum Reply {
    Answered(StatusCode, Value),
    NotSent,
    Lost(&'static str),
}

impl Http {
    pub(super) fn new(base_urls: &[String], token: &str) -> Self {
        let builder = reqwest::Client::builder().timeout(REQUEST_TIMEOUT);
        Self(Client::new(base_urls, token, builder).unwrap())
    }

    pub(super) fn servers(&self) -> usize {
        self.0.servers()
    }

    /// Asks one of the servers, once, and waits for so long if that is less than a provider does.
    pub(super) async fn send(&self, server: usize, request: Request, patience: Option<Duration>) -> Reply {
        let request = Request { timeout: patience, ..request };
        let answer = async {
            let response = self.0.send(server, &request).await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        match answer.await {
            Ok((status, bytes)) => Reply::Answered(status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)),
            Err(error) if error.is_timeout() => Reply::Lost("timeout"),
            Err(error) if error.is_connect() => Reply::NotSent,
            Err(_) => Reply::Lost("the connection broke"),
        }
    }
}

impl From<Reply> for Outcome {
    /// 408 and every 5xx leave open what happened.
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Answered(status, body) if status.is_success() => Self::Ok { shown: shown(&body) },
            Reply::Answered(status, _) if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
                let status = status.as_u16();
                Self::Unknown { status: Some(status), why: status.to_string() }
            }
            Reply::Answered(status, _) => Self::Fail { status: Some(status.as_u16()) },
            Reply::NotSent => Self::Fail { status: None },
            Reply::Lost(why) => Self::Unknown { status: None, why: why.to_owned() },
        }
    }
}

/// The resources in a body: one, or a list.
pub(super) fn shown(body: &Value) -> Vec<Sight> {
    match body.get("Resources").and_then(Value::as_array) {
        Some(resources) => resources.iter().filter_map(sight).collect(),
        None => sight(body).into_iter().collect(),
    }
}

fn sight(body: &Value) -> Option<Sight> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    // A create whose resource was deleted before it was answered again shows an id, and no more.
    if body.get("id").is_none() || body.get("userName").or_else(|| body.get("displayName")).is_none() {
        return None;
    }
    if body.get("userName").is_some() {
        let values = Attribute::ALL.into_iter().filter_map(|attribute| Some((attribute, value(body, attribute)?)));
        return Some(Sight::User(UserSight {
            id: text("id"),
            user_name: text("userName"),
            marker: text("externalId"),
            values: values.collect(),
            active: body.get("active").and_then(Value::as_bool).unwrap_or_default(),
            version: body.pointer("/meta/version").and_then(Value::as_str).and_then(version),
        }));
    }
    let members = body.get("members").and_then(Value::as_array).into_iter().flatten();
    let members = members.filter_map(|member| Some(member.get("value")?.as_str()?.to_owned())).collect();
    Some(Sight::Group(GroupSight { id: text("id"), name: text("displayName"), marker: text("externalId"), members }))
}

fn value(body: &Value, attribute: Attribute) -> Option<String> {
    let pointer = format!("/{}", attribute.path().replace('.', "/"));
    body.pointer(&pointer).and_then(Value::as_str).map(str::to_owned)
}

/// `W/"3"`.
fn version(tag: &str) -> Option<u64> {
    tag.trim_start_matches("W/").trim_matches('"').parse().ok()
}
