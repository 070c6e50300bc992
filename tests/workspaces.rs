//! What an owner does with a workspace: pause, resume, disable, enable again; and what is shown of it and its tokens.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::scim::{Scim, user};
use crate::harness::{Database, System, on_both, within};

on_both!(a_paused_workspace_answers_503_at_every_ingress_until_it_is_resumed);
async fn a_paused_workspace_answers_503_at_every_ingress_until_it_is_resumed(database: Database) {
    let system = System::start_with(database, 2, 1).await;
    let everywhere = [system.scim_at(0), system.scim_at(1)];
    let globex = system.enable("globex").await;
    let ann = everywhere[0].post("/Users", &user("ann")).await.expect(201).id();

    let missing = system.rosterd(&["workspace", "pause", "acme"]).await.expect_failure(2);
    assert!(missing.stderr.contains("--reason"), "{}", missing.stderr);
    let paused = system.rosterd_json(&["workspace", "pause", "acme", "--reason", "wrong group in Okta"]).await;
    assert_eq!((&paused["enabled"], &paused["pause_reason"]), (&json!(true), &json!("wrong group in Okta")));
    until_everywhere(&everywhere, 503).await;
    for scim in &everywhere {
        let deactivate = json!([{ "op": "replace", "path": "active", "value": false }]);
        for answer in [
            scim.get("/Users").await,
            scim.get("/ServiceProviderConfig").await,
            scim.post("/Users", &user("bob")).await,
            scim.patch(&format!("/Users/{ann}"), deactivate).await,
            scim.delete(&format!("/Users/{ann}")).await,
        ] {
            answer.expect_error(503, None);
            assert_eq!(answer.header("retry-after"), "60");
            let detail = answer.body["detail"].as_str().unwrap();
            assert!(detail.contains("paused") && !detail.contains("Okta"), "{detail}");
        }
        let stranger = globex.token.as_str();
        scim.with_token(stranger).get("/Users").await.expect_error(401, None);
    }
    globex.post("/Users", &user("bob")).await.expect(201);
    let shown = system.rosterd(&["workspace", "show", "acme"]).await.expect_success().stdout;
    assert!(shown.contains("paused") && shown.contains(": wrong group in Okta"), "{shown}");

    let resumed = system.rosterd_json(&["workspace", "resume", "acme"]).await;
    assert_eq!((&resumed["paused_at"], &resumed["pause_reason"]), (&Value::Null, &Value::Null));
    until_everywhere(&everywhere, 200).await;
    for scim in &everywhere {
        assert_eq!(scim.get(&format!("/Users/{ann}")).await.expect(200).body["active"], true);
        assert_eq!(scim.find("/Users", "userName eq \"bob\"").await.len(), 0);
    }
}

on_both!(what_was_accepted_before_a_pause_or_an_end_is_applied);
async fn what_was_accepted_before_a_pause_or_an_end_is_applied(database: Database) {
    let system = System::start_with(database, 1, 1).await;
    for (number, command) in
        [&["pause", "acme", "--reason", "trial"][..], &["disable", "acme", "--yes"]].iter().enumerate()
    {
        let scim = system.scim();
        scim.get("/Users").await.expect(200);
        // The log takes what no worker applies yet, and the call waits beside it.
        let name = format!("early-{number}");
        system.workers[0].pause();
        let accepted = tokio::spawn(async move { scim.post("/Users", &user(&name)).await.status });
        within(Duration::from_secs(5), "the log has the create", async || {
            (system.log().await.messages > 0).then_some(())
        })
        .await;
        let call = [&["workspace"], *command].concat();
        let thaw = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            system.workers[0].resume();
        };
        let (said, ()) = futures::join!(system.rosterd(&call), thaw);
        said.expect_success();
        assert_eq!(accepted.await.unwrap(), 201);
        if number == 0 {
            system.rosterd(&["workspace", "resume", "acme"]).await.expect_success();
        }
    }
    assert_eq!(system.number("SELECT count(*) FROM users WHERE user_name LIKE 'early-%'").await, 2);
}

