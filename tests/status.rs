//! What operators are told: `rosterd status`, `/metrics`, probes; and what they can do: pause a lane, drain a worker.

mod metrics;

use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use self::metrics::Metrics;
use crate::harness::scim::{Answer, Scim, user};
use crate::harness::{Database, Part, System, within};

/// Within this both tell the truth. Here, with other tests on the same machine, they get more; `LAG` is what they may be old.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// What the system says of itself, whatever it exits with.
async fn status(system: &System) -> Value {
    let said = system.rosterd(&["status", "-o", "json"]).await;
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr))
}

/// Waits until status and metrics of a part both are as they should be.
async fn told(
    system: &System,
    part: &Part,
    what: &str,
    is_status: impl Fn(&Value) -> bool,
    is_metrics: impl Fn(&Metrics) -> bool,
) -> Value {
    let began = Instant::now();
    let (mut last_status, mut last_page) = (Value::Null, Metrics::default());
    while began.elapsed() < TOLD_WITHIN {
        (last_status, last_page) = (status(system).await, Metrics::of(part).await);
        if is_status(&last_status) && is_metrics(&last_page) {
            return last_status;
        }
    }
    panic!("not told: {what}\n{last_status:#}\n{last_page:#?}");
}

async fn create(scim: Scim, name: String) -> Answer {
    scim.post("/Users", &user(&name)).await
}

