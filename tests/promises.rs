//! What was said stays true: what a 503 calls queued is applied, whoever waits hears when it was lost, and a full log
//! keeps room for those who lose access.

use std::time::Duration;

use futures::future::join_all;
use rosterd::servers::nats::LogSync;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::harness::scim::{Answer, Scim, user};
use crate::harness::{Database, Part, System, eventually, within};

/// The shortest that an ingress takes.
const ANSWER_DEADLINE: &str = "6";
/// What one ingress may have in the log of a workspace and lane.
const PLACES: usize = 128;
/// A log that is soon full, and so many creates are too many for it.
const LOG_MAX_BYTES: &str = "1048576";
const TOO_MANY: usize = 112;
/// How large most of them are; the last ones are small, and fit into what these leave.
const LARGE: usize = 11_000;
const SMALL_FROM: usize = 98;
/// As slowly that an ingress which looks at the log once a second sees in time that it fills.
const PACE: Duration = Duration::from_millis(100);
/// How long a create has to wait for room at least before anybody may give up.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_called_queued_is_applied_later() {
    futures::join!(Box::pin(queued(Database::Sqlite)), Box::pin(queued(Database::Postgresql)));
}

async fn queued(database: Database) {
    let plan = System::plan(database).ingress_setting("ROSTERD_ANSWER_DEADLINE", ANSWER_DEADLINE);
    let system = plan.start().await;
    let scim = system.scim();
    let ann = format!("/Users/{}", scim.post("/Users", &user("ann")).await.expect(201).id());
    // A worker reads everything, and cannot write it down.
    let sql = system.sql().await;
    let lock = sql.begin().await.unwrap();
    lock.execute_unprepared(match database {
        Database::Sqlite => "UPDATE workspaces SET id = id",
        Database::Postgresql => "LOCK TABLE users, operations IN EXCLUSIVE MODE",
    })
    .await
    .unwrap();
    let held = all_refused(&scim, "held", &ann).await;
    // Nobody reads it.
    system.workers[0].kill().await;
    lock.rollback().await.unwrap();
    let unread = all_refused(&scim, "unread", &ann).await;
    system.workers[0].start().await;
    system.at_rest().await;
    println!("called queued on {database:?}: {} of a worker, {} of nobody", held.len(), unread.len());
    for name in held.iter().chain(&unread) {
        assert_eq!(scim.find("/Users", &format!("userName eq \"{name}\"")).await.len(), 1, "{name} was queued");
    }
}

