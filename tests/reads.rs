//! Reads are held as long as writes, and do not hang on one worker.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System, is_running, on_both};

/// 128 and SIGABRT.
const ABORTED: i32 = 134;

/// What reads may take while one of two workers is silent.
const P99: Duration = Duration::from_secs(2);

on_both!(reads_go_on_while_one_of_two_workers_is_frozen);
async fn reads_go_on_while_one_of_two_workers_is_frozen(database: Database) {
    let system = System::start_with(database, 1, 2).await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    let (freeze, readers) = (Duration::from_secs(10), 8);
    system.workers[0].pause();
    let until = Instant::now() + freeze;
    let readers = join_all((0..readers).map(|_| read_until(scim.clone(), format!("/Users/{id}"), until))).await;
    system.workers[0].resume();
    assert_quick(readers.concat());
    // What the worker finds when it wakes is old, and in nobody's way.
    assert_quick(read_until(scim, format!("/Users/{id}"), Instant::now() + Duration::from_secs(2)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_while_one_of_two_workers_has_no_database() {
    let system = System::plan(Database::Postgresql).proxied().workers(2).start().await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    system.workers[0].database_link().cut();
    let until = Instant::now() + Duration::from_secs(10);
    let readers = join_all((0..8).map(|_| read_until(scim.clone(), format!("/Users/{id}"), until))).await;
    assert_quick(readers.concat());
}

on_both!(a_read_that_its_worker_does_not_answer_is_answered_by_another);
async fn a_read_that_its_worker_does_not_answer_is_answered_by_another(database: Database) {
    let system = System::start_with(database, 1, 2).await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    let slow = &system.workers[0];
    slow.kill().await;
    slow.arm("worker.reply.before=sleep(30000)");
    slow.start().await;
    let until = Instant::now() + Duration::from_secs(4);
    assert_quick(read_until(scim, format!("/Users/{id}"), until).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_up_is_held_through_an_outage_of_the_database_as_a_create_is() {
    let system = System::plan(Database::Postgresql).proxied().start().await;
    let (scim, database) = (system.scim(), system.workers[0].database_link());
    scim.post("/Users", &user("ann")).await.expect(201);
    database.cut();
    let began = Instant::now();
    let outage = async {
        tokio::time::sleep(Duration::from_secs(22)).await;
        database.heal();
    };
    let (found, created, ()) =
        futures::join!(scim.find("/Users", "userName eq \"ann\""), scim.post_owned("/Users", user("bob")), outage);
    assert_eq!(found.len(), 1);
    created.expect(201);
    assert!(began.elapsed() < Duration::from_secs(30), "answered {:?} after the cut", began.elapsed());
}

on_both!(a_look_up_is_held_while_there_is_no_worker);
async fn a_look_up_is_held_while_there_is_no_worker(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    scim.post("/Users", &user("ann")).await.expect(201);
    system.workers[0].kill().await;
    let back = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        system.workers[0].start().await;
    };
    let (found, ()) = futures::join!(scim.find("/Users", "userName eq \"ann\""), back);
    assert_eq!(found.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_given_up_at_the_answer_deadline() {
    let system = System::start(Database::Sqlite).await;
    system.ingresses[0].kill().await;
    system.ingresses[0].set("ROSTERD_ANSWER_DEADLINE", "6");
    system.ingresses[0].start().await;
    let scim = system.scim();
    scim.get("/Users?count=0").await.expect(200);
    system.workers[0].pause();
    let began = Instant::now();
    scim.get("/Users?count=0").await.expect_error(503, None);
    let held = began.elapsed();
    assert!(held > Duration::from_secs(5) && held < Duration::from_secs(8), "held for {held:?}");
    system.workers[0].resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_hangs_ends_itself_and_one_that_was_only_frozen_does_not() {
    let system = System::start_with(Database::Sqlite, 1, 2).await;
    let (scim, hanging, frozen) = (system.scim(), &system.workers[0], &system.workers[1]);
    for worker in &system.workers {
        worker.kill().await;
        worker.set("ROSTERD_WATCHDOG", "2");
    }
    hanging.arm("worker.reply.before=hang");
    hanging.start().await;
    frozen.start().await;
    frozen.pause();
    let read = tokio::spawn(async move { scim.get("/Users?count=0").await });
    assert_eq!(hanging.end().await, Some(ABORTED));
    assert!(hanging.log().contains("this worker hangs"), "{}", hanging.log());
    tokio::time::sleep(Duration::from_secs(2)).await;
    frozen.resume();
    read.await.unwrap().expect(200);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(is_running(frozen.pid()), "{}", frozen.log());
}

/// Reads one after the other; how long each took.
async fn read_until(scim: Scim, path: String, until: Instant) -> Vec<Duration> {
    let mut took = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        scim.get(&path).await.expect(200);
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took
}

fn assert_quick(mut took: Vec<Duration>) {
    took.sort_unstable();
    let rank = |percent: usize| took[(took.len() * percent).div_ceil(100).saturating_sub(1)];
    let [p50, p99, most] = [50, 99, 100].map(rank);
    eprintln!("{} reads: p50 {p50:?}, p99 {p99:?}, at most {most:?}", took.len());
    assert!(p99 < P99, "{} reads: p50 {p50:?}, p99 {p99:?}, at most {most:?}", took.len());
}
