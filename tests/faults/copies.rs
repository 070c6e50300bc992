//! One operation stored more than once, or too late: every sequence is settled, the operation has one effect.

use protocol::message::lane::Lane;
use rosterd::servers::nats::LogSync;
use serde_json::json;

use super::log::Log;
use super::message::{Message, new_user};
use super::records::Records;
use crate::harness::{Database, System, on_both};

on_both!(an_operation_stored_again_after_a_restart_of_the_broker_has_one_effect);
async fn an_operation_stored_again_after_a_restart_of_the_broker_has_one_effect(database: Database) {
    // The copy and its successor in transactions of their own.
    let plan = System::plan(database).own_broker(LogSync::Always).worker_arguments(&["--batch", "1"]);
    let system = plan.start().await;
    let (records, ann) = (Records::of(&system).await, new_user());
    let create = Message::create(ann, "ann");
    let log = Log::of(&system).await;
    assert_eq!(log.append(&create, 0).await, 1);
    log.drained().await;
    system.workers[0].kill().await;
    system.broker().node().restart().await;

    // What the broker remembered of a message that has left the log is gone: it takes the operation again.
    let log = Log::of(&system).await;
    assert_eq!(log.append(&create, 0).await, 2);
    assert_eq!(log.append(&Message::set_title(ann, "Dr.").in_lane(Lane::Bulk), 2).await, 3);
    system.workers[0].start().await;
    records.promptly(2).await;
    log.drained().await;
    assert_eq!(records.settled_copies().await, ["2 extra-copy"]);
    let user = system.scim().get(&format!("/Users/{ann}")).await.expect(200);
    assert_eq!((&user.body["title"], &user.body["meta"]["version"]), (&json!("Dr."), &json!("W/\"2\"")));
    assert_eq!(records.count("dead_letters").await, 0);
}

on_both!(what_is_stored_after_its_deadline_is_settled_and_never_applied);
async fn what_is_stored_after_its_deadline_is_settled_and_never_applied(database: Database) {
    let system = System::start(database).await;
    let (log, records, ann) = (Log::of(&system).await, Records::of(&system).await, new_user());
    log.append(&Message::create(ann, "ann"), 0).await;
    log.drained().await;
    system.workers[0].kill().await;

    // Three publishes that a client library reported as failed, and stored long after their senders had given up.
    let late: Vec<Message> = ["a", "b", "c"].map(|title| Message::set_title(ann, title)).into();
    let in_time = Message::set_title(ann, "Dr.");
    let chain: Vec<Message> = late.iter().cloned().map(Message::too_late).chain([in_time]).collect();
    assert_eq!(log.append_chain(&chain).await, [2, 3, 4, 5]);
    system.workers[0].start().await;
    records.promptly(2).await;
    log.drained().await;
    assert_eq!(records.settled_copies().await, ["2 late", "3 late", "4 late"]);
    let path = format!("/Users/{ann}");
    assert_eq!(system.scim().get(&path).await.expect(200).body["title"], "Dr.");

    // The late copies settled their sequences, not their operations: the same operation in time is applied.
    log.append(&late[0].clone().under_another_id(), 0).await;
    log.drained().await;
    assert_eq!(system.scim().get(&path).await.expect(200).body["title"], "a");
    assert_eq!((records.count("operations").await, records.count("dead_letters").await), (3, 0));
}
