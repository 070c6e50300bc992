//! A request that is sent again finds its answer: a create whose answer was lost is answered with what it made, and a
//! change that still waits in the log is waited for. A second create for its own sake stays a duplicate.

mod connection;

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim, group, patch, send, user};
use crate::harness::{Database, System, on_both, trial};
use connection::Connection;

/// How often a create is tried after its first attempt broke; the last of them is waited for.
const RETRIES: u64 = 5;
/// Up to which moment of a create its client hangs up, in milliseconds, and in which steps.
const HANGS_UP_WITHIN: u64 = 20;
const STEP: usize = 2;
/// The shortest that an ingress takes.
const ANSWER_DEADLINE: &str = "6";
/// How a process ends at a failpoint: 128 and SIGABRT.
const ABORTED: i32 = 134;

on_both!(a_create_whose_ingress_died_is_answered_by_another_one);
async fn a_create_whose_ingress_died_is_answered_by_another_one(database: Database) {
    let system = System::start_with(database, 2, 2).await;
    let (dying, other, ingress) = (system.scim_at(0), system.scim_at(1), &system.ingresses[0]);
    for round in 0..trial::rounds(2) {
        for (path, body, filter) in kinds(&format!("round {round}")) {
            ingress.kill().await;
            ingress.arm("ingress.publish.after=abort");
            ingress.start().await;
            assert!(dying.try_post(path, body.clone()).await.is_none(), "answered before the ingress died");
            assert_eq!(ingress.end().await, Some(ABORTED));
            let taken = give_up_again_and_again(&system, path, &body).await;
            let answer = other.post(path, &body).await;
            assert!(answer.status == 201 || taken, "{path}, round {round}: {} {:#}", answer.status, answer.body);
            let made = other.find(path, &filter).await[0]["id"].as_str().unwrap().to_owned();
            assert_only(&other, path, &filter, &made).await;
            assert!(answer.status != 201 || answer.id() == made, "{made} {:#}", answer.body);
        }
    }
}

/// Sends a create to the other ingress again and again, and gives up each time, later each time; whether an answer came.
async fn give_up_again_and_again(system: &System, path: &str, body: &Value) -> bool {
    for number in 1..RETRIES {
        let mut connection = Connection::open(system.url_of(1)).await;
        connection.send("POST", &format!("/scim/v2/acme{path}"), system.token(), &body.to_string()).await;
        tokio::time::sleep(Duration::from_millis(3 * number)).await;
        if connection.hang_up().await {
            return true;
        }
    }
    false
}

