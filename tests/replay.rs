//! Dead letters from their death to their replay, as an operator lives through it.

use futures::StreamExt;
use protocol::id::ResourceId;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::faults::ABORTED;
use crate::faults::log::Log;
use crate::faults::message::{Message, new_user};
use crate::faults::records::Records;
use crate::harness::scim::user;
use crate::harness::{Database, System, eventually, on_both};

/// Creates of which nothing is known to be wrong.
const GOOD: usize = 1_947;
/// Creates that the database refuses.
const REFUSED: usize = 30;
/// Changes that the database refuses, and that are overtaken by newer ones before they are replayed.
const STALE: usize = 3;
/// Messages that nobody can read.
const UNREADABLE: usize = 16;

/// From now on the database refuses names that begin with `evil`, or does so no more.
async fn refuse(system: &System, refuses: bool) {
    let sql = system.sql().await;
    let statement = match (sql.get_database_backend(), refuses) {
        (sea_orm::DbBackend::Postgres, true) => {
            "ALTER TABLE users ADD CONSTRAINT refused_name CHECK (user_name NOT LIKE 'evil%')"
        }
        (sea_orm::DbBackend::Postgres, false) => "ALTER TABLE users DROP CONSTRAINT refused_name",
        (_, true) => {
            "CREATE TRIGGER refused_name BEFORE INSERT ON users WHEN NEW.user_name LIKE 'evil%' \
             BEGIN SELECT RAISE(ABORT, 'no'); END"
        }
        (_, false) => "DROP TRIGGER refused_name",
    };
    sql.execute_unprepared(statement).await.unwrap();
}

/// A command that every worker dies over, until it is condemned.
async fn crash_workers(system: &System, log: &Log) -> ResourceId {
    let (worker, deadly) = (&system.workers[0], new_user());
    worker.kill().await;
    log.append(&Message::create(deadly, "deadly"), 0).await;
    worker.arm("worker.decided=abort");
    for _ in 0..5 {
        worker.start().await;
        assert_eq!(worker.end().await, Some(ABORTED));
        log.deliver_again().await;
    }
    worker.disarm();
    worker.start().await;
    log.drained().await;
    deadly
}

/// Users whose renaming is refused; then they get a title, which is accepted later.
async fn overtake(system: &System) -> Vec<String> {
    let (scim, mut stale) = (system.scim(), Vec::new());
    for number in 0..STALE {
        let id = scim.post("/Users", &user(&format!("stale-{number}"))).await.expect(201).id();
        stale.push(format!("/Users/{id}"));
    }
    refuse(system, true).await;
    for (number, path) in stale.iter().enumerate() {
        let rename = json!([{ "op": "replace", "path": "userName", "value": format!("evil-stale-{number}") }]);
        assert_eq!(scim.patch(path, rename).await.status, 500);
        scim.patch(path, json!([{ "op": "replace", "path": "title", "value": "newer" }])).await.expect(200);
    }
    stale
}

