//! The schema: taken up, taken down, looked at, and by two workers at once.

use crate::harness::{Bench, Database, Schema, on_both};

on_both!(migrations_go_up_and_down_and_say_where_they_are);
async fn migrations_go_up_and_down_and_say_where_they_are(database: Database) {
    let bench = Bench::new(database, Schema::Empty).await;
    let status = async || bench.rosterd(&["migrate", "status"]).await.expect_success().stdout;
    let (empty, up) = (status().await, async || bench.rosterd(&["migrate", "up"]).await.expect_success());
    assert!(empty.contains("pending") && !empty.contains("applied"), "{empty}");
    up().await;
    let full = status().await;
    assert!(full.contains("applied") && !full.contains("pending"), "{full}");
    up().await;
    assert_eq!(status().await, full, "a second time changes nothing");
    bench.rosterd(&["migrate", "down"]).await.expect_success();
    assert!(status().await.contains("pending"));
    up().await;
    assert_eq!(status().await, full);
}

on_both!(two_workers_that_migrate_at_the_same_time_do_not_collide);
async fn two_workers_that_migrate_at_the_same_time_do_not_collide(database: Database) {
    let bench = Bench::new(database, Schema::Empty).await;
    let (mut first, mut second) = futures::join!(bench.worker(&["--migrate"]), bench.worker(&["--migrate"]));
    let (one, two) = futures::join!(first.line("ready"), second.line("ready"));
    assert!(one.is_some() && two.is_some(), "{}", bench.logs());
    let status = bench.rosterd(&["migrate", "status"]).await.expect_success().stdout;
    assert!(!status.contains("pending"), "{status}");
    assert_eq!(first.terminate().await, Some(0), "{}", bench.logs());
    assert_eq!(second.terminate().await, Some(0), "{}", bench.logs());
}

#[tokio::test]
async fn a_worker_without_its_schema_says_what_to_do() {
    let bench = Bench::new(Database::Sqlite, Schema::Empty).await;
    let mut worker = bench.worker(&[]).await;
    assert_eq!(worker.line("ready").await, None);
    assert!(bench.logs().contains("migrate up"), "{}", bench.logs());
}
