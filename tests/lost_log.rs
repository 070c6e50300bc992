//! A broker that comes back with less than it had: without its newest messages, as after a power failure with
//! `--log-sync interval`, or with none at all. What was answered stays true, and what comes later is not mistaken for
//! what came before.

use futures::future::join_all;
use rosterd::servers::nats::LogSync;
use serde_json::{Value, json};

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System, eventually, on_both};

/// What was answered before the loss.
struct Before {
    scim: Scim,
    /// Was given titles 0 to 29.
    busy: String,
    /// Was deactivated, under a number above all that the log has left.
    left: String,
}

async fn start(database: Database) -> System {
    System::plan(database).workers(2).own_broker(LogSync::Interval).start().await
}

async fn title(scim: &Scim, id: &str, title: usize) -> u16 {
    let change = json!([{ "op": "replace", "path": "title", "value": format!("title {title}") }]);
    scim.patch(&format!("/Users/{id}"), change).await.status
}

async fn set_active(scim: &Scim, id: &str, active: bool) -> Value {
    let change = json!([{ "op": "replace", "path": "active", "value": active }]);
    scim.patch(&format!("/Users/{id}"), change).await.expect(200).body["active"].clone()
}

/// Two people, one of whom is changed often while the other leaves.
async fn onboard(system: &System) -> Before {
    let scim = system.scim();
    let busy = scim.post("/Users", &user("busy")).await.expect(201).id();
    let left = scim.post("/Users", &user("left")).await.expect(201).id();
    Before { scim, busy, left }
}

impl Before {
    /// Titles from this one on, then a deactivation.
    async fn change(&self, first: usize) {
        for number in first..30 {
            assert_eq!(title(&self.scim, &self.busy, number).await, 200);
        }
        assert_eq!(set_active(&self.scim, &self.left, false).await, false);
    }

    /// Nothing that was answered is lost, and what is new takes effect.
    async fn check(&self, system: &System) {
        let shown = self.scim.get(&format!("/Users/{}", self.busy)).await.expect(200);
        assert_eq!(shown.body["title"], "title 29");
        assert_eq!(self.scim.get(&format!("/Users/{}", self.left)).await.expect(200).body["active"], false);
        // The fence of `active` goes by sequence: a lower one than the deactivation's would change nothing.
        assert_eq!(set_active(&self.scim, &self.left, true).await, true);
        for number in 100..110 {
            assert_eq!(title(&self.scim, &self.busy, number).await, 200);
        }
        let shown = self.scim.get(&format!("/Users/{}", self.busy)).await.expect(200);
        assert_eq!((&shown.body["title"], shown.header("etag")), (&json!("title 109"), "W/\"41\""));
        assert_eq!(self.scim.get("/Users?count=0").await.expect(200).body["totalResults"], 2);
        balanced(system).await;
    }
}

/// The log was renumbered once, and every message since is accounted for.
async fn balanced(system: &System) {
    eventually("the log is empty", async || (system.log().await.messages == 0).then_some(())).await;
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!((&balance["epoch"], &balance["missing"], &balance["at_rest"]), (&json!(1), &json!(0), &json!(true)));
    assert_eq!(system.rosterd_json(&["dead-letters", "list"]).await["total"], 0);
}

on_both!(a_log_that_lost_its_tail_loses_no_answered_write_and_confuses_no_later_one);
async fn a_log_that_lost_its_tail_loses_no_answered_write_and_confuses_no_later_one(database: Database) {
    let system = start(database).await;
    let before = onboard(&system).await;
    // A message that stays in the log, with others behind it that were settled before the loss.
    system.publish("cmd.bulk.acme.Users.0190a000-0000-7000-8000-000000000001", br#"{"v":99}"#).await;
    let stays = system.log().await.last_sequence;
    for number in 0..10 {
        assert_eq!(title(&before.scim, &before.busy, number).await, 200);
    }
    let broker = system.broker().node();
    // A stop in order writes down what has left the log.
    broker.terminate().await;
    broker.start_again().await;
    let snapshot = broker.snapshot();
    before.change(10).await;
    broker.kill().await;
    broker.put_back(&snapshot);
    broker.start_again().await;
    // Answered: the log has its new numbers.
    assert_eq!(set_active(&before.scim, &before.left, false).await, false);
    assert!(system.stream().await.delete_message(stays).await.unwrap());
    before.check(&system).await;
}

on_both!(a_log_that_lost_everything_loses_no_answered_write_and_confuses_no_later_one);
async fn a_log_that_lost_everything_loses_no_answered_write_and_confuses_no_later_one(database: Database) {
    let system = start(database).await;
    let before = onboard(&system).await;
    before.change(0).await;
    let broker = system.broker().node();
    broker.kill().await;
    broker.lose_everything();
    broker.start_again().await;
    before.check(&system).await;
}

#[tokio::test]
async fn a_log_that_was_deleted_under_its_workers_is_made_again() {
    let system = System::plan(Database::Sqlite).workers(2).start().await;
    let before = onboard(&system).await;
    before.change(0).await;
    let stream = system.namespace().command_stream();
    system.jetstream().await.delete_stream(stream).await.unwrap();
    before.check(&system).await;
}

on_both!(more_new_commands_than_were_lost_before_any_worker_looks_are_told_apart);
async fn more_new_commands_than_were_lost_before_any_worker_looks_are_told_apart(database: Database) {
    let system = start(database).await;
    let before = onboard(&system).await;
    let broker = system.broker().node();
    let snapshot = broker.snapshot();
    before.change(0).await;
    system.workers.iter().for_each(crate::harness::Part::pause);
    broker.kill().await;
    broker.put_back(&snapshot);
    broker.start_again().await;

    let names: Vec<String> = (0..50).map(|number| format!("new-{number}")).collect();
    let creates = join_all(names.iter().map(|name| before.scim.post_owned("/Users", user(name))));
    let resume = async {
        eventually("the log has reached beyond what SQL knows", async || {
            (system.log().await.last_sequence > 40).then_some(())
        })
        .await;
        system.workers.iter().for_each(crate::harness::Part::resume);
    };
    let (answers, ()) = futures::join!(creates, resume);
    for answer in answers {
        answer.expect(201);
    }
    assert_eq!(before.scim.get("/Users?count=0").await.expect(200).body["totalResults"], 52);
    assert_eq!(set_active(&before.scim, &before.left, true).await, true);
    balanced(&system).await;
}

#[tokio::test]
async fn commands_that_were_lost_before_a_worker_saw_them_are_sent_again() {
    let system = start(Database::Sqlite).await;
    let before = onboard(&system).await;
    let broker = system.broker().node();
    let snapshot = broker.snapshot();
    let stored = system.log().await.last_sequence;
    system.workers.iter().for_each(crate::harness::Part::pause);
    let names: Vec<String> = (0..10).map(|number| format!("new-{number}")).collect();
    let creates = join_all(names.iter().map(|name| before.scim.post_owned("/Users", user(name))));
    let loss = async {
        eventually("all are in the log", async || (system.log().await.last_sequence == stored + 10).then_some(()))
            .await;
        broker.kill().await;
        broker.put_back(&snapshot);
        broker.start_again().await;
        system.workers.iter().for_each(crate::harness::Part::resume);
    };
    let (answers, ()) = futures::join!(creates, loss);
    for answer in answers {
        answer.expect(201);
    }
    assert_eq!(before.scim.get("/Users?count=0").await.expect(200).body["totalResults"], 12);
}