async fn watched(system: &System, replay: &str) -> Value {
    system.rosterd_json(&["replay", "watch", replay, "--once"]).await
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// Users whom the database takes, those that it refuses, and what nobody can read.
async fn publish(system: &System, log: &Log) {
    let names = (0..GOOD).map(|n| format!("good-{n}")).chain((0..REFUSED).map(|n| format!("evil-{n}")));
    let creates: Vec<_> = names.map(|name| (Message::create(new_user(), &name), 0)).collect();
    log.append_all(&creates).await;
    for _ in 0..UNREADABLE {
        system.publish("cmd.bulk.acme.Users.01900000-0000-7000-8000-00000000dead", b"not an envelope").await;
    }
}

/// The list groups three causes, one of them is shown, and the balance counts them.
async fn tells_why(system: &System) {
    let listed = system.rosterd_json(&["dead-letters", "list"]).await;
    let causes: Vec<_> =
        listed["causes"].as_array().unwrap().iter().map(|one| (one["cause"].clone(), count(&one["count"]))).collect();
    assert_eq!(listed["total"], 50, "{:#}", listed["causes"]);
    assert!(causes.contains(&(json!("undecodable"), 16)) && causes.contains(&(json!("crash"), 1)), "{causes:?}");
    let data: u64 = causes.iter().filter(|one| one.0 == "data").map(|one| one.1).sum();
    assert_eq!(data, 33, "{causes:?}");
    let creates = system.rosterd_json(&["dead-letters", "list", "error:data", "kind:create"]).await;
    let letter = creates["dead_letters"][0]["sequence"].to_string();
    let shown = system.rosterd(&["dead-letters", "show", &letter]).await.expect_success().stdout;
    assert!(
        shown.contains("\"e•••\"") && !shown.contains("evil-") && shown.contains("A replay would end: dead"),
        "{shown}"
    );
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!((&balance["missing"], &balance["workspaces"][0]["dead"]), (&json!(0), &json!(50)), "{balance:#}");
}

/// What the dry run says once the cause is repaired.
async fn dry_run(system: &System) -> String {
    refuse(system, false).await;
    let planned = system.rosterd_json(&["dead-letters", "replay", "workspace:acme", "--dry-run"]).await;
    let predicted = |end: Value| {
        planned["items"].as_array().unwrap().iter().filter(|item| item["prediction"]["end"] == end).count()
    };
    assert_eq!(predicted(json!("applied")), REFUSED, "{planned:#}");
    assert_eq!((predicted(json!("superseded")), predicted(json!("skipped"))), (STALE, UNREADABLE));
    assert_eq!(predicted(Value::Null), 1, "what crashed workers is not tried");
    planned["id"].as_str().unwrap().to_owned()
}

/// Replays a plan; the worker is killed midway.
async fn replay_killed(system: &System, records: &Records, plan: &str) {
    system
        .rosterd(&["dead-letters", "replay", "--plan", plan, "--rate", "15", "--reason", "repaired", "--as", "ann"])
        .await
        .expect_success();
    eventually("a part is applied", async || {
        (count(&watched(system, plan).await["ends"]["applied"]) >= 5).then_some(())
    })
    .await;
    system.workers[0].kill().await;
    let before = records.count("users").await;
    system.workers[0].start().await;
    assert!(before < i64::try_from(GOOD + REFUSED + STALE).unwrap(), "killed in the middle: {before}");
    system.rosterd(&["replay", "pause", plan]).await.expect_success();
    system.rosterd(&["replay", "resume", plan]).await.expect_success();
    let done = system.rosterd_json(&["replay", "watch", plan]).await;
    let ends = json!({ "applied": REFUSED + 1, "superseded": STALE, "skipped": UNREADABLE });
    assert_eq!((&done["state"], &done["ends"]), (&json!("done"), &ends), "{done:#}");
}

/// Each ended as it was predicted, and the rest is untouched.
async fn assert_ends(system: &System, plan: &str, deadly: ResourceId, stale: &[String]) {
    for item in watched(system, plan).await["items"].as_array().unwrap() {
        let end = &item["prediction"]["end"];
        assert!(end.is_null() || *end == item["state"], "{item:#}");
    }
    let scim = system.scim();
    scim.get(&format!("/Users/{deadly}")).await.expect(200);
    for (number, path) in stale.iter().enumerate() {
        let found = scim.get(path).await.expect(200).body;
        assert_eq!((&found["userName"], &found["title"]), (&json!(format!("stale-{number}")), &json!("newer")));
    }
}

/// The audit log tells it all.
async fn assert_audited(system: &System) {
    let audit = system.rosterd_json(&["audit", "log"]).await;
    // Before it the workspace was made and enabled.
    let records: Vec<_> = audit["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| {
            one["act"] != "workspace-create" && one["act"] != "workspace-enable" && one["act"] != "token-create"
        })
        .collect();
    let acts: Vec<_> = records.iter().map(|one| one["act"].as_str().unwrap()).collect();
    let expected =
        ["dead-letter-discard", "replay-done", "replay-resume", "replay-pause", "replay-start", "replay-plan"];
    assert_eq!(acts, expected, "{audit:#}");
    assert_eq!((&records[4]["actor"], &records[4]["reason"]), (&json!("ann"), &json!("repaired")));
}

