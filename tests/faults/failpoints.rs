//! Every failpoint between request and acknowledgement, once, with abort: what was acknowledged is there exactly once,
//! and what broke can be tried again.

use std::time::Instant;

use protocol::failpoint::Failpoint;
use protocol::message::lane::Lane;
use serde_json::json;

use super::ABORTED;
use super::log::Log;
use super::message::{Message, new_user};
use super::records::Records;
use crate::harness::scim::{Scim, group, user};
use crate::harness::{Database, System, on_both};

on_both!(an_ingress_dies_at_each_of_its_failpoints);
async fn an_ingress_dies_at_each_of_its_failpoints(database: Database) {
    let system = System::start_with(database, 2, 1).await;
    let (dying, other) = (system.scim_at(0), system.scim_at(1));
    let mut users = 0;
    for point in points_of("ingress.") {
        let (began, name) = (Instant::now(), format!("person-{users}"));
        system.ingresses[0].kill().await;
        system.ingresses[0].arm(&format!("{}=abort", point.name()));
        system.ingresses[0].start().await;
        let answer = dying.try_post("/Users", user(&name)).await;
        assert_eq!(system.ingresses[0].end().await, Some(ABORTED), "{point:?}");
        let heard = answer.map(|answer| answer.expect(201).id());
        // The provider tries again: it succeeds, or meets what its first attempt did.
        let again = other.post("/Users", &user(&name)).await;
        assert!([201, 409].contains(&again.status), "{point:?}: {again:?}");
        users += 1;
        let found = other.find("/Users", &format!("userName eq \"{name}\"")).await;
        assert_eq!(found.len(), 1, "{point:?}");
        assert!(heard.iter().all(|id| found[0]["id"] == **id), "{point:?}: {heard:?} was acknowledged");
        let met = if heard.is_some() { "answered" } else { "broken off" };
        println!("{:24} request {met}, retry {}, {:?}", point.name(), again.status, began.elapsed());
    }
    assert_at_rest(&system).await;
    assert_eq!(Records::of(&system).await.count("users").await, users);
}

on_both!(a_worker_dies_at_each_of_its_failpoints);
async fn a_worker_dies_at_each_of_its_failpoints(database: Database) {
    let system = System::start(database).await;
    let (log, scim, worker) = (Log::of(&system).await, system.scim(), &system.workers[0]);
    let team = scim.post("/Groups", &group("Team", &[])).await.expect(201).id();
    for (round, point) in points_of("worker.").into_iter().enumerate() {
        let (began, ann) = (Instant::now(), new_user());
        worker.kill().await;
        // In the hands of a worker that is gone, so that whoever gets the next command on this user has to fetch it.
        log.append(&Message::create(ann, &format!("ann-{round}")), 0).await;
        log.take_and_vanish(Lane::Interactive, 1).await;
        worker.arm(&format!("{}=abort", point.name()));
        worker.start().await;
        let death = async {
            assert_eq!(worker.end().await, Some(ABORTED), "{point:?}");
            log.deliver_again().await;
            worker.disarm();
            worker.start().await;
        };
        let ann = ann.to_string();
        futures::join!(death, write_and_read(&scim, round, &ann, &team));
        log.drained().await;
        assert_eq!(members(&scim, &team).await, round + 1, "{point:?}");
        println!("{:24} all answered, {:?}", point.name(), began.elapsed());
    }
    assert_at_rest(&system).await;
}

/// What a provider does at the same time; all of it is answered as if nothing had happened, and has one effect.
async fn write_and_read(scim: &Scim, round: usize, ann: &str, team: &str) {
    let (path, team) = (format!("/Users/{ann}"), format!("/Groups/{team}"));
    let title = scim.patch(&path, json!([{ "op": "replace", "path": "title", "value": "Dr." }]));
    let member = scim.patch(&team, json!([{ "op": "add", "path": "members", "value": [{ "value": ann }] }]));
    let create = scim.post_owned("/Users", user(&format!("bob-{round}")));
    let (title, member, create, read) = futures::join!(title, member, create, scim.get(&team));
    let title = title.expect(200);
    assert_eq!((&title.body["title"], &title.body["meta"]["version"]), (&json!("Dr."), &json!("W/\"2\"")));
    assert_eq!((member.status, create.status, read.status), (204, 201, 200));
    assert_eq!(scim.find("/Users", &format!("userName eq \"bob-{round}\"")).await.len(), 1);
}

async fn members(scim: &Scim, team: &str) -> usize {
    let team = scim.get(&format!("/Groups/{team}")).await.expect(200);
    team.body["members"].as_array().map_or(0, Vec::len)
}

/// The failpoints of one kind of process, so that none can be forgotten.
fn points_of(process: &str) -> Vec<Failpoint> {
    Failpoint::ALL.iter().copied().filter(|point| point.name().starts_with(process)).collect()
}

/// Nothing is left in the log, and each of its sequences is one operation or one settled copy.
async fn assert_at_rest(system: &System) {
    Log::of(system).await.drained().await;
    let records = Records::of(system).await;
    let settled = records.count("operations").await + records.count("settled_copies").await;
    assert_eq!(settled.cast_unsigned(), system.log().await.last_sequence);
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!((&balance["missing"], &balance["at_rest"]), (&json!(0), &json!(true)), "{balance:#}");
    assert_eq!((records.count("dead_letters").await, records.count("attempts").await), (0, 0));
}
