//! The provider's operations: each one call from the first try to an answer that settles it.

use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use super::directory::{Kind, Record};
use super::measure::{Measurement, Meter, Operation, Sample};
use super::plan::{Change, Dialect, Person, Team};
use super::sender::{Attempt, GaveUp, Patience, Reply, Sender};
use super::{Options, SimulateError, dialect};
use crate::client::Request;

/// Why an operation failed for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    GaveUp(#[from] GaveUp),
    #[error("answered {0}")]
    Refused(String),
    #[error("answered with {0}")]
    WrongAnswer(String),
    #[error("there is one already; another --seed makes other names")]
    AlreadyThere,
}

/// Plays the provider, one operation at a time; shared by all tasks.
#[derive(Debug)]
pub(super) struct Provider {
    sender: Sender,
    meter: Meter,
    began: Instant,
    probes: bool,
}

impl Provider {
    pub(super) fn new(options: &Options) -> Result<Self, SimulateError> {
        let sender = Sender::new(options)?;
        Ok(Self { sender, meter: Meter::default(), began: Instant::now(), probes: options.probe })
    }

    pub(super) fn measurements(&self) -> Vec<Measurement> {
        self.meter.measurements()
    }

    /// What came last instead of an answer.
    pub(super) fn last_trouble(&self) -> Option<String> {
        self.sender.last_trouble()
    }

    /// What Okta does when an administrator presses "Test": a short list.
    pub(super) async fn test_connection(&self) -> Result<(), Failure> {
        let request = Request::get("/Users").query(&[("startIndex", "1"), ("count", "2")]);
        self.ok(Operation::Probe, &request).await.map(drop)
    }

    /// Creates a person and gives the id.
    pub(super) async fn create_user(&self, person: &Person) -> Result<String, Failure> {
        let body = dialect::create_user(person);
        let create = Create { record: Record::of_person(person), filter: dialect::user_filter(person), body: &body };
        self.create(Operation::CreateUser, &create).await
    }

    /// Creates an empty group and gives the id.
    pub(super) async fn create_group(&self, team: &Team) -> Result<String, Failure> {
        let body = dialect::create_group(team);
        let create = Create { record: Record::of_team(team), filter: dialect::group_filter(team), body: &body };
        self.create(Operation::CreateGroup, &create).await
    }

    /// Adds people to a group.
    pub(super) async fn add_members(&self, dialect: Dialect, group: &str, members: &[&str]) -> Result<(), Failure> {
        let body = dialect::add_members(dialect, members.iter().copied());
        self.patch(Operation::AddMembers, Kind::Group, group, body).await.map(drop)
    }

    /// Takes a person out of a group.
    pub(super) async fn remove_member(&self, dialect: Dialect, group: &str, member: &str) -> Result<(), Failure> {
        let body = dialect::remove_member(dialect, member);
        self.patch(Operation::RemoveMember, Kind::Group, group, body).await.map(drop)
    }

    /// Makes a change to a person.
    pub(super) async fn change(&self, dialect: Dialect, id: &str, change: &Change) -> Result<(), Failure> {
        match change {
            Change::Update(after) => self.update(id, after).await,
            Change::SetActive(active) => {
                let operation = if *active { Operation::Reactivate } else { Operation::Deactivate };
                let body = dialect::set_active(dialect, *active);
                let reply = self.patch(operation, Kind::User, id, body).await?;
                check_value(&reply, "active", &active.to_string())
            }
            Change::Delete => self.delete(id).await,
        }
    }