on_both!(fifty_of_two_thousand_are_dead_and_each_gets_its_end);
async fn fifty_of_two_thousand_are_dead_and_each_gets_its_end(database: Database) {
    let system = System::start(database).await;
    let (log, records) = (Log::of(&system).await, Records::of(&system).await);
    let deadly = crash_workers(&system, &log).await;
    let stale = overtake(&system).await;
    publish(&system, &log).await;
    log.drained().await;
    tells_why(&system).await;

    let plan = dry_run(&system).await;
    replay_killed(&system, &records, &plan).await;
    assert_ends(&system, &plan, deadly, &stale).await;
    let users = i64::try_from(GOOD + REFUSED + STALE + 1).unwrap();
    assert_eq!(records.count("users").await, users);
    system.rosterd(&["dead-letters", "discard", "error:undecodable"]).await.expect_failure(1);
    system
        .rosterd(&["dead-letters", "discard", "error:undecodable", "--reason", "a broken tool"])
        .await
        .expect_success();
    assert_eq!(system.rosterd_json(&["dead-letters", "list"]).await["total"], 0);
    log.drained().await;
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!((&balance["missing"], &balance["at_rest"]), (&json!(0), &json!(true)), "{balance:#}");
    assert_audited(&system).await;
}

on_both!(a_stale_activation_is_superseded_and_two_operators_have_one_effect);
async fn a_stale_activation_is_superseded_and_two_operators_have_one_effect(database: Database) {
    let system = System::start(database).await;
    let (scim, log, records) = (system.scim(), Log::of(&system).await, Records::of(&system).await);
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    let path = format!("/Users/{id}");
    let active = |active: bool| json!([{ "op": "replace", "path": "active", "value": active }]);
    let rename = |name: &str| json!([{ "op": "replace", "value": { "userName": name, "active": true } }]);
    refuse(&system, true).await;
    for name in ["evil-1", "evil-2"] {
        assert_eq!(scim.patch(&path, rename(name)).await.status, 500);
    }
    scim.patch(&path, active(false)).await.expect(200);
    refuse(&system, false).await;

    let letters = records.column::<i64>("SELECT sequence FROM dead_letters ORDER BY sequence").await;
    let (first, second) = (letters[0].to_string(), letters[1].to_string());
    // Two operators at once, and a third later.
    let mut plans = Vec::new();
    for _ in 0..2 {
        let planned = system.rosterd_json(&["dead-letters", "replay", &first, "--dry-run"]).await;
        assert_eq!(planned["items"][0]["prediction"]["end"], "superseded");
        plans.push(planned["id"].as_str().unwrap().to_owned());
    }
    let start = async |plan: &str| system.rosterd_json(&["dead-letters", "replay", "--plan", plan]).await;
    let (one, other) = futures::join!(start(&plans[0]), start(&plans[1]));
    let mut ends: Vec<Value> = futures::stream::iter([one, other])
        .then(async |replay| {
            system.rosterd_json(&["replay", "watch", replay["id"].as_str().unwrap()]).await["ends"].clone()
        })
        .collect()
        .await;
    ends.sort_by_key(ToString::to_string);
    assert_eq!(ends, [json!({ "skipped": 1 }), json!({ "superseded": 1 })]);
    system.rosterd(&["dead-letters", "replay", &first]).await.expect_failure(3);
    assert_eq!(scim.get(&path).await.body["active"], false);

    // By force, with a reason.
    system.rosterd(&["dead-letters", "replay", &second, "--force"]).await.expect_failure(1);
    let forced = system.rosterd_json(&["dead-letters", "replay", &second, "--force", "--reason", "she is back"]).await;
    let done = system.rosterd_json(&["replay", "watch", forced["id"].as_str().unwrap()]).await;
    assert_eq!(done["ends"], json!({ "applied": 1 }), "{done:#}");
    let found = scim.get(&path).await.expect(200).body;
    assert_eq!((&found["userName"], &found["active"]), (&json!("evil-2"), &json!(true)));
    let audit = system.rosterd_json(&["audit", "log", "--act", "replay-start", "--limit", "1"]).await;
    assert_eq!(
        (&audit["records"][0]["reason"], &audit["records"][0]["counts"]["forced"]),
        (&json!("she is back"), &json!(1))
    );
    log.drained().await;
    assert_eq!(system.rosterd_json(&["audit", "balance"]).await["missing"], 0);
}