on_both!(a_create_whose_client_hung_up_at_any_moment_is_answered_when_it_comes_again);
async fn a_create_whose_client_hung_up_at_any_moment_is_answered_when_it_comes_again(database: Database) {
    let system = System::start_with(database, 2, 1).await;
    let (scims, token) = ([system.scim_at(0), system.scim_at(1)], system.token());
    scims[0].post("/Users", &user("first")).await.expect(201);
    let (mut lost, mut wrong) = (0, Vec::new());
    for round in 0..trial::rounds(1) {
        for moment in (0..=HANGS_UP_WITHIN).step_by(if trial::is_full() { 1 } else { STEP }) {
            for (path, body, filter) in kinds(&format!("{round} {moment}")) {
                let mut connection = Connection::open(system.url_of(0)).await;
                connection.send("POST", &format!("/scim/v2/acme{path}"), token, &body.to_string()).await;
                tokio::time::sleep(Duration::from_millis(moment)).await;
                let went_out = connection.hang_up().await;
                let again = scims[1].post(path, &body).await;
                lost += usize::from(!went_out);
                if again.status != 201 && !(went_out && again.status == 409) {
                    wrong.push(format!("{path} after {moment} ms: {} {}", again.status, again.body["detail"]));
                }
                let found = scims[1].find(path, &filter).await;
                assert_eq!(found.len(), 1, "{path} after {moment} ms: {found:?}");
                assert!(again.status != 201 || found[0]["id"] == again.body["id"], "{found:?} {:#}", again.body);
            }
        }
    }
    println!("{lost} answers were lost");
    assert!(lost > 0, "no answer was lost: nothing was tried");
    assert!(wrong.is_empty(), "{} of {lost} lost answers were not given again:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_was_cut_off_in_its_body_makes_nobody() {
    let system = System::start_with(Database::Sqlite, 2, 1).await;
    let scim = system.scim_at(1);
    for (path, body, filter) in kinds("half") {
        let text = body.to_string();
        let mut connection = Connection::open(system.url_of(0)).await;
        connection.send_half("POST", &format!("/scim/v2/acme{path}"), system.token(), &text).await;
        // A refusal may come, nothing else could: the body was never complete.
        connection.hang_up().await;
        let answer = scim.post(path, &body).await.expect(201);
        assert_only(&scim, path, &filter, &answer.id()).await;
    }
}

on_both!(a_plain_duplicate_is_refused);
async fn a_plain_duplicate_is_refused(database: Database) {
    let system = System::start_with(database, 2, 2).await;
    let scims = [system.scim_at(0), system.scim_at(1)];
    for (path, body, filter) in kinds("plain") {
        let id = scims[0].post(path, &body).await.expect(201).id();
        for scim in scims.iter().chain(&scims) {
            scim.post(path, &body).await.expect_error(409, Some("uniqueness"));
        }
        assert_only(&scims[0], path, &filter, &id).await;
    }
    // Another request of the same name was never a repetition.
    let mut other = user("plain");
    other["title"] = json!("Dr.");
    scims[1].post("/Users", &other).await.expect_error(409, Some("uniqueness"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_in_the_log_is_not_made_twice() {
    futures::join!(Box::pin(waits_in_the_log(Database::Sqlite)), Box::pin(waits_in_the_log(Database::Postgresql)));
}

/// Changes and creates are answered 503 while there is no worker, and come again when there is one.
async fn waits_in_the_log(database: Database) {
    let plan = System::plan(database).ingresses(2).ingress_setting("ROSTERD_ANSWER_DEADLINE", ANSWER_DEADLINE);
    let system = plan.start().await;
    let scims = [system.scim_at(0), system.scim_at(1)];
    let changes = waiting_changes(&scims[0]).await;
    let creates: Vec<_> = (0..4).flat_map(|number| kinds(&format!("waits {number}"))).collect();
    system.workers[0].kill().await;
    let first = join_all(changes.iter().map(|change| send(change.request(&scims[0]))));
    let create_all = |at: usize| join_all(creates.iter().map(|(path, body, _)| scims[at].post(path, body)));
    let answers = futures::join!(first, create_all(0));
    for answer in answers.0.into_iter().chain(answers.1) {
        answer.expect_error(503, None);
    }

    let again = join_all(changes.iter().map(|change| send(change.request(&scims[change.again_at]))));
    let (outcomes, originals, ()) = futures::join!(again, create_all(1), system.workers[0].start());
    let mut wrong = Vec::new();
    for (change, answer) in changes.iter().zip(&outcomes) {
        let (status, version) = if change.method == Method::DELETE { (204, "") } else { (200, "W/\"2\"") };
        let now = scims[1].get(&format!("/Users/{}", change.id)).await;
        if (answer.status, answer.header("etag"), now.header("etag")) != (status, version, version) {
            let Answer { status, body, .. } = answer;
            wrong.push(format!("{change:?}: {status} {}, version {}", body["detail"], now.header("etag")));
        }
    }
    for ((path, _, filter), answer) in creates.iter().zip(&originals) {
        if answer.status != 201 {
            wrong.push(format!("POST {path}: {} {}", answer.status, answer.body["detail"]));
        }
        assert_eq!(scims[0].find(path, filter).await.len(), 1, "{path} {filter}");
    }
    system.at_rest().await;
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), changes.len() + creates.len(), wrong.join("\n"));
}

/// A change whose first attempt was answered 503.
#[derive(Debug)]
struct Waiting {
    method: Method,
    condition: bool,
    /// Where the second attempt goes.
    again_at: usize,
    name: String,
    id: String,
}

impl Waiting {
    fn request(&self, scim: &Scim) -> reqwest::RequestBuilder {
        let path = format!("/Users/{}", self.id);
        let request = match self.method {
            Method::PATCH => {
                scim.json(Method::PATCH, &path, &patch(&json!([{ "op": "replace", "path": "title", "value": "Dr." }])))
            }
            Method::PUT => {
                let mut body = user(&self.name);
                body["title"] = json!("Dr.");
                scim.json(Method::PUT, &path, &body)
            }
            _ => scim.request(Method::DELETE, &path),
        };
        if self.condition { request.header("if-match", "W/\"1\"") } else { request }
    }
}

/// A person for each kind of change, without and with a condition, to be sent again to the same ingress or another one.
async fn waiting_changes(scim: &Scim) -> Vec<Waiting> {
    let mut changes = Vec::new();
    for method in [Method::PATCH, Method::PUT, Method::DELETE] {
        for (condition, again_at) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
            let name = format!("person-{}", changes.len());
            let id = scim.post("/Users", &user(&name)).await.expect(201).id();
            changes.push(Waiting { method: method.clone(), condition, again_at, name, id });
        }
    }
    changes
}

/// A user and a group to be created, and how they are found.
fn kinds(name: &str) -> [(&'static str, Value, String); 2] {
    let name = name.replace(' ', "-");
    let filters = [format!("userName eq \"{name}\""), format!("displayName eq \"{name}\"")];
    let [users, groups] = filters;
    [("/Users", user(&name), users), ("/Groups", group(&name, &[]), groups)]
}

async fn assert_only(scim: &Scim, path: &str, filter: &str, id: &str) {
    let found = scim.find(path, filter).await;
    let ids: Vec<&str> = found.iter().filter_map(|resource| resource["id"].as_str()).collect();
    assert_eq!(ids, [id], "{path} {filter}");
}
