//! One command that has to wait keeps nobody else waiting.

use std::time::{Duration, Instant};

use futures::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use serde_json::{Value, json};

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System};

/// How long the row is locked.
const LOCKED: Duration = Duration::from_secs(8);
/// How often a stranger writes.
const PACE: Duration = Duration::from_millis(25);
/// What 99 of 100 strangers wait at most.
const BOUND: Duration = Duration::from_millis(250);
/// What a worker writes to its log when it closes the lanes.
const CLOSED: &str = "pulling nothing";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_locked_row_keeps_no_stranger_waiting() {
    let system = System::start_with(Database::Postgresql, 1, 2).await;
    let scim = system.scim();
    let locked = scim.post("/Users", &user("locked")).await.expect(201).id();
    let creates = (0..20).map(|n| scim.post_owned("/Users", user(&format!("stranger{n}"))));
    let strangers: Vec<String> = join_all(creates).await.into_iter().map(|answer| answer.expect(201).id()).collect();
    let before = percentile(write_at_a_pace(&scim, &strangers, Duration::from_secs(2)).await, 99);

    let lock = lock(&system, "SELECT id FROM users WHERE user_name = 'locked' FOR UPDATE").await;
    let waiting = (0..5).map(|n| {
        let (scim, path) = (scim.clone(), format!("/Users/{locked}"));
        tokio::spawn(async move {
            tokio::time::sleep(n * LOCKED / 10).await;
            scim.patch(&path, replace("title", &json!(format!("title {n}")))).await.status
        })
    });
    let waiting: Vec<_> = waiting.collect();
    let (writes, deactivations) = futures::join!(
        write_at_a_pace(&scim, &strangers[..15], LOCKED),
        deactivate_at_a_pace(&scim, &strangers[15..], LOCKED)
    );
    lock.rollback().await.unwrap();
    let released = Instant::now();
    for answer in waiting {
        assert_eq!(answer.await.unwrap(), 200);
    }
    assert!(released.elapsed() < Duration::from_secs(5), "{:?}", released.elapsed());
    assert_eq!(scim.get(&format!("/Users/{locked}")).await.body["title"], "title 4");

    let (p99, slowest) = (percentile(writes, 99), percentile(deactivations, 100));
    eprintln!("strangers' p99: {before:?} before, {p99:?} meanwhile; slowest deactivation {slowest:?}");
    assert!(p99 < BOUND.max(3 * before), "{p99:?}, before {before:?}");
    assert!(slowest < 2 * BOUND.max(3 * before), "{slowest:?}");
    assert!(!system.logs().contains(CLOSED), "{}", system.logs());
    assert_eq!(system.rosterd_json(&["dead-letters", "list"]).await["total"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deactivation_finds_a_slot_when_all_others_are_taken() {
    let system = System::plan(Database::Postgresql).worker_arguments(&["--slots", "2"]).start().await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    let sql = system.sql().await;
    for statement in [
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NEW; END $$",
        "CREATE TRIGGER slow BEFORE INSERT ON users FOR EACH ROW WHEN (NEW.user_name LIKE 'slow%') EXECUTE FUNCTION slow()",
    ] {
        sql.execute_unprepared(statement).await.unwrap();
    }
    let mut slow = Vec::new();
    for n in 0..4 {
        let scim = scim.clone();
        slow.push(tokio::spawn(async move { scim.post("/Users", &user(&format!("slow{n}"))).await.status }));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let began = Instant::now();
    scim.patch(&format!("/Users/{id}"), replace("active", &json!(false))).await.expect(200);
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    for create in slow {
        assert_eq!(create.await.unwrap(), 201);
    }
}

#[tokio::test]
async fn a_database_to_which_somebody_else_writes_is_waited_for() {
    let system = System::start(Database::Sqlite).await;
    let scim = system.scim();
    let sql = system.sql().await;
    // One connection, so that the lock is its own.
    let transaction = sql.begin().await.unwrap();
    transaction.execute_unprepared("UPDATE workspaces SET name = name").await.unwrap();
    let create = scim.post_owned("/Users", user("ann"));
    let release = async {
        // Longer than SQLite waits by itself.
        tokio::time::sleep(Duration::from_millis(6500)).await;
        transaction.rollback().await.unwrap();
    };
    let (created, ()) = futures::join!(create, release);
    created.expect(201);
    assert!(!system.logs().contains(CLOSED), "{}", system.logs());
}

/// A transaction of somebody else.
async fn lock(system: &System, sql: &str) -> DatabaseTransaction {
    let transaction = system.sql().await.begin().await.unwrap();
    transaction.execute_unprepared(sql).await.unwrap();
    transaction
}

/// One change after the other begins, whether or not those before it have ended; how long each took.
async fn write_at_a_pace(scim: &Scim, ids: &[String], during: Duration) -> Vec<Duration> {
    let mut writes = Vec::new();
    let until = Instant::now() + during;
    for (n, id) in ids.iter().cycle().enumerate() {
        if Instant::now() >= until {
            break;
        }
        let (scim, path) = (scim.clone(), format!("/Users/{id}"));
        writes.push(tokio::spawn(async move {
            let began = Instant::now();
            scim.patch(&path, replace("title", &json!(format!("title {n}")))).await.expect(200);
            began.elapsed()
        }));
        tokio::time::sleep(PACE).await;
    }
    join_all(writes).await.into_iter().map(Result::unwrap).collect()
}

async fn deactivate_at_a_pace(scim: &Scim, ids: &[String], during: Duration) -> Vec<Duration> {
    let mut took = Vec::new();
    for id in ids {
        let began = Instant::now();
        let off = scim.patch(&format!("/Users/{id}"), replace("active", &json!(false))).await;
        assert_eq!(off.expect(200).body["active"], false);
        took.push(began.elapsed());
        tokio::time::sleep(during / u32::try_from(ids.len()).unwrap()).await;
    }
    took
}

fn percentile(mut took: Vec<Duration>, percent: usize) -> Duration {
    took.sort_unstable();
    took[(took.len() * percent / 100).min(took.len() - 1)]
}

fn replace(path: &str, value: &Value) -> Value {
    json!([{ "op": "replace", "path": path, "value": value }])
}
