//! Nothing right is dropped: what was held, overtaken, or sent while clocks stepped takes effect all the same, as long as
//! nobody asked for the contrary since.

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::harness::scim::{Answer, Scim, group, patch, try_send, user};
use crate::harness::{Database, System, eventually, on_both, trial};

/// Longer than a command may be held without its arrival being looked at.
const HELD: Duration = Duration::from_millis(2800);
/// The broker's clock, in seconds ahead, one after the other.
const STEPS: [i64; 3] = [60, -60, 0];
/// More than one ingress may have in the log of a workspace and lane: who is never answered blocks those behind.
const CREATES: usize = 140;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_adds_that_were_held_by_two_ingresses_are_all_in_effect() {
    let system = System::plan(Database::Postgresql).proxied().ingresses(2).workers(2).start().await;
    let scims = [system.scim_at(0), system.scim_at(1)];
    let people = people(&scims[0], if trial::is_full() { 500 } else { 100 }).await;
    let path = format!("/Groups/{}", scims[0].post("/Groups", &group("All", &[])).await.expect(201).id());
    system.ingresses.iter().for_each(|ingress| ingress.broker_link().cut());
    let add = |id: &String| json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
    let adds = join_all(people.iter().zip(scims.iter().cycle()).map(|(id, scim)| scim.patch(&path, add(id))));
    let heal = async {
        sleep(HELD).await;
        system.ingresses.iter().for_each(|ingress| ingress.broker_link().heal());
    };
    let (answers, ()) = futures::join!(adds, heal);
    answers.iter().for_each(expect_success);
    let read = scims[1].get(&path).await.expect(200);
    assert_eq!(read.body["members"].as_array().unwrap().len(), people.len());
    assert_eq!(read.header("etag"), format!("W/\"{}\"", people.len() + 1), "each add is one version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timezone_chosen_meanwhile_stops_no_held_deletion() {
    let chosen = |database| Box::pin(timezone_chosen_meanwhile(database));
    futures::join!(chosen(Database::Sqlite), chosen(Database::Postgresql));
}

async fn timezone_chosen_meanwhile(database: Database) {
    let system = System::plan(database).proxied().ingresses(2).start().await;
    let scims = [system.scim_at(0), system.scim_at(1)];
    let [leaves, pauses] = ["leaves", "pauses"].map(|name| scims[1].post_owned("/Users", user(name)));
    let (leaves, pauses) = futures::join!(leaves, pauses);
    let [leaves, pauses] = [leaves, pauses].map(|created| format!("/Users/{}", created.expect(201).id()));
    system.ingresses[0].broker_link().cut();
    let held = async { futures::join!(scims[0].delete(&leaves), scims[0].patch(&pauses, active(false))) };
    let began = Instant::now();
    let product = async {
        for name in ["leaves", "pauses"] {
            system.rosterd(&["user", "set-timezone", "acme", name, "Europe/Paris"]).await.expect_success();
        }
        sleep_until(began + HELD).await;
        system.ingresses[0].broker_link().heal();
    };
    let ((deleted, deactivated), ()) = futures::join!(held, product);
    deleted.expect(204);
    scims[1].get(&leaves).await.expect(404);
    let left = deactivated.expect(200).body;
    assert_eq!((&left["active"], &left["timezone"]), (&json!(false), &json!("Europe/Paris")));
}

/// A product's act does not make a repeated create a duplicate either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timezone_chosen_meanwhile_makes_no_repeated_create_a_duplicate() {
    let system = System::start_with(Database::Sqlite, 2, 1).await;
    let (dying, other) = (system.scim_at(0), system.scim_at(1));
    system.ingresses[0].kill().await;
    system.ingresses[0].arm("ingress.publish.after=abort");
    system.ingresses[0].start().await;
    assert!(dying.try_post("/Users", user("ann")).await.is_none());
    system.at_rest().await;
    system.rosterd(&["user", "set-timezone", "acme", "ann", "Europe/Paris"]).await.expect_success();
    let again = other.post("/Users", &user("ann")).await.expect(201);
    let found = other.find("/Users", "userName eq \"ann\"").await;
    assert_eq!((&found[0]["id"], &found[0]["timezone"]), (&again.body["id"], &json!("Europe/Paris")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_waves_that_interactive_changes_overtake_are_all_in_effect() {
    let system = System::plan(Database::Postgresql).proxied().ingresses(2).workers(2).start().await;
    let (bulk, interactive) = (system.scim_at(0), system.scim_at(1));
    let people = people(&interactive, trial::rounds(100)).await;
    system.ingresses[0].broker_link().cut();
    // For each a title twice, so that it takes two waves; by turns, access is given or taken as well.
    let title = |id: &String, title: &str, active: bool| {
        let operations = json!([{ "op": "replace", "value": { "title": title, "active": active } }]);
        json!({ "method": "PATCH", "path": format!("/Users/{id}"), "data": patch(&operations) })
    };
    let operations: Vec<Value> = ["one", "two"]
        .iter()
        .flat_map(|text| people.iter().enumerate().map(move |(number, id)| title(id, text, number % 2 == 0)))
        .collect();
    let request = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
    let began = Instant::now();
    let meanwhile = async {
        // The bulk request is there before anybody overtakes it.
        sleep(Duration::from_millis(500)).await;
        let changes = join_all(people.iter().enumerate().map(async |(number, id)| {
            let path = format!("/Users/{id}");
            let nick = json!({ "op": "replace", "path": "nickName", "value": "Nick" });
            let off = json!({ "op": "replace", "path": "active", "value": false });
            let operations = if number % 4 == 0 { json!([nick, off]) } else { json!([nick]) };
            interactive.patch(&path, operations).await
        }));
        changes.await.iter().for_each(expect_success);
        sleep_until(began + HELD).await;
        system.ingresses[0].broker_link().heal();
    };
    let (answer, ()) = futures::join!(bulk.post("/Bulk", &request), meanwhile);
    for result in answer.expect(200).body["Operations"].as_array().unwrap() {
        assert_eq!(result["status"], "200", "{result:#}");
    }
    for (number, id) in people.iter().enumerate() {
        let user = interactive.get(&format!("/Users/{id}")).await.expect(200).body;
        // Whom the bulk request activates, and an interactive one deactivated since it came, stays inactive.
        let active = number % 2 == 0 && number % 4 != 0;
        let shown = (&user["title"], &user["nickName"], &user["active"]);
        assert_eq!(shown, (&json!("two"), &json!("Nick"), &json!(active)), "person {number}");
    }
}

on_both!(activate_deactivate_activate_in_quick_succession_are_all_in_effect);
async fn activate_deactivate_activate_in_quick_succession_are_all_in_effect(database: Database) {
    let system = System::start_with(database, 2, 2).await;
    let scims = [system.scim_at(0), system.scim_at(1)];
    for id in people(&scims[0], trial::rounds(20)).await {
        toggle(&scims, &format!("/Users/{id}")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_of_the_broker_that_steps_drops_nothing() {
    let plan = System::plan(Database::Postgresql).proxied().ingresses(2).workers(2);
    let system = plan.ingress_setting("ROSTERD_ANSWER_DEADLINE", "20").start().await;
    let scims = [system.scim_at(0), system.scim_at(1)];
    let people = people(&scims[0], 10).await;
    for (round, seconds) in STEPS.into_iter().enumerate() {
        let parts = system.ingresses.iter().chain(&system.workers);
        parts.for_each(|part| part.broker_link().set_clock(seconds));
        let began = Instant::now();
        let names: Vec<String> = (0..CREATES).map(|number| format!("step-{round}-{number}")).collect();
        let creates = names.iter().zip(scims.iter().cycle()).map(|(name, scim)| scim.post_owned("/Users", user(name)));
        let changes = people.iter().map(async |id| toggle(&scims, &format!("/Users/{id}")).await);
        let (answers, _) = futures::join!(join_all(creates), join_all(changes));
        let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 201).collect();
        assert!(refused.is_empty(), "{seconds} s: {} of {CREATES} not created: {:#}", refused.len(), refused[0].body);
        deactivate_held(&system, &people, seconds).await;
        println!("the clock {seconds} s ahead: {:?}", began.elapsed());
    }
    system.at_rest().await;
    assert_eq!(system.number("SELECT COUNT(*) FROM dead_letters").await, 0);
}

/// An ingress was told a time that is a minute ahead, and is cut off before it hears that the clock has gone back: what it
/// sends then seems newer than it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_reactivation_that_seems_to_come_from_the_future_undoes_no_deactivation() {
    let system = System::plan(Database::Sqlite).proxied().ingresses(2).start().await;
    let (link, other) = (system.ingresses[0].broker_link(), system.scim_at(1));
    let bare = Scim::new(system.url_of(0), "");
    let id = people(&other, 1).await.remove(0);
    let path = format!("/Users/{id}");
    link.set_clock(60);
    eventually("the ingress was told the wrong time", async || {
        let health = bare.get("/healthz").await;
        health.text.contains("differs from the broker's").then_some(())
    })
    .await;
    link.stall();
    let patched = system.scim_at(0).json(Method::PATCH, &path, &patch(&active(true)));
    assert!(try_send(patched.timeout(Duration::from_secs(1))).await.is_none());
    other.patch(&path, active(false)).await.expect(200);
    sleep(HELD).await;
    link.heal();
    sleep(HELD).await;
    system.at_rest().await;
    assert_eq!(other.get(&path).await.expect(200).body["active"], false);
}

/// While the broker's clock is so many seconds ahead, deactivations are held by an ingress for some time.
async fn deactivate_held(system: &System, people: &[String], seconds: i64) {
    let (scim, link) = (system.scim(), system.ingresses[0].broker_link());
    link.cut();
    let off = join_all(people.iter().map(async |id| scim.patch(&format!("/Users/{id}"), active(false)).await));
    let heal = async {
        sleep(HELD).await;
        link.set_clock(seconds);
    };
    let (off, ()) = futures::join!(off, heal);
    for answer in off {
        assert_eq!(answer.expect(200).body["active"], false, "{seconds} s");
    }
}

/// Each change is acknowledged before the next one goes, to the other ingress.
async fn toggle(scims: &[Scim; 2], path: &str) {
    for (turn, wanted) in [true, false, true].into_iter().enumerate() {
        let answer = scims[turn % 2].patch(path, active(wanted)).await.expect(200);
        assert_eq!(answer.body["active"], wanted, "change {turn}");
    }
    assert_eq!(scims[1].get(path).await.expect(200).body["active"], true);
}

async fn people(scim: &Scim, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("person-{number}")).collect();
    let mut ids = Vec::new();
    for some in names.chunks(64) {
        let created = join_all(some.iter().map(|name| scim.post_owned("/Users", user(name)))).await;
        ids.extend(created.into_iter().map(|answer| answer.expect(201).id()));
    }
    ids
}

fn active(active: bool) -> Value {
    json!([{ "op": "replace", "path": "active", "value": active }])
}

fn expect_success(answer: &Answer) {
    assert!(matches!(answer.status, 200 | 204), "{} {:#}", answer.status, answer.body);
}
