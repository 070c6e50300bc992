//! What many do at the same moment: no member is lost, no name is given twice, and nobody who left comes back.

use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim, group, user};
use crate::harness::{Database, System, on_both};

/// Members of one group, each added by a request of its own.
const MEMBERS: usize = 500;
/// Requests for one name.
const RIVALS: usize = 32;
/// Creates in flight while a test prepares its people.
const PREPARING: usize = 64;
/// An id that nobody has.
const NOBODY: &str = "01900000-0000-7000-8000-00000000abcd";

on_both!(members_added_at_the_same_moment_are_all_there);
async fn members_added_at_the_same_moment_are_all_there(database: Database) {
    let system = System::start_with(database, 2, 3).await;
    let ingresses = [system.scim_at(0), system.scim_at(1)];
    let ids = people(&ingresses, MEMBERS).await;
    let path = format!("/Groups/{}", ingresses[0].post("/Groups", &group("Everybody", &[])).await.expect(201).id());

    let adds = ids.iter().zip(ingresses.iter().cycle()).map(|(id, scim)| scim.patch(&path, add(id)));
    for answer in join_all(adds).await {
        assert!(matches!(answer.status, 200 | 204), "{} {:#}", answer.status, answer.body);
    }

    for scim in &ingresses {
        let read = scim.get(&path).await.expect(200);
        assert_eq!(members(&read.body), sorted(ids.clone()));
        assert_eq!(read.header("etag"), format!("W/\"{}\"", MEMBERS + 1), "each add is one version");
    }
}

on_both!(one_name_is_given_once_however_many_ask_for_it);
async fn one_name_is_given_once_however_many_ask_for_it(database: Database) {
    let system = System::start_with(database, 2, 3).await;
    let ingresses = [system.scim_at(0), system.scim_at(1)];
    // The same name to the directory, whatever its letters (RFC 7643 §4.1.1: userName is case insensitive).
    let spellings = ["bjensen", "BJensen", "BJENSEN"];
    let bodies = (0..RIVALS).map(|rival| user(spellings[rival % spellings.len()]));
    only_one_wins(&ingresses, "/Users", bodies).await;
    let bodies = (0..RIVALS).map(|_| group("Engineering", &[]));
    only_one_wins(&ingresses, "/Groups", bodies).await;
}

async fn only_one_wins(ingresses: &[Scim], path: &str, bodies: impl Iterator<Item = Value>) {
    let creates = bodies.zip(ingresses.iter().cycle()).map(|(body, scim)| scim.post_owned(path, body));
    let (winners, losers): (Vec<Answer>, Vec<Answer>) =
        join_all(creates).await.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((winners.len(), losers.len()), (1, RIVALS - 1), "{path}");
    for loser in losers {
        loser.expect_error(409, Some("uniqueness"));
    }
    for scim in ingresses {
        let list = scim.get(path).await.expect(200).body;
        assert_eq!((&list["totalResults"], &list["Resources"][0]["id"]), (&json!(1), &json!(winners[0].id())));
    }
}

on_both!(a_member_whom_nobody_knows_fails_no_push_and_is_not_shown);
async fn a_member_whom_nobody_knows_fails_no_push_and_is_not_shown(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let ann = scim.post("/Users", &user("ann")).await.expect(201).id();
    let created = scim.post("/Groups", &group("Early", &[NOBODY])).await.expect(201);
    let path = format!("/Groups/{}", created.id());
    assert_eq!(members(&created.body), [""; 0]);

    for operations in [
        add(NOBODY),
        json!([{ "op": "replace", "path": "members", "value": [{ "value": NOBODY }, { "value": ann }] }]),
        json!([{ "op": "add", "value": { "members": [{ "value": NOBODY }] } }]),
    ] {
        let answer = scim.patch(&path, operations).await;
        assert!(matches!(answer.status, 200 | 204), "{} {:#}", answer.status, answer.body);
    }
    assert_eq!(members(&scim.get(&path).await.expect(200).body), std::slice::from_ref(&ann));
    let replaced = scim.put(&path, &group("Early", &[NOBODY, &ann])).await.expect(200);
    assert_eq!(members(&replaced.body), std::slice::from_ref(&ann));
    let remove = json!([{ "op": "remove", "path": format!("members[value eq \"{NOBODY}\"]") }]);
    let answer = scim.patch(&path, remove).await;
    assert!(matches!(answer.status, 200 | 204), "{} {:#}", answer.status, answer.body);
    assert_eq!(members(&scim.get(&path).await.expect(200).body), [ann]);
}

on_both!(whoever_is_deleted_leaves_the_group_and_gives_it_a_new_version);
async fn whoever_is_deleted_leaves_the_group_and_gives_it_a_new_version(database: Database) {
    let system = System::start(database).await;
    let scim = system.scim();
    let ids = people(std::slice::from_ref(&scim), 2).await;
    let created = scim.post("/Groups", &group("Team", &[&ids[0], &ids[1]])).await.expect(201);
    let path = format!("/Groups/{}", created.id());

    scim.delete(&format!("/Users/{}", ids[0])).await.expect(204);
    let left = scim.get(&path).await.expect(200);
    assert_eq!(members(&left.body), [ids[1].clone()]);
    assert_ne!(left.header("etag"), created.header("etag"), "what a GET shows has changed");
    assert_eq!(left.header("etag"), left.body["meta"]["version"]);

    let again = scim.patch(&path, add(&ids[0])).await;
    assert!(matches!(again.status, 200 | 204), "{} {:#}", again.status, again.body);
    assert_eq!(members(&scim.get(&path).await.expect(200).body), [ids[1].clone()], "an id never returns");
}

on_both!(an_add_that_meets_the_deletion_leaves_nobody_behind);
async fn an_add_that_meets_the_deletion_leaves_nobody_behind(database: Database) {
    let system = System::start_with(database, 2, 2).await;
    let ingresses = [system.scim_at(0), system.scim_at(1)];
    let ids = people(&ingresses, RIVALS).await;
    let path = format!("/Groups/{}", ingresses[0].post("/Groups", &group("Leavers", &[])).await.expect(201).id());

    let meetings = ids.iter().map(async |id| {
        let user = format!("/Users/{id}");
        let (added, deleted) =
            futures::join!(Box::pin(ingresses[0].patch(&path, add(id))), Box::pin(ingresses[1].delete(&user)));
        (added.status, deleted.status)
    });
    for (added, deleted) in join_all(meetings).await {
        assert!(matches!(added, 200 | 204) && deleted == 204, "{added} {deleted}");
    }
    assert_eq!(members(&ingresses[1].get(&path).await.expect(200).body), [""; 0]);
    let balance = system.rosterd_json(&["audit", "balance"]).await;
    assert_eq!(balance["balanced"], json!(true), "{balance:#}");
}

/// So many people, and their ids in no order.
async fn people(ingresses: &[Scim], count: usize) -> Vec<String> {
    let creates = (0..count).zip(ingresses.iter().cycle());
    let creates = creates.map(|(number, scim)| scim.post_owned("/Users", user(&format!("person-{number}"))));
    let answers = futures::stream::iter(creates).buffer_unordered(PREPARING);
    answers.map(|answer| answer.expect(201).id()).collect().await
}

fn add(id: &str) -> Value {
    json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }])
}

fn members(group: &Value) -> Vec<String> {
    let members = group["members"].as_array().cloned().unwrap_or_default();
    sorted(members.iter().map(|member| member["value"].as_str().unwrap().to_owned()).collect())
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}
