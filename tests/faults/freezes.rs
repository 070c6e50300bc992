//! A worker that stands still inside a transaction, with rows locked, and later goes on as if nothing had been.

use std::time::{Duration, Instant};

use serde_json::json;

use super::PULL_EXPIRES;
use super::log::Log;
use super::records::Records;
use crate::harness::scim::{Answer, Scim, user};
use crate::harness::{Database, System, eventually};

/// PostgreSQL ends a transaction that stands still after 3 seconds; a provider would have been told 503 after 50.
const FREED: Duration = Duration::from_secs(15);

#[tokio::test]
async fn others_go_on_while_a_worker_is_frozen_in_a_transaction() {
    let mut system = System::start(Database::Postgresql).await;
    let (scim, ann) = (system.scim(), person(&system).await);
    let first = freeze_over(&system, set_title(scim.clone(), ann.clone(), "first")).await;
    let began = Instant::now();
    system.add_worker().await;
    // What the frozen worker has asked the broker for is not sent to it any more.
    tokio::time::sleep(PULL_EXPIRES.saturating_sub(began.elapsed())).await;
    let second = set_title(scim.clone(), ann.clone(), "second");
    let bob = async {
        scim.post("/Users", &user("bob")).await.expect(201);
        Instant::now()
    };
    let second = async { (second.await, Instant::now()) };
    let ((second, row_was_free), other_row_was_written) = futures::join!(second, bob);
    assert_eq!(second.expect(200).body["title"], "second");
    assert!(began.elapsed() < FREED, "the locked row was free after {:?}", began.elapsed());
    assert!(other_row_was_written < row_was_free, "another row had to wait for the locked one");
    assert_eq!(first.await.unwrap().expect(200).body["title"], "first");

    system.workers[0].resume();
    assert_as_if_nothing_had_been(&system, &ann).await;
}

#[tokio::test]
async fn a_worker_frozen_with_the_write_lock_of_sqlite_goes_on_where_it_was() {
    let mut system = System::start(Database::Sqlite).await;
    let (log, scim, ann) = (Log::of(&system).await, system.scim(), person(&system).await);
    let first = freeze_over(&system, set_title(scim.clone(), ann.clone(), "first")).await;
    log.deliver_again().await;
    system.add_worker().await;
    let thaw = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        system.workers[0].resume();
    };
    let second = set_title(scim.clone(), ann.clone(), "second");
    let (second, bob, ()) = futures::join!(second, scim.post_owned("/Users", user("bob")), thaw);
    assert_eq!(second.expect(200).body["title"], "second");
    bob.expect(201);
    assert_eq!(first.await.unwrap().expect(200).body["title"], "first");
    assert_as_if_nothing_had_been(&system, &ann).await;
}

/// A user who was there before; the first worker stands still at the next change.
async fn person(system: &System) -> String {
    let id = system.scim().post("/Users", &user("ann")).await.expect(201).id();
    system.workers[0].kill().await;
    // Until it is frozen: it wakes long after this.
    system.workers[0].arm("worker.ledger.written=sleep(2000)");
    system.workers[0].start().await;
    id
}

/// Sends a change, and freezes the worker that applies it: row locked, ledger row written, nothing committed.
async fn freeze_over(
    system: &System,
    change: impl Future<Output = Answer> + Send + 'static,
) -> tokio::task::JoinHandle<Answer> {
    let records = Records::of(system).await;
    let change = tokio::spawn(change);
    eventually("a transaction is open", async || records.are_being_written().await.then_some(())).await;
    system.workers[0].pause();
    change
}

/// With another address in place of the one before, so that it takes a transaction with several statements.
async fn set_title(scim: Scim, user: String, title: &str) -> Answer {
    let address = json!({ "value": format!("{title}@example.com"), "type": "work", "primary": true });
    let operations = json!([
        { "op": "replace", "path": "title", "value": title },
        { "op": "replace", "path": "emails", "value": [address] },
    ]);
    scim.patch(&format!("/Users/{user}"), operations).await
}

/// Ann's two titles came in order, each once; what the frozen worker had begun changed nothing when it woke.
async fn assert_as_if_nothing_had_been(system: &System, ann: &str) {
    let (log, records) = (Log::of(system).await, Records::of(system).await);
    log.drained().await;
    let third = set_title(system.scim(), ann.to_owned(), "third").await.expect(200);
    assert_eq!((&third.body["title"], &third.body["meta"]["version"]), (&json!("third"), &json!("W/\"4\"")));
    let versions = "SELECT version FROM operations WHERE kind = 'patch' ORDER BY sequence";
    assert_eq!(records.column::<i64>(versions).await, [2, 3, 4]);
    assert_eq!((records.count("dead_letters").await, records.count("settled_copies").await), (0, 0));
}