on_both!(what_a_killed_worker_had_reserved_is_not_published_once_the_replay_is_stopped);
async fn what_a_killed_worker_had_reserved_is_not_published_once_the_replay_is_stopped(database: Database) {
    let system = System::start(database).await;
    let (scim, log, records) = (system.scim(), Log::of(&system).await, Records::of(&system).await);
    refuse(&system, true).await;
    assert_eq!(scim.post("/Users", &user("evil")).await.status, 500);
    refuse(&system, false).await;
    let planned = system.rosterd_json(&["dead-letters", "replay", "--all", "--dry-run"]).await;
    let plan = planned["id"].as_str().unwrap();
    // As a worker leaves it that is killed between reserving a dead letter and publishing it, and the replay is stopped.
    system.workers[0].kill().await;
    let sql = system.sql().await;
    for statement in [
        "UPDATE dead_letters SET state = 'replaying'",
        "UPDATE replay_items SET state = 'sent', attempt = 1, sent_at = 1",
        "UPDATE replays SET state = 'stopped'",
    ] {
        sql.execute_unprepared(statement).await.unwrap();
    }
    let before = system.log().await.last_sequence;
    system.workers[0].start().await;
    eventually("the dead letter is dead again", async || {
        let states: Vec<String> = records.column("SELECT state FROM dead_letters").await;
        (states == ["dead"]).then_some(())
    })
    .await;
    assert_eq!(watched(&system, plan).await["items"][0]["state"], "waiting");
    assert_eq!(system.log().await.last_sequence, before, "nothing was published");
    log.drained().await;
    let letter = records.value::<i64>("SELECT sequence FROM dead_letters").await.to_string();
    system.rosterd(&["dead-letters", "discard", &letter, "--reason", "a test"]).await.expect_success();
}

#[tokio::test]
async fn a_replay_of_thousands_is_shown_whole() {
    const LETTERS: usize = 4_000;
    let system = System::start(Database::Sqlite).await;
    let log = Log::of(&system).await;
    // What nobody can read: dead letters that a plan shows, and skips.
    let (context, subject) = (system.jetstream().await, "cmd.bulk.acme.Users.01900000-0000-7000-8000-00000000dead");
    let subject = format!("{}.{subject}", system.namespace());
    let publish = |_| context.publish(subject.clone(), "not an envelope".into());
    let published = futures::stream::iter((0..LETTERS).map(publish)).buffer_unordered(256);
    published.for_each_concurrent(256, async |stored| drop(stored.unwrap().await.unwrap())).await;
    log.drained().await;
    let begun = system.rosterd_json(&["dead-letters", "replay", "--all"]).await;
    let shown = watched(&system, begun["id"].as_str().unwrap()).await;
    let length = shown.to_string().len();
    assert!(length > 512 * 1024, "{length} bytes are more than one message of a reply");
    assert_eq!((shown["items"].as_array().unwrap().len(), &shown["ends"]["skipped"]), (LETTERS, &json!(LETTERS)));
}
