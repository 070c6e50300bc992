//! Chains whose commands are in different hands: whoever holds a successor brings its predecessors along.

use std::time::{Duration, Instant};

use protocol::message::lane::Lane;
use serde_json::json;

use super::PULL_EXPIRES;
use super::log::Log;
use super::message::{Message, new_user};
use super::records::Records;
use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System, on_both};

/// How long a request of another workspace may take beside the work of one.
const SERVED: Duration = Duration::from_secs(1);
/// Requests of another workspace that are answered meanwhile, where all of it takes long.
const IN_TURN: i64 = 8;

on_both!(a_worker_killed_with_the_head_of_a_chain_holds_up_nobody);
async fn a_worker_killed_with_the_head_of_a_chain_holds_up_nobody(database: Database) {
    let mut system = System::start(database).await;
    let (log, records, ann) = (Log::of(&system).await, Records::of(&system).await, new_user());
    system.workers[0].kill().await;
    system.workers[0].arm("worker.delivered=sleep(60000)");
    system.workers[0].start().await;
    let head = log.append(&Message::create(ann, "ann"), 0).await;
    log.in_hands(Lane::Interactive, 1).await;
    tokio::time::sleep(PULL_EXPIRES).await;
    system.add_worker().await;
    system.add_worker().await;

    let mut last = head;
    for title in 1..=20 {
        last = log.append(&Message::set_title(ann, &format!("title {title}")), last).await;
    }
    system.workers[0].kill().await;
    records.promptly(21).await;
    let versions: Vec<i64> = records.column("SELECT version FROM operations ORDER BY sequence").await;
    assert_eq!(versions, (1..=21).collect::<Vec<_>>(), "in the order of the log");
    // The head is delivered once more, and finds the ledger.
    log.drained().await;
    let user = system.scim().get(&format!("/Users/{ann}")).await.expect(200);
    assert_eq!((&user.body["title"], &user.body["meta"]["version"]), (&json!("title 20"), &json!("W/\"21\"")));
}

on_both!(commands_behind_bulk_work_that_nobody_reaches_hold_up_no_other_workspace);
async fn commands_behind_bulk_work_that_nobody_reaches_hold_up_no_other_workspace(database: Database) {
    // Small transactions, so that a turn is short beside all of the work on any machine.
    let system = System::plan(database).worker_arguments(&["--batch", "32"]).start().await;
    let globex = another_workspace(&system).await;
    let (log, records) = (Log::of(&system).await, Records::of(&system).await);
    system.workers[0].kill().await;
    let users: Vec<_> = (0..1000).map(|_| new_user()).collect();
    let create = |(n, user): (usize, &_)| (Message::create(*user, &format!("user {n}")).in_lane(Lane::Bulk), 0);
    let bulk = log.append_all(&users.iter().enumerate().map(create).collect::<Vec<_>>()).await;
    log.take_and_vanish(Lane::Bulk, bulk.len()).await;
    let title = |(user, predecessor): (&_, &u64)| (Message::set_title(*user, "Dr."), *predecessor);
    log.append_all(&users.iter().zip(&bulk).map(title).collect::<Vec<_>>()).await;

    system.workers[0].start().await;
    let backlog = Instant::now();
    let (mut requests, mut slowest) = (0, Duration::ZERO);
    while records.count("operations").await < 2000 + requests {
        let began = Instant::now();
        globex.post("/Users", &user(&format!("globex {requests}"))).await.expect(201);
        (requests, slowest) = (requests + 1, slowest.max(began.elapsed()));
    }
    let all = backlog.elapsed();
    println!("{requests} requests of another workspace, the slowest {slowest:?}, beside {all:?} of work");
    // Where all of it takes long, because the machine is busy with other things: at least they had their turns.
    let in_turn = requests >= IN_TURN && slowest < 5 * SERVED;
    assert!(requests > 0 && (slowest < SERVED || in_turn), "{requests} in {all:?}, the slowest {slowest:?}");
    let behind = "SELECT COUNT(*) FROM users WHERE workspace = 'acme' AND version = 2";
    assert_eq!(records.value::<i64>(behind).await, 1000, "each title after its create");
    assert_eq!(records.count("dead_letters").await, 0);
}

/// The workspace `globex` as its provider sees it.
async fn another_workspace(system: &System) -> Scim {
    system.rosterd(&["workspace", "create", "globex", "--name", "Globex"]).await.expect_success();
    let enabled = system.rosterd_json(&["workspace", "enable", "globex"]).await;
    let base_url = system.base_urls()[0].replace("acme", "globex");
    Scim::new(base_url, enabled["token"].as_str().unwrap())
}
