//! The main job: a company is onboarded over HTTP through two ingresses, the log and three workers, of which a random
//! one is killed three times on the way. Nothing is lost, nothing is doubled.

use std::cell::RefCell;

use rand::seq::IndexedRandom;
use rosterd::simulate::{self, Options, Progress};
use runtime::settings::Secret;

use crate::harness::{Database, Dev, System, on_both};

/// How many people the issue asks for.
const USERS: usize = 2_000;
const GROUPS: usize = 40;

on_both!(a_company_is_onboarded_while_workers_are_killed);
async fn a_company_is_onboarded_while_workers_are_killed(database: Database) {
    let dev = Dev::start(database, &["--ingresses", "2", "--workers", "3"]).await;
    let options = Options {
        base_urls: dev.base_urls(),
        token: Secret::new(dev.ready().token),
        users: USERS,
        groups: GROUPS,
        concurrency: 32,
        rate: None,
        probe: true,
        stall: None,
        seed: 1,
    };
    assert_eq!(options.base_urls.len(), 2);
    let killed = RefCell::new(Vec::new());
    let report = simulate::run(options, |progress| kill_at_quarters(&dev, progress, &killed)).await.unwrap();

    assert_eq!(killed.borrow().len(), 3, "{killed:?}");
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.people + report.deleted, USERS);
    assert_eq!(report.groups, GROUPS);
    println!("{database:?}, workers killed: {killed:?}\n{report}");
    assert_eq!(dev.terminate().await, Some(0));
}

#[tokio::test]
async fn the_command_plays_runs_that_do_not_meet_and_reports_a_run_that_does() {
    let system = System::start_with(Database::Sqlite, 2, 1).await;
    let run = ["--users", "60", "--groups", "4", "--concurrency", "8", "-o", "json", "--seed"];
    let play = async |seed| system.simulate(&[&run[..], &[seed]].concat()).await;
    let report = play("1").await.expect_success().json();
    assert_eq!((&report["people"], &report["groups"], &report["deleted"]), (&58.into(), &4.into(), &2.into()));
    assert_eq!((&report["errors"], &report["differences"]), (&serde_json::json!([]), &serde_json::json!([])));
    play("2").await.expect_success();

    let again = play("1").await.expect_failure(1).json();
    assert!(again["errors"][0]["why"].as_str().unwrap().contains("there is one already"), "{again:#}");
    let unprobed = ["--users", "60", "--groups", "4", "--no-probe", "--seed", "3"];
    let table = system.simulate(&unprobed).await.expect_success().stdout;
    assert!(table.contains("create user") && table.contains("all verified"), "{table}");
}

/// Kills a random worker when 25, 50 and 75 % of the writes are answered.
fn kill_at_quarters(dev: &Dev, Progress { answered, total, .. }: Progress, killed: &RefCell<Vec<String>>) {
    let due = answered * 4 / total;
    if due <= killed.borrow().len() || due > 3 {
        return;
    }
    let ready = dev.ready();
    let workers: Vec<_> = ready.processes.iter().filter(|process| process.role == "worker").collect();
    let worker = workers.choose(&mut rand::rng()).unwrap();
    worker.kill();
    killed.borrow_mut().push(worker.name.clone());
}