on_both!(a_disabled_workspace_answers_401_and_gets_a_new_token_when_it_is_enabled);
async fn a_disabled_workspace_answers_401_and_gets_a_new_token_when_it_is_enabled(database: Database) {
    let system = System::start_with(database, 2, 1).await;
    let everywhere = [system.scim_at(0), system.scim_at(1)];
    let ann = everywhere[0].post("/Users", &user("ann")).await.expect(201).id();
    system.rosterd(&["workspace", "pause", "acme", "--reason", "first this"]).await.expect_success();

    let refused = system.rosterd(&["workspace", "disable", "acme"]).await.expect_failure(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let disabled = system.rosterd_json(&["workspace", "disable", "acme", "--yes"]).await;
    assert_eq!((&disabled["enabled"], &disabled["paused_at"]), (&json!(false), &Value::Null));
    until_everywhere(&everywhere, 401).await;
    for scim in &everywhere {
        scim.post("/Users", &user("bob")).await.expect_error(401, None);
    }
    system.rosterd(&["token", "create", "acme"]).await.expect_failure(1);
    system.rosterd(&["workspace", "pause", "acme", "--reason", "x"]).await.expect_failure(1);
    system.rosterd(&["workspace", "resume", "acme"]).await.expect_failure(1);

    let enabled = system.rosterd_json(&["workspace", "enable", "acme"]).await;
    let token = enabled["token"].as_str().unwrap();
    for scim in &everywhere {
        scim.with_token(token).get(&format!("/Users/{ann}")).await.expect(200);
        scim.get("/Users").await.expect_error(401, None);
    }
    let tokens = system.rosterd_json(&["token", "list", "acme"]).await;
    let live = tokens["tokens"].as_array().unwrap().iter().filter(|token| token["revoked_at"].is_null());
    assert_eq!(live.count(), 1, "{tokens:#}");
}

#[tokio::test]
async fn the_last_live_token_is_revoked_only_with_a_yes() {
    let system = System::start(Database::Sqlite).await;
    let token = system.token().split('_').nth(1).unwrap().to_owned();
    let refused = system.rosterd(&["token", "revoke", "acme", &token]).await.expect_failure(2);
    assert!(refused.stderr.contains("last live token") && refused.stderr.contains("--yes"), "{}", refused.stderr);
    system.scim().get("/Users").await.expect(200);
    system.rosterd(&["token", "revoke", "acme", &token, "--yes"]).await.expect_success();
    until_everywhere(&[system.scim()], 401).await;
}

on_both!(every_act_of_an_operator_is_audited);
async fn every_act_of_an_operator_is_audited(database: Database) {
    let system = System::start(database).await;
    let first = system.token().split('_').nth(1).unwrap().to_owned();
    let token = system.rosterd_json(&["token", "create", "acme", "--as", "ann"]).await["id"].clone();
    let token = token.as_str().unwrap();
    for act in [
        &["token", "revoke", "acme", &first, "--as", "ann", "--reason", "rotated"][..],
        &["workspace", "dialect", "acme", "okta", "--as", "bob"],
        &["workspace", "pause", "acme", "--as", "bob", "--reason", "wrong group"],
        &["workspace", "resume", "acme", "--as", "ann"],
        &["workspace", "disable", "acme", "--yes", "--as", "ann", "--reason", "another provider"],
    ] {
        system.rosterd(act).await.expect_success();
    }
    let enabled = system.rosterd_json(&["workspace", "enable", "acme", "--as", "cat"]).await;
    let new = enabled["token"].as_str().unwrap().split('_').nth(1).unwrap();

    let log = system.rosterd_json(&["audit", "log", "--workspace", "acme"]).await;
    let text = |record: &Value, name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let acts: Vec<[String; 4]> = log["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| ["actor", "act", "target", "reason"].map(|name| text(record, name)))
        .collect();
    let expected = [
        ["cat", "workspace-enable", new, ""],
        ["ann", "workspace-disable", "acme", "another provider"],
        ["ann", "workspace-resume", "acme", ""],
        ["bob", "workspace-pause", "acme", "wrong group"],
        ["bob", "workspace-dialect", "okta", ""],
        ["ann", "token-revoke", &first, "rotated"],
        ["ann", "token-create", token, ""],
    ];
    assert_eq!(acts[..7], expected.map(|act| act.map(str::to_owned)));
    assert_eq!(log["records"][1]["counts"], json!({ "tokens": 1 }));
    let all: Vec<&str> = acts.iter().map(|act| act[1].as_str()).collect();
    assert_eq!(all[7..], ["workspace-enable", "workspace-create"]);
}

on_both!(the_last_use_of_a_token_is_shown);
async fn the_last_use_of_a_token_is_shown(database: Database) {
    let system = System::start(database).await;
    let made = system.rosterd_json(&["token", "create", "acme", "--label", "second"]).await;
    let last_uses = async || {
        let listed = system.rosterd_json(&["token", "list", "acme"]).await;
        let tokens = listed["tokens"].as_array().unwrap().clone();
        let of = |label| tokens.iter().find(|token| token["label"] == label).unwrap()["last_used_at"].clone();
        [of("first token"), of("second")]
    };
    let version = "SELECT CAST(sum(version) AS bigint) FROM credentials";
    let before = system.number(version).await;
    system.scim().get("/Users").await.expect(200);
    let first = within(Duration::from_secs(5), "the use is shown", async || {
        let [first, second] = last_uses().await;
        assert_eq!(second, Value::Null);
        first.as_str().map(str::to_owned)
    })
    .await;
    assert!(first.starts_with("20") && first.ends_with('Z'), "{first}");
    system.scim().with_token(made["token"].as_str().unwrap()).get("/Users").await.expect(200);
    within(Duration::from_secs(5), "that of the second, too", async || last_uses().await[1].is_string().then_some(()))
        .await;
    system.scim().get("/Users").await.expect(200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(last_uses().await[0], json!(first), "no second report within a minute");
    assert_eq!(system.number(version).await, before, "a use changes nothing that ingresses have to hear of");
}

#[tokio::test]
async fn the_base_url_is_the_one_that_ingresses_use() {
    let system = System::plan(Database::Sqlite)
        .ingress_setting("ROSTERD_PUBLIC_URL", "https://scim.example.com/base/")
        .start()
        .await;
    let base_url = "https://scim.example.com/base/scim/v2/acme";
    assert_eq!(system.rosterd_json(&["workspace", "show", "acme"]).await["base_url"], base_url);
    let created = system.scim().post("/Users", &user("ann")).await.expect(201);
    assert!(created.header("location").starts_with(base_url), "{}", created.header("location"));

    system.ingresses[0].kill().await;
    let began = Instant::now();
    assert_eq!(system.rosterd_json(&["workspace", "show", "acme"]).await["base_url"], Value::Null);
    let shown = system.rosterd(&["workspace", "show", "acme"]).await.expect_success().stdout;
    assert!(shown.contains("Base URL  not known while no ingress runs"), "{shown}");
    assert!(began.elapsed() < Duration::from_secs(3), "it takes no time to see that no ingress runs");
}

/// Every ingress answers so within a second.
async fn until_everywhere(everywhere: &[Scim], status: u16) {
    let since = Instant::now();
    for scim in everywhere {
        while scim.get("/Users").await.status != status {
            assert!(since.elapsed() < Duration::from_secs(1), "not {status} after {:?}", since.elapsed());
        }
    }
}