/// Creates and a change that are answered 503; the names of those that were called queued.
async fn all_refused(scim: &Scim, name: &str, changed: &str) -> Vec<String> {
    let names: Vec<String> = names(20).into_iter().map(|person| format!("{name}-{person}")).collect();
    let title = json!([{ "op": "replace", "path": "title", "value": name }]);
    let creates = join_all(names.iter().map(|name| scim.post_owned("/Users", user(name))));
    let (answers, changed) = futures::join!(creates, scim.patch(changed, title));
    for answer in answers.iter().chain([&changed]) {
        answer.expect_error(503, None);
        assert!(answer.headers.contains_key("retry-after"), "{:?}", answer.headers);
    }
    names.into_iter().zip(answers).filter(|(_, answer)| is_queued(answer)).map(|(name, _)| name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_wait_when_the_log_is_put_back_are_answered_and_their_places_are_free() {
    let plan = System::plan(Database::Postgresql).own_broker(LogSync::Interval);
    let system = plan.ingress_setting("ROSTERD_ANSWER_DEADLINE", "16").start().await;
    let scim = system.scim();
    scim.post("/Users", &user("first")).await.expect(201);
    system.at_rest().await;
    let (broker, stored) = (system.broker().node(), system.log().await.last_sequence);
    let snapshot = broker.snapshot();
    system.workers.iter().for_each(Part::pause);
    // Those who fill all places are told 503 before the loss; others wait behind them.
    let names = names(PLACES);
    let filling = join_all(names.iter().map(|name| scim.post_owned("/Users", user(name))));
    let loss = async {
        let all = stored + u64::try_from(PLACES).unwrap();
        eventually("all are in the log", async || (system.log().await.last_sequence >= all).then_some(())).await;
    };
    let (told, ()) = futures::join!(filling, loss);
    for answer in told {
        answer.expect_error(503, None);
    }
    let waiting = join_all(["a", "b", "c"].map(|name| scim.post_owned("/Users", user(name))));
    let loss = async {
        // They have come, and wait for a place.
        sleep(Duration::from_secs(1)).await;
        broker.kill().await;
        broker.put_back(&snapshot);
        broker.start_again().await;
        system.workers.iter().for_each(Part::resume);
    };
    let (waited, ()) = futures::join!(waiting, loss);
    for answer in waited {
        answer.expect(201);
    }
    let began = Instant::now();
    scim.post("/Users", &user("later")).await.expect(201);
    println!("the next create took {:?}", began.elapsed());
    system.at_rest().await;
    // Whoever was told that it is queued was told so before the loss; it is there or can be created.
    for name in names {
        let answer = scim.post("/Users", &user(&name)).await;
        assert!([201, 409].contains(&answer.status), "{name}: {:#}", answer.body);
        assert_eq!(scim.find("/Users", &format!("userName eq \"{name}\"")).await.len(), 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_has_room_for_deactivations_and_creates_wait() {
    let plan = System::plan(Database::Sqlite).worker_arguments(&["--log-max-bytes", LOG_MAX_BYTES]);
    let system = plan.start().await;
    let scim = system.scim();
    let leavers = ["ann", "bob", "cid", "dan"].map(|name| scim.post_owned("/Users", user(name)));
    let leavers = join_all(leavers).await.into_iter().map(|leaver| format!("/Users/{}", leaver.expect(201).id()));
    let leavers: Vec<String> = leavers.collect();
    system.at_rest().await;
    system.workers[0].pause();
    let began = Instant::now();
    let names = names(TOO_MANY);
    // One after the other, as a provider comes.
    let creates = join_all(names.iter().enumerate().map(async |(number, name)| {
        sleep(PACE * u32::try_from(number).unwrap()).await;
        let mut body = user(name);
        body["title"] = json!("x".repeat(if number < SMALL_FROM { LARGE } else { 1 }));
        (scim.post("/Users", &body).await, began.elapsed())
    }));
    let (answers, thawed_at) = futures::join!(creates, deactivate_while_full(&system, &leavers, began));
    let waited = answers.iter().filter(|(_, at)| *at > thawed_at).count();
    println!("{waited} of {TOO_MANY} creates waited until {thawed_at:?}");
    for (answer, at) in answers {
        assert_eq!(answer.status, 201, "after {at:?}: {:#}", answer.body);
    }
}

/// Once the log is full, everybody's access is taken away; then the worker goes on. When that was.
async fn deactivate_while_full(system: &System, leavers: &[String], began: Instant) -> Duration {
    let scim = system.scim();
    until_full(system).await;
    let bytes = system.stream().await.cached_info().state.bytes;
    assert!(bytes > LOG_MAX_BYTES.parse::<u64>().unwrap() * 8 / 10, "the log has only {bytes} bytes");
    let before = system.log().await.messages;
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    let deactivations = join_all(leavers.iter().map(|path| scim.patch(path, off.clone())));
    let thaw = async {
        let wanted = before + leavers.len() as u64;
        within(Duration::from_secs(5), "the deactivations are in the log", async || {
            (system.log().await.messages >= wanted).then_some(())
        })
        .await;
        sleep(PATIENCE).await;
        system.workers[0].resume();
        began.elapsed()
    };
    let (answers, thawed_at) = futures::join!(deactivations, thaw);
    for answer in answers {
        assert_eq!(answer.expect(200).body["active"], false);
    }
    thawed_at
}

/// The log has not taken anything for a while, and is far from empty.
async fn until_full(system: &System) {
    let (mut last, mut since) = (0, Instant::now());
    within(Duration::from_secs(30), "the log is full", async || {
        let now = system.log().await.messages;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        (now > 20 && since.elapsed() > Duration::from_millis(700)).then_some(())
    })
    .await;
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("person-{number}")).collect()
}

fn is_queued(answer: &Answer) -> bool {
    answer.status == 503 && answer.body["detail"].as_str().is_some_and(|detail| detail.contains("queued"))
}
