//! `rosterd dev`: a system that keeps itself running, and a ready file by which anybody can drive it.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::process::Command;

use crate::harness::scim::user;
use crate::harness::{Database, Dev, Entry, is_running, within};

#[tokio::test]
async fn the_ready_file_is_private_and_lists_every_process() {
    let dev = Dev::start(Database::Sqlite, &["--ingresses", "2", "--workers", "2"]).await;
    let mode = std::fs::metadata(dev.ready_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ready = dev.ready();
    let mut roles: Vec<&str> = ready.processes.iter().map(|process| process.role.as_str()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["broker", "ingress", "ingress", "worker", "worker"]);
    assert!(ready.processes.iter().all(|process| is_running(process.pid)));
    assert!(ready.nats_url.starts_with("nats://") && ready.database_url.starts_with("sqlite:"), "{ready:?}");
    for process in &ready.processes {
        let argv = process.argv.join(" ");
        assert!(!argv.contains(&ready.token) && !argv.contains(&ready.database_url), "a secret in {argv}");
        assert_eq!(process.url.is_some(), process.role != "worker", "{process:?}");
    }
}

#[tokio::test]
async fn a_process_that_dies_is_started_again_on_the_same_port() {
    let dev = Dev::start(Database::Sqlite, &["--workers", "1"]).await;
    let scim = dev.scim();
    scim.post("/Users", &user("ann")).await.expect(201);
    for name in ["worker-1", "ingress-1", "broker"] {
        let before = dev.ready().process(name).unwrap().clone();
        before.kill();
        let after =
            within(Duration::from_secs(5), "it is listed with its new pid", async || successor(&dev, &before)).await;
        assert_eq!(after.url, before.url, "{name}");
        assert_eq!(scim.find("/Users", "userName eq \"ann\"").await.len(), 1, "after {name} was killed");
    }
    scim.post("/Users", &user("bob")).await.expect(201);
}

#[tokio::test]
async fn the_printed_curl_creates_a_user() {
    let mut dev = Dev::start(Database::Sqlite, &["--workers", "1"]).await;
    let mut shown = String::new();
    while let Some(line) = dev.line("").await {
        shown.push_str(&line);
        shown.push('\n');
        let printed = shown.split_once("curl ").map(|(_, rest)| rest.trim_end());
        if printed.is_some_and(|curl| !curl.ends_with('\\') && curl.matches('\'').count().is_multiple_of(2)) {
            break;
        }
    }
    let (_, curl) = shown.split_once("curl ").unwrap_or_else(|| panic!("no curl in {shown}"));
    let output = Command::new("sh").args(["-c", &format!("curl --silent --show-error {curl}")]).output().await.unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && answer.contains("\"userName\""), "{curl}\n{answer}{output:?}");
    let total = dev.scim().get("/Users?count=0").await.expect(200).body["totalResults"].clone();
    assert_eq!(total, 1, "{curl}\n{answer}");
}

#[tokio::test]
async fn nothing_is_left_behind_when_the_supervisor_itself_is_killed() {
    let dev = Dev::start(Database::Sqlite, &["--workers", "2"]).await;
    let processes = dev.ready().processes;
    dev.kill().await;
    within(Duration::from_secs(5), "all its processes are gone", async || {
        processes.iter().all(|process| !is_running(process.pid)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn told_to_stop_it_stops_everything_and_exits_with_success() {
    let dev = Dev::start(Database::Sqlite, &["--workers", "2"]).await;
    let processes = dev.ready().processes;
    assert_eq!(dev.terminate().await, Some(0));
    assert!(processes.iter().all(|process| !is_running(process.pid)), "{processes:?}");
}

/// The process of the same name under a new pid.
fn successor(dev: &Dev, before: &Entry) -> Option<Entry> {
    dev.ready().process(&before.name).filter(|after| after.pid != before.pid).cloned()
}
