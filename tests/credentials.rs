//! Tokens: two at a time, revoked everywhere within a second, and nothing to be learnt from a refusal.

use std::time::{Duration, Instant};

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System, on_both};

on_both!(a_revoked_token_is_refused_by_every_ingress_within_a_second);
async fn a_revoked_token_is_refused_by_every_ingress_within_a_second(database: Database) {
    let system = System::start_with(database, 2, 1).await;
    let first = [system.scim_at(0), system.scim_at(1)];
    let made = system.rosterd(&["token", "create", "acme", "--label", "rotation", "-o", "json"]).await;
    let token = made.expect_success().json()["token"].as_str().unwrap().to_owned();
    let second = first.each_ref().map(|scim| scim.with_token(&token));
    for scim in first.iter().chain(&second) {
        scim.get("/Users").await.expect(200);
    }

    let old = token_id(system.token());
    system.rosterd(&["token", "revoke", "acme", &old]).await.expect_success();
    let revoked = Instant::now();
    for scim in &first {
        while scim.get("/Users").await.status != 401 {
            assert!(revoked.elapsed() < Duration::from_secs(1), "still admitted {:?} after", revoked.elapsed());
        }
        scim.post("/Users", &user("late")).await.expect_error(401, None);
    }
    for scim in &second {
        scim.get("/Users").await.expect(200);
    }
    second[0].post("/Users", &user("ann")).await.expect(201);

    let listed = system.rosterd(&["token", "list", "acme", "-o", "json"]).await.expect_success().stdout;
    assert!(listed.contains(&old) && !listed.contains(secret(&token)), "{listed}");
}

#[tokio::test]
async fn a_foreign_token_and_an_unknown_workspace_look_alike() {
    let system = System::start(Database::Sqlite).await;
    system.rosterd(&["workspace", "create", "globex", "--name", "Globex"]).await.expect_success();
    let enabled = system.rosterd(&["workspace", "enable", "globex", "-o", "json"]).await.expect_success().json();
    let globex = Scim::new(enabled["base_url"].as_str().unwrap(), enabled["token"].as_str().unwrap());
    globex.get("/Users").await.expect(200);

    let foreign = globex.with_token(system.token()).get("/Users").await;
    let unknown = Scim::new(globex.base_url.replace("/globex", "/nowhere"), system.token()).get("/Users").await;
    let disabled = {
        system.rosterd(&["workspace", "create", "initech", "--name", "Initech"]).await.expect_success();
        Scim::new(globex.base_url.replace("/globex", "/initech"), system.token()).get("/Users").await
    };
    for answer in [&foreign, &unknown, &disabled] {
        answer.expect_error(401, None);
        assert_eq!(answer.body, foreign.body);
        assert_eq!(answer.header("www-authenticate"), foreign.header("www-authenticate"));
    }

    // A person of one workspace is nobody in the other.
    let id = system.scim().post("/Users", &user("ann")).await.expect(201).id();
    globex.get(&format!("/Users/{id}")).await.expect_error(404, None);
    globex.delete(&format!("/Users/{id}")).await.expect_error(404, None);
    globex.post("/Users", &user("ann")).await.expect(201);
}

#[tokio::test]
async fn a_third_token_is_refused_until_one_is_revoked() {
    let system = System::start(Database::Sqlite).await;
    system.rosterd(&["token", "create", "acme", "--label", "second"]).await.expect_success();
    system.rosterd(&["token", "create", "acme", "--label", "third"]).await.expect_failure(1);
    system.rosterd(&["token", "revoke", "acme", &token_id(system.token())]).await.expect_success();
    system.rosterd(&["token", "create", "acme", "--label", "third"]).await.expect_success();
    system.rosterd(&["token", "revoke", "acme", "nosuchtoken12"]).await.expect_failure(3);
    system.rosterd(&["workspace", "create", "acme", "--name", "Acme again"]).await.expect_failure(1);
}

/// The public part: `rst_<id>_<secret>`.
fn token_id(token: &str) -> String {
    token.split('_').nth(1).unwrap().to_owned()
}

fn secret(token: &str) -> &str {
    token.rsplit('_').next().unwrap()
}