    /// A resource by id; none for 404.
    pub(super) async fn read(&self, kind: Kind, id: &str) -> Result<Option<Value>, Failure> {
        let request = Request::get(format!("{}/{id}", kind.endpoint()));
        let reply = self.repeat(Operation::Read, &request).await?;
        match reply.status {
            StatusCode::OK => Ok(Some(reply.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(Failure::Refused(reply.detail())),
        }
    }

    /// One page of a list.
    pub(super) async fn list(&self, kind: Kind, start_index: usize, count: usize) -> Result<Value, Failure> {
        let (start_index, count) = (start_index.to_string(), count.to_string());
        let request = Request::get(kind.endpoint()).query(&[("startIndex", &start_index), ("count", &count)]);
        self.ok(Operation::List, &request).await.map(|reply| reply.body)
    }

    async fn update(&self, id: &str, after: &Person) -> Result<(), Failure> {
        let reply = match after.dialect {
            Dialect::Okta => {
                let current = self.read(Kind::User, id).await?.ok_or_else(|| Failure::Refused("404".to_owned()))?;
                let body = dialect::replace_user(current, after);
                let request = Request::new(Method::PUT, format!("/Users/{id}")).body(body);
                self.ok(Operation::UpdateUser, &request).await?
            }
            Dialect::Entra => self.patch(Operation::UpdateUser, Kind::User, id, dialect::patch_user(after)).await?,
        };
        check_value(&reply, "userName", &after.user_name)?;
        check_value(&reply, "title", &after.title)
    }

    /// After an unknown first try, 404 means that it took effect.
    async fn delete(&self, id: &str) -> Result<(), Failure> {
        let request = Request::new(Method::DELETE, format!("/Users/{id}"));
        let deleted = |reply: &Reply, retries| match reply.status {
            StatusCode::NO_CONTENT => true,
            StatusCode::NOT_FOUND => retries > 0,
            _ => false,
        };
        self.timed(Operation::DeleteUser, async |patience| {
            let reply = self.sender.repeat(&request, patience).await?;
            if deleted(&reply, patience.retries()) { Ok(()) } else { Err(Failure::Refused(reply.detail())) }
        })
        .await
    }

    async fn patch(&self, operation: Operation, kind: Kind, id: &str, body: Value) -> Result<Reply, Failure> {
        let request = Request::new(Method::PATCH, format!("{}/{id}", kind.endpoint())).body(body);
        self.ok(operation, &request).await
    }

    /// Repeats until an answer, which must be 200 or 204.
    async fn ok(&self, operation: Operation, request: &Request) -> Result<Reply, Failure> {
        self.timed(operation, async |patience| {
            let reply = self.sender.repeat(request, patience).await?;
            let fine = matches!(reply.status, StatusCode::OK | StatusCode::NO_CONTENT);
            if fine { Ok(reply) } else { Err(Failure::Refused(reply.detail())) }
        })
        .await
    }

    async fn repeat(&self, operation: Operation, request: &Request) -> Result<Reply, Failure> {
        self.timed(operation, async |patience| Ok(self.sender.repeat(request, patience).await?)).await
    }

    async fn create(&self, operation: Operation, create: &Create<'_>) -> Result<String, Failure> {
        if self.probes && self.find(create).await?.is_some() {
            return Err(Failure::AlreadyThere);
        }
        self.timed(operation, async |patience| self.post(create, patience).await).await
    }

    /// POST is not repeated blindly: after a try of unknown fate the provider looks first, as Okta and Entra do.
    async fn post(&self, create: &Create<'_>, patience: &mut Patience) -> Result<String, Failure> {
        let request = Request::new(Method::POST, create.record.kind.endpoint()).body(create.body.clone());
        loop {
            match self.sender.attempt(&request, patience).await {
                Attempt::Answered(reply) if reply.status == StatusCode::CREATED => return created(create, &reply),
                Attempt::Answered(reply) if reply.status == StatusCode::CONFLICT && patience.retries() > 0 => {
                    return self.find(create).await?.ok_or_else(|| Failure::Refused(reply.detail()));
                }
                Attempt::Answered(reply) => return Err(Failure::Refused(reply.detail())),
                Attempt::Unknown { retry_after, why } => patience.pause(retry_after, why).await?,
            }
            if let Some(id) = self.find(create).await? {
                return Ok(id);
            }
        }
    }

    /// The id of the one resource that the provider's filter finds.
    async fn find(&self, create: &Create<'_>) -> Result<Option<String>, Failure> {
        let parameters = [("filter", create.filter.as_str()), ("startIndex", "1"), ("count", "100")];
        let request = Request::get(create.record.kind.endpoint()).query(&parameters);
        let reply = self.ok(Operation::Probe, &request).await?;
        let found = reply.body.get("Resources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        match found {
            [] => Ok(None),
            [one] => Ok(one.get("id").and_then(Value::as_str).map(str::to_owned)),
            more => Err(Failure::WrongAnswer(format!("{} resources to {}", more.len(), create.filter))),
        }
    }

    /// Runs one operation and takes its time from when its request is sent, also when it fails.
    async fn timed<T>(
        &self,
        operation: Operation,
        run: impl AsyncFnOnce(&mut Patience) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let began = self.began.elapsed();
        let mut patience = Patience::new();
        let result = run(&mut patience).await;
        let (ended, paced, retries) = (self.began.elapsed(), patience.paced(), patience.retries());
        self.meter.record(operation, Sample { began, ended, paced, retries, failed: result.is_err() });
        result
    }
}

/// What is created and how it is looked up.
struct Create<'a> {
    record: Record,
    filter: String,
    body: &'a Value,
}

/// A 201 must hold the id, the values as sent, and a location that ends in the id.
fn created(create: &Create<'_>, reply: &Reply) -> Result<String, Failure> {
    let Some(id) = reply.body.get("id").and_then(Value::as_str) else {
        return Err(Failure::WrongAnswer("a 201 without an id".to_owned()));
    };
    if !reply.location.as_ref().is_some_and(|location| location.ends_with(id)) {
        return Err(Failure::WrongAnswer("a 201 without its location".to_owned()));
    }
    let differences = create.record.differences(&Record::read(create.record.kind, &reply.body));
    match differences.as_slice() {
        [] => Ok(id.to_owned()),
        [first, ..] => Err(Failure::WrongAnswer(format!("another {} than was sent", first.attribute))),
    }
}

/// An answer with a body must show the new value; 204 has none.
fn check_value(reply: &Reply, attribute: &str, expected: &str) -> Result<(), Failure> {
    let shown = reply.body.get(attribute).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    if reply.status == StatusCode::NO_CONTENT || shown.as_deref() == Some(expected) {
        return Ok(());
    }
    Err(Failure::WrongAnswer(format!("another {attribute} than was sent")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use runtime::settings::Secret;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::simulate::run;

    /// A server that answers so many requests at once, each the last of its connection, and further ones 503.
    async fn server(answers: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/scim/v2/acme", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let mut served = 0..answers;
            while let Ok((mut stream, _)) = listener.accept().await {
                let read = stream.read(&mut [0; 4096]).await;
                let (status, body) = match served.next() {
                    Some(_) => ("200 OK", "{}"),
                    None => ("503 Service Unavailable", r#"{"detail":"the disk is full"}"#),
                };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                assert!(read.is_ok() && stream.write_all(answer.as_bytes()).await.is_ok());
            }
        });
        url
    }

    fn options(base_url: String) -> Options {
        Options {
            base_urls: vec![base_url],
            token: Secret::new("token"),
            users: 8,
            groups: 0,
            concurrency: 8,
            rate: None,
            probe: false,
            stall: None,
            seed: 1,
        }
    }

    #[tokio::test]
    async fn a_request_that_waits_for_its_turn_is_not_slow() {
        let options = Options { rate: Some(10.0), ..options(server(8).await) };
        let provider = Provider::new(&options).unwrap();
        let tests = join_all((0..8).map(|_| provider.test_connection())).await;
        assert!(tests.iter().all(Result::is_ok), "{tests:?}");
        let [measured] = provider.measurements().try_into().unwrap();
        assert!(measured.p50_ms < 100.0, "the last waits for 700 ms before it is sent: {measured:?}");
        assert!(measured.rate < 20.0, "{measured:?}");
    }

    #[tokio::test]
    async fn a_run_in_which_nothing_goes_on_ends_with_the_cause() {
        let options = Options { stall: Some(Duration::from_secs(1)), ..options(server(1).await) };
        let stalled = run(options, |_| {}).await.unwrap_err().to_string();
        assert_eq!(stalled, "no write ended for 1 seconds; the last one that has to wait: 503 the disk is full");
    }
}
