//! Workers that die over a command: it is condemned once that is proven, and nobody else is.

use std::time::Duration;

use protocol::message::lane::Lane;
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::log::Log;
use super::message::{Message, new_user};
use super::records::Records;
use crate::harness::scim::user;
use crate::harness::{Database, System, on_both};

/// Workers of an innocent chain that are killed.
const KILLS: usize = 5;
/// How long nobody can write to the table of attempts.
const LOCKED: Duration = Duration::from_secs(4);
/// At which transaction of its own each of them dies.
const DIES_AT: usize = 9;

on_both!(five_kills_over_a_hot_chain_condemn_nobody);
async fn five_kills_over_a_hot_chain_condemn_nobody(database: Database) {
    let system = System::plan(database).worker_arguments(&["--batch", "1"]).start().await;
    let (log, records, ann) = (Log::of(&system).await, Records::of(&system).await, new_user());
    let worker = &system.workers[0];
    worker.kill().await;
    let titles = (2..=50).map(|title| Message::set_title(ann, &format!("title {title}")));
    let chain: Vec<Message> = std::iter::once(Message::create(ann, "ann")).chain(titles).collect();
    log.append_chain(&chain).await;

    let mut applied = 0;
    for _ in 0..KILLS {
        worker.arm(&format!("worker.locked=abort@{DIES_AT}"));
        worker.start().await;
        assert_eq!(worker.end().await, Some(super::ABORTED));
        let before = std::mem::replace(&mut applied, records.count("operations").await);
        assert!(before < applied && applied < 50, "killed in the middle of the chain");
        log.deliver_again().await;
    }
    worker.disarm();
    worker.start().await;
    log.drained().await;
    let versions: Vec<i64> = records.column("SELECT version FROM operations ORDER BY sequence").await;
    assert_eq!(versions, (1..=50).collect::<Vec<_>>(), "each applied once, in the order of the log");
    assert_eq!((records.count("dead_letters").await, records.count("attempts").await), (0, 0));
}

on_both!(what_crashes_three_workers_is_condemned_alone);
async fn what_crashes_three_workers_is_condemned_alone(database: Database) {
    let system = System::start(database).await;
    let (log, records, ann) = (Log::of(&system).await, Records::of(&system).await, new_user());
    log.append(&Message::create(ann, "ann"), 0).await;
    log.drained().await;
    let worker = &system.workers[0];
    worker.kill().await;
    // Every worker dies over the first; the second is with it at each of its deliveries.
    let deadly = Message::set_title(ann, "deadly");
    let behind = Message::set_title(ann, "innocent");
    log.append_chain(&[deadly.clone(), behind]).await;

    worker.arm("worker.decided=abort");
    // At first it is one of a batch, then a suspect, then tried alone three times.
    for _ in 0..5 {
        worker.start().await;
        assert_eq!(worker.end().await, Some(super::ABORTED));
        log.deliver_again().await;
    }
    worker.disarm();
    worker.start().await;
    log.drained().await;
    let dead: Vec<uuid::Uuid> = records.column("SELECT operation FROM dead_letters").await;
    assert_eq!(dead, [deadly.envelope.operation.0]);
    let states: Vec<String> = records.column("SELECT state FROM operations ORDER BY sequence").await;
    assert_eq!(states, ["applied", "dead", "applied"]);
    let user = system.scim().get(&format!("/Users/{ann}")).await.expect(200);
    assert_eq!(user.body["title"], "innocent");
}

#[tokio::test]
async fn a_suspect_whose_attempt_cannot_be_recorded_keeps_nobody_else_waiting() {
    let system = System::start(Database::Postgresql).await;
    let (log, records, ann) = (Log::of(&system).await, Records::of(&system).await, new_user());
    system.workers[0].kill().await;
    log.append(&Message::create(ann, "ann"), 0).await;
    for _ in 0..2 {
        log.take_and_vanish(Lane::Interactive, 1).await;
        log.deliver_again().await;
    }
    let locked = system.sql().await.begin().await.unwrap();
    locked.execute_unprepared("LOCK TABLE attempts IN EXCLUSIVE MODE").await.unwrap();
    system.workers[0].start().await;
    let until = tokio::time::Instant::now() + LOCKED;
    let mut strangers = 0;
    while tokio::time::Instant::now() < until {
        strangers += 1;
        system.scim().post("/Users", &user(&format!("stranger{strangers}"))).await.expect(201);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    system.scim().get(&format!("/Users/{ann}")).await.expect(404);
    locked.rollback().await.unwrap();
    log.drained().await;
    system.scim().get(&format!("/Users/{ann}")).await.expect(200);
    assert_eq!((records.count("attempts").await, records.count("dead_letters").await), (0, 0));
    assert!(!system.logs().contains("pulling nothing"), "{}", system.logs());
}
