//! Requests as nobody sends them on purpose: each is served or refused with a SCIM error, and the system stands.

mod body;
mod filter;
mod request;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures::StreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::harness::scim::{group, user};
use crate::harness::{Database, System, eventually, on_both};
use request::{Known, Shot};
use wire::Reply;

/// Another number is another run.
const SEED: u64 = 4;
const SHOTS: usize = 2_000;
const IN_FLIGHT: usize = 16;
/// People, and groups, that there are before.
const KNOWN: usize = 60;

on_both!(whatever_is_sent_is_served_or_refused_with_a_scim_error);
async fn whatever_is_sent_is_served_or_refused_with_a_scim_error(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let known = known(&system).await;
    let address: SocketAddr = scim.base_url.split('/').nth(2).unwrap().parse().unwrap();

    let mut random = StdRng::seed_from_u64(SEED);
    let shots: Vec<Shot> = (0..SHOTS).map(|_| request::shot(&known, &mut random)).collect();
    let answers = futures::stream::iter(shots.iter().enumerate().map(async |(number, shot)| {
        let reply = wire::send(address, shot).await;
        let status = reply.as_ref().map_or(0, |reply| reply.status);
        (status, complaint(shot, reply).map(|what| format!("seed {SEED}, request {number}: {what}\n{shot}")))
    }));
    let (statuses, complaints): (Vec<u16>, Vec<Option<String>>) = answers.buffer_unordered(IN_FLIGHT).unzip().await;
    let complaints: Vec<String> = complaints.into_iter().flatten().collect();
    assert!(complaints.is_empty(), "{} of {SHOTS}:\n{}", complaints.len(), sample(&complaints));
    println!("{database:?}, seed {SEED}: {}", tally(&statuses));
    let served = statuses.iter().filter(|status| **status < 300).count();
    let refused = statuses.iter().filter(|status| **status == 400).count();
    assert!(served > SHOTS / 8 && refused > SHOTS / 8, "too few came far: {}", tally(&statuses));

    scim.post("/Users", &user("still-here")).await.expect(201);
    eventually("the log is empty", async || (system.log().await.messages == 0).then_some(())).await;
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!((&balance["balanced"], &balance["missing"]), (&json!(true), &json!(0)), "{balance:#}");
    let dead: Vec<&Value> = balance["workspaces"].as_array().unwrap().iter().map(|row| &row["dead"]).collect();
    assert!(dead.iter().all(|dead| **dead == json!(0)), "{balance:#}");
    assert!(!system.logs().contains("panicked"), "a process panicked");
}

/// Enough people and groups that deletions leave some.
async fn known(system: &System) -> Known {
    let scim = system.scim();
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for number in 0..KNOWN {
        users.push(scim.post("/Users", &user(&format!("person-{number}"))).await.expect(201).id());
        groups.push(scim.post("/Groups", &group(&format!("Team {number}"), &[&users[number]])).await.expect(201).id());
    }
    Known { token: system.token().to_owned(), users, groups }
}

/// What is wrong with an answer.
fn complaint(shot: &Shot, reply: Result<Reply, String>) -> Option<String> {
    let reply = match reply {
        Ok(reply) => reply,
        Err(why) => return Some(why),
    };
    let status = reply.status;
    // `/Me` alone is not there for good: 501 says so (RFC 7644 §3.11).
    if status >= 500 && !(status == 501 && shot.is_me()) {
        return Some(format!("answered {status}: {}", reply.text()));
    }
    if (200..300).contains(&status) || status == 304 || shot.method == "HEAD" {
        return None;
    }
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let is_error = body["schemas"] == json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
        && body["status"] == json!(status.to_string())
        && body["detail"].as_str().is_some_and(|detail| !detail.is_empty());
    let content_type = reply.header("content-type");
    (!is_error || content_type != "application/scim+json")
        .then(|| format!("answered {status} without a SCIM error: {content_type} {}", reply.text()))
}

fn sample(complaints: &[String]) -> String {
    complaints.iter().take(12).map(|complaint| complaint.chars().take(1_500).collect::<String>() + "\n\n").collect()
}

fn tally(statuses: &[u16]) -> String {
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_insert(0_usize) += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(status, count)| format!("{status}: {count}")).collect();
    counts.join(", ")
}