fn lane<'a>(status: &'a Value, name: &str) -> &'a Value {
    let lanes = status["lanes"].as_array().unwrap();
    lanes.iter().find(|lane| lane["lane"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_while_workers_are_frozen_is_told_alike_by_status_and_metrics() {
    let system = System::plan(Database::Sqlite).measured().start().await;
    system.scim().post("/Users", &user("first")).await.expect(201);
    system.workers[0].pause();
    let posts = (0..300).map(|number| create(system.scim(), format!("person-{number}")));
    let posts = tokio::spawn(join_all(posts.collect::<Vec<_>>()));
    let waits = |status: &Value| {
        let interactive = lane(status, "interactive");
        interactive["waiting_in_ingresses"] == 172 && interactive["in_log"] == 128
    };
    let measured = |page: &Metrics| {
        let in_log = page.value("rosterd_pending", &["lane=\"interactive\""])
            + page.value("rosterd_ack_pending", &["lane=\"interactive\""]);
        (page.value("rosterd_admission_waiting", &["lane=\"interactive\""]) - 172.0).abs() < 0.5
            && (in_log - 128.0).abs() < 0.5
            && page.value("rosterd_http_in_flight", &[]) > 299.0
            && page.value("rosterd_held_requests", &[]) > 299.0
            && page.value("rosterd_oldest_pending_seconds", &["lane=\"interactive\""]) > 0.5
    };
    let told = told(&system, &system.ingresses[0], "300 writes wait", waits, measured).await;
    let sentence = told["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("degraded: no worker answers"), "{sentence}");
    assert!(sentence.contains("300 changes wait (172 in ingresses, 128 in the log), the oldest for"), "{sentence}");
    let table = system.rosterd(&["status"]).await.expect_failure(1).stdout;
    assert_eq!(table.lines().next().map(|line| line.starts_with("degraded: no worker answers")), Some(true), "{table}");
    assert!(table.lines().skip(1).all(|line| line.chars().count() <= 100), "{table}");
    system.workers[0].resume();
    for answer in posts.await.unwrap() {
        answer.expect(201);
    }
    within(TOLD_WITHIN, "all is well", async || (status(&system).await["healthy"] == true).then_some(())).await;
    let healthy = system.rosterd(&["status"]).await.expect_success().stdout;
    assert!(healthy.starts_with("healthy: 1 ingress and 1 worker, nothing waits"), "{healthy}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_stopped_is_told_alike_by_status_and_metrics() {
    let system = System::plan(Database::Postgresql).own_postgresql().measured().start().await;
    let up = |up: f64| move |page: &Metrics| (page.value("rosterd_database_up", &[]) - up).abs() < 0.5;
    let well = |status: &Value| status["healthy"] == true && status["database"]["up"] == true;
    told(&system, &system.workers[0], "all is well", well, up(1.0)).await;
    system.postgresql().kill().await;
    let ill = |status: &Value| status["database"]["up"] == false;
    let told_ill = told(&system, &system.workers[0], "the database is away", ill, up(0.0)).await;
    assert_eq!(told_ill["problems"], json!(["the database does not answer 1 of 1 workers"]), "{told_ill:#}");
    system.postgresql().start_again().await;
    told(&system, &system.workers[0], "all is well again", well, up(1.0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_lane_is_not_pulled_and_others_are() {
    let system = System::plan(Database::Sqlite).measured().start().await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    let reason = "maintenance until noon";
    system.rosterd(&["lane", "pause", "interactive", "--reason", reason]).await.expect_success();
    let is_paused = |status: &Value| lane(status, "interactive")["paused"]["reason"] == reason;
    let measured = |page: &Metrics| page.value("rosterd_lane_paused", &["lane=\"interactive\""]) > 0.5;
    let told_paused = told(&system, &system.workers[0], "the lane is paused", is_paused, measured).await;
    assert_eq!(told_paused["problems"], json!([format!("lane interactive is paused ({reason})")]));
    // A pull that was under way when the lane was paused has ended by then.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let post = tokio::spawn(create(system.scim(), "bob".to_owned()));
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    scim.patch(&format!("/Users/{id}"), off).await.expect(200);
    let waits = |status: &Value| lane(status, "interactive")["pending"] == 1;
    let pending = |page: &Metrics| page.value("rosterd_pending", &["lane=\"interactive\""]) > 0.5;
    told(&system, &system.workers[0], "the create waits", waits, pending).await;
    let listed = system.rosterd_json(&["message", "list", "--pending"]).await;
    assert_eq!(listed["messages"][0]["why"], format!("lane paused: {reason}"), "{listed:#}");
    system.workers[0].restart().await;
    assert!(!post.is_finished(), "a worker that starts knows of the pause");
    let resumed = system.rosterd_json(&["lane", "resume", "interactive"]).await;
    assert_eq!(resumed, json!({ "lane": "interactive", "paused": false }));
    post.await.unwrap().expect(201);
    let said = system.rosterd(&["lane", "pause", "urgent", "--reason", "x"]).await.expect_failure(2).stderr;
    assert!(said.contains("takes access away"), "{said}");
    let lanes = system.rosterd(&["lane", "list"]).await.expect_success().stdout;
    assert!(lanes.contains("interactive") && !lanes.contains("paused"), "{lanes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_killed_is_not_listed_and_one_that_is_drained_leaves() {
    let system = System::plan(Database::Sqlite).workers(2).measured().start().await;
    let listed = async || {
        let listed = system.rosterd_json(&["worker", "list"]).await;
        listed["workers"].as_array().unwrap().clone()
    };
    within(TOLD_WITHIN, "both are listed", async || (listed().await.len() == 2).then_some(())).await;
    system.workers[0].kill().await;
    let left = within(TOLD_WITHIN, "one is left", async || {
        let listed = listed().await;
        (listed.len() == 1).then_some(listed)
    })
    .await;
    assert_eq!((left[0]["state"].as_str(), left[0]["database_answers"].as_bool()), (Some("ready"), Some(true)));
    let instance = left[0]["instance"].as_str().unwrap();
    let said = system.rosterd(&["worker", "drain", "w-nobody"]).await.expect_failure(3).stderr;
    assert!(said.contains("rosterd worker list"), "{said}");
    system.rosterd(&["worker", "drain", instance]).await.expect_success();
    assert_eq!(system.workers[1].end().await, Some(0));
    let told = status(&system).await;
    assert_eq!(told["problems"][0], "no worker answers", "{told:#}");
    system.ingresses[0].kill().await;
    let said = system.rosterd(&["status"]).await.expect_failure(4).stderr;
    assert!(said.contains("is one running?"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_new_is_told_alike_by_status_and_metrics() {
    let system = System::plan(Database::Sqlite).measured().start().await;
    system.publish(&format!("cmd.interactive.acme.Users.{}", Uuid::from_u128(7)), br#"{"v":9999}"#).await;
    let waits = |status: &Value| {
        let interactive = lane(status, "interactive");
        interactive["ack_pending"] == 1 && interactive["oldest_seconds"].as_f64() > Some(0.5)
    };
    let measured = |page: &Metrics| {
        page.value("rosterd_too_new_total", &[]) > 0.5
            && (page.value("rosterd_ack_pending", &["lane=\"interactive\""]) - 1.0).abs() < 0.5
            && page.value("rosterd_oldest_pending_seconds", &["lane=\"interactive\""]) > 0.5
    };
    told(&system, &system.workers[0], "the message waits", waits, measured).await;
    let listed = system.rosterd_json(&["message", "list", "--pending"]).await;
    assert_eq!(listed["messages"][0]["why"], "too new: form 9999 needs a newer worker", "{listed:#}");
    assert_eq!(listed["messages"][0]["target"]["workspace"], "acme", "{listed:#}");
    let checked = system.rosterd(&["check"]).await.expect_success().stdout;
    assert!(checked.contains("current") && !checked.contains("WRONG"), "{checked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_documented_is_what_is_shown_and_prometheus_has_nothing_to_say() {
    let system = System::plan(Database::Postgresql).measured().start().await;
    let scim = system.scim();
    let id = scim.post("/Users", &user("ann")).await.expect(201).id();
    scim.bare(Method::GET, "/Users").send().await.unwrap();
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    scim.patch(&format!("/Users/{id}"), off).await.expect(200);
    for (part, own) in [(&system.ingresses[0], "Ingress"), (&system.workers[0], "Worker")] {
        assert_eq!(part.operation("/livez").await.status, 200);
        assert_eq!(part.operation("/readyz").await.status, 200);
        assert_eq!(part.operation("/nothing").await.status, 404);
        assert_eq!(part.operation("/version").await.body["version"], env!("CARGO_PKG_VERSION"));
        let page = Metrics::of(part).await;
        assert_eq!(page.families(), metrics::documented(&[own, "Both"]), "{own}");
        metrics::lint(page.text()).await;
    }
    let worker = Metrics::of(&system.workers[0]).await;
    assert!((worker.value("rosterd_outcomes_total", &["outcome=\"created\"", "kind=\"create\""]) - 1.0).abs() < 0.5);
    assert!((worker.value("rosterd_deactivation_duration_seconds_count", &[]) - 1.0).abs() < 0.5);
    let ingress = Metrics::of(&system.ingresses[0]).await;
    assert!((ingress.value("rosterd_unauthorized_total", &[]) - 1.0).abs() < 0.5);
    let created = ["route=\"/scim/v2/{workspace}/Users\"", "method=\"POST\"", "code=\"201\""];
    assert!((ingress.value("rosterd_http_requests_total", &created) - 1.0).abs() < 0.5);
    assert!(!ingress.text().contains("acme") && !worker.text().contains("acme"), "no workspace in labels");
}
