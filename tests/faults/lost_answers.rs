//! What was done and whose answer was lost: the ledger knows, and is asked.

use std::time::{Duration, Instant};

use serde_json::json;

use super::log::Log;
use super::records::Records;
use crate::harness::proxy::{COMMIT_ANSWER, Towards};
use crate::harness::scim::{group, user};
use crate::harness::{Database, System, on_both};

/// Before the message is delivered again, which takes 4 seconds: the answer came out of the ledger.
const FROM_THE_LEDGER: Duration = Duration::from_millis(3500);

on_both!(an_outcome_lost_on_its_way_is_asked_for);
async fn an_outcome_lost_on_its_way_is_asked_for(database: Database) {
    let mut system = System::start(database).await;
    let (log, records, scim) = (Log::of(&system).await, Records::of(&system).await, system.scim());
    system.workers[0].kill().await;
    system.workers[0].arm("worker.answer.before=abort");
    system.workers[0].start().await;
    system.add_worker().await;

    // Sooner or later a command goes to the worker that commits it and dies before it says so.
    let (mut users, mut slowest) = (0, Duration::ZERO);
    while system.workers[0].is_running() {
        assert!(users < 500, "no command went to the worker that dies");
        let began = Instant::now();
        scim.post("/Users", &user(&format!("person-{users}"))).await.expect(201);
        (users, slowest) = (users + 1, slowest.max(began.elapsed()));
    }
    assert!(slowest < FROM_THE_LEDGER, "the answer took {slowest:?}");
    log.deliver_again().await;
    log.drained().await;
    assert_eq!((records.count("users").await, records.count("operations").await), (users, users));
}

#[tokio::test]
async fn an_outcome_that_was_sent_and_lost_is_asked_for() {
    let system = System::plan(Database::Sqlite).proxied().start().await;
    let (log, records, scim) = (Log::of(&system).await, Records::of(&system).await, system.scim());
    let link = system.ingresses[0].broker_link();
    // The worker has sent it and acknowledged its message: nothing is delivered again.
    link.cut_before(Towards::Client, b".outcome");
    let created = scim.post("/Users", &user("ann")).await.expect(201);
    assert_eq!(link.trips(), 1, "the outcome was cut off");
    assert_eq!(created.body["userName"], "ann");
    log.drained().await;
    assert_eq!((records.count("users").await, records.count("operations").await), (1, 1));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_has_one_effect_and_the_right_answer() {
    let system = System::plan(Database::Postgresql).proxied().start().await;
    let (log, records, scim) = (Log::of(&system).await, Records::of(&system).await, system.scim());
    let link = system.workers[0].database_link();
    let began = Instant::now();
    // A group: what writes users alone needs no COMMIT, see `at_once` of the worker's tests.
    link.cut_before(Towards::Client, COMMIT_ANSWER);
    let created = scim.post("/Groups", &group("Staff", &[])).await.expect(201);
    assert_eq!(link.trips(), 1, "the answer to the commit was cut off");
    link.cut_before(Towards::Client, COMMIT_ANSWER);
    let (path, name) = (format!("/Groups/{}", created.id()), json!("People"));
    scim.patch(&path, json!([{ "op": "replace", "path": "displayName", "value": name }])).await.expect(204);
    assert_eq!(link.trips(), 2, "the answer to the commit was cut off");
    assert!(began.elapsed() < FROM_THE_LEDGER, "{:?}", began.elapsed());

    let read = scim.get(&path).await.expect(200);
    assert_eq!((&read.body["displayName"], &read.body["meta"]["version"]), (&name, &json!("W/\"2\"")));
    log.drained().await;
    assert_eq!((records.count("groups").await, records.count("operations").await), (1, 2));
    assert_eq!((records.count("settled_copies").await, records.count("dead_letters").await), (0, 0));
}
