//! Deactivations whose chain cannot be applied: access goes at once, the answer comes in its turn.

use std::time::Duration;

use protocol::id::ResourceId;
use protocol::message::lane::Lane;
use serde_json::json;

use super::log::Log;
use super::message::{Message, new_user};
use super::records::Records;
use crate::harness::scim::user;
use crate::harness::{Database, System, on_both, within};

/// How long access may last.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long a message that nobody can read holds up what is behind it, in this test.
const HELD_UP: Duration = Duration::from_secs(3);

async fn is_active(system: &System, user: &str) -> bool {
    let shown = system.scim().get(&format!("/Users/{user}")).await.expect(200);
    shown.body["active"].as_bool().unwrap()
}

async fn access_ends(system: &System, user: &str) {
    within(AT_ONCE, "access has ended", async || (!is_active(system, user).await).then_some(())).await;
}

on_both!(a_deactivation_behind_a_message_that_is_too_new_takes_effect_at_once_and_is_answered_in_its_turn);
async fn a_deactivation_behind_a_message_that_is_too_new_takes_effect_at_once_and_is_answered_in_its_turn(
    database: Database,
) {
    let system = System::start(database).await;
    let (log, records) = (Log::of(&system).await, Records::of(&system).await);
    let ann = system.scim().post("/Users", &user("ann")).await.expect(201).id();
    let id: ResourceId = ann.parse().unwrap();
    let too_new = log.append(&Message::set_title(id, "from tomorrow").too_new(), 0).await;

    let scim = system.scim();
    let path = format!("/Users/{ann}");
    let deactivation =
        tokio::spawn(
            async move { scim.patch(&path, json!([{ "op": "replace", "path": "active", "value": false }])).await },
        );
    access_ends(&system, &ann).await;
    tokio::time::sleep(HELD_UP).await;
    assert!(!deactivation.is_finished(), "it is not applied yet");
    assert_eq!((is_active(&system, &ann).await, records.count("operations").await), (false, 1));
    let versions = records.value::<i64>("SELECT version FROM users").await;
    assert_eq!(versions, 2, "once, however often it is tried");

    log.remove(too_new).await;
    let answer = deactivation.await.unwrap().expect(200);
    assert_eq!((&answer.body["active"], &answer.body["meta"]["version"]), (&json!(false), &json!("W/\"2\"")));
    log.drained().await;
}

on_both!(a_deactivation_behind_more_than_is_fetched_at_once_takes_effect_at_once);
async fn a_deactivation_behind_more_than_is_fetched_at_once_takes_effect_at_once(database: Database) {
    const TITLES: usize = 300;
    let system = System::start(database).await;
    let (log, records) = (Log::of(&system).await, Records::of(&system).await);
    let ann = system.scim().post("/Users", &user("ann")).await.expect(201).id();
    let id: ResourceId = ann.parse().unwrap();
    system.workers[0].kill().await;
    let titles = (1..=TITLES).map(|n| Message::set_title(id, &format!("title {n}")).in_lane(Lane::Bulk));
    let chain = log.append_chain(&titles.collect::<Vec<_>>()).await;
    log.take_and_vanish(Lane::Bulk, TITLES).await;
    log.append(&Message::deactivate(id), *chain.last().unwrap()).await;

    system.workers[0].start().await;
    access_ends(&system, &ann).await;
    assert_eq!(records.count("operations").await, 1, "nothing of it is applied yet");
    // The broker delivers again what nobody has acknowledged.
    log.drained().await;
    let shown = system.scim().get(&format!("/Users/{ann}")).await.expect(200);
    assert_eq!((&shown.body["active"], &shown.body["title"]), (&json!(false), &json!(format!("title {TITLES}"))));
}

on_both!(who_is_created_by_a_message_that_is_too_new_and_was_deactivated_is_nobody_until_then);
async fn who_is_created_by_a_message_that_is_too_new_and_was_deactivated_is_nobody_until_then(database: Database) {
    let system = System::start(database).await;
    let (log, records, ann) = (Log::of(&system).await, Records::of(&system).await, new_user());
    let create = log.append(&Message::create(ann, "ann").too_new(), 0).await;
    log.append(&Message::deactivate(ann), create).await;
    let fences = "SELECT COUNT(*) FROM users WHERE version = 0";
    within(AT_ONCE, "there is a fence", async || (records.value::<i64>(fences).await == 1).then_some(())).await;
    system.scim().get(&format!("/Users/{ann}")).await.expect(404);
    assert_eq!(system.scim().get("/Users").await.expect(200).body["totalResults"], json!(0));
}
