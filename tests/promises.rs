//! What was said stays true: what a 503 calls queued is applied, whoever waits hears when it was lost, and a full log
//! keeps room for those who lose access.

use std::time::Duration;

use futures::future::join_all;
use rosterd::servers::nats::LogSync;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::harness::scim::{Answer, user};
use crate::harness::{Database, Part, System, eventually, within};

/// The shortest that an ingress takes.
const ANSWER_DEADLINE: &str = "6";
/// What one ingress may have in the log of a workspace and lane.
const PLACES: usize = 128;
/// A log that is soon full, and so many creates are too many for it.
const LOG_MAX_BYTES: &str = "262144";
const TOO_MANY: usize = 110;
/// How long a create has to wait for room at least before anybody may give up.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn what_is_called_queued_is_applied_later() {
    let plan = System::plan(Database::Postgresql).ingress_setting("ROSTERD_ANSWER_DEADLINE", ANSWER_DEADLINE);
    let system = plan.proxied().start().await;
    let scim = system.scim();
    let ann = scim.post("/Users", &user("ann")).await.expect(201).id();
    // The worker lives, and reads in the log what it cannot apply.
    system.workers[0].database_link().cut();
    let (path, names) = (format!("/Users/{ann}"), names(20));
    let title = json!([{ "op": "replace", "path": "title", "value": "Dr." }]);
    let creates = join_all(names.iter().map(|name| scim.post_owned("/Users", user(name))));
    let (answers, changed) = futures::join!(creates, scim.patch(&path, title));
    assert!(
        answers
            .iter()
            .chain([&changed])
            .all(|answer| answer.status == 503 && answer.headers.contains_key("retry-after"))
    );
    assert!(answers.iter().any(is_queued), "nobody was told that it is queued: {:#}", answers[0].body);

    system.workers[0].database_link().heal();
    system.at_rest().await;
    for (name, answer) in names.iter().zip(&answers).filter(|(_, answer)| is_queued(answer)) {
        let found = scim.find("/Users", &format!("userName eq \"{name}\"")).await;
        assert_eq!(found.len(), 1, "{name}: {:#}", answer.body);
    }
    let shown = scim.get(&path).await.expect(200).body;
    assert!(!is_queued(&changed) || shown["title"] == "Dr.", "{:#}", changed.body);
}

#[tokio::test]
async fn those_who_wait_when_the_log_is_put_back_are_answered_and_their_places_are_free() {
    let plan = System::plan(Database::Postgresql).own_broker(LogSync::Interval);
    let system = plan.ingress_setting("ROSTERD_ANSWER_DEADLINE", "16").start().await;
    let scim = system.scim();
    scim.post("/Users", &user("first")).await.expect(201);
    system.at_rest().await;
    let (broker, stored) = (system.broker().node(), system.log().await.last_sequence);
    let snapshot = broker.snapshot();
    system.workers.iter().for_each(Part::pause);
    // Those who fill all places are told 503 before the loss; others wait behind them. No worker has read what they asked
    // for, so nobody is told that it is queued.
    let names = names(PLACES);
    let filling = join_all(names.iter().map(|name| scim.post_owned("/Users", user(name))));
    let loss = async {
        let all = stored + u64::try_from(PLACES).unwrap();
        eventually("all are in the log", async || (system.log().await.last_sequence >= all).then_some(())).await;
    };
    let (told, ()) = futures::join!(filling, loss);
    assert!(told.iter().all(|answer| answer.status == 503 && !is_queued(answer)), "{:#}", told[0].body);
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
    // What a 503 left open is there or can be created.
    for name in names {
        let answer = scim.post("/Users", &user(&name)).await;
        assert!([201, 409].contains(&answer.status), "{name}: {:#}", answer.body);
        assert_eq!(scim.find("/Users", &format!("userName eq \"{name}\"")).await.len(), 1, "{name}");
    }
}

#[tokio::test]
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
        sleep(Duration::from_millis(20) * u32::try_from(number).unwrap()).await;
        let mut body = user(name);
        // The small ones fill what the large ones leave.
        body["title"] = json!("x".repeat(if number % 2 == 0 { 4000 } else { 1 }));
        (scim.post("/Users", &body).await, began.elapsed())
    }));
    let (answers, thawed_at) = futures::join!(creates, deactivate_while_full(&system, &leavers, began));
    let waited = answers.iter().filter(|(_, at)| *at > thawed_at).count();
    println!("{waited} of {TOO_MANY} creates waited until {thawed_at:?}");
    for (answer, at) in answers {
        assert_eq!(answer.status, 201, "after {at:?}: {:#}", answer.body);
    }
    assert!(waited > 0, "the log was never full");
}

/// Once the log is full, everybody's access is taken away; then the worker goes on. When that was.
async fn deactivate_while_full(system: &System, leavers: &[String], began: Instant) -> Duration {
    let scim = system.scim();
    until_full(system).await;
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
    within(Duration::from_secs(15), "the log is full", async || {
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
