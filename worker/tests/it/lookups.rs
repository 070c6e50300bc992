//! A batch reads the rows that its commands name, however many others there are and whatever the database believes of them.

use protocol::scim::resource_type::ResourceType::User;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::log::{Log, new_user_with, patch, user};
use crate::test_database::{TestDatabase, postgres_db, resource, statuses};

/// Rows of a table that were read, through all its indexes and without.
async fn rows_read(db: &TestDatabase, table: &str) -> i64 {
    let through = format!("SELECT SUM(idx_tup_read)::bigint FROM pg_stat_user_indexes WHERE relname = '{table}'");
    let without = format!("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = '{table}'");
    db.value::<i64>(&through).await + db.value::<i64>(&without).await
}

#[tokio::test]
async fn an_onboarding_does_not_read_again_whom_it_has_created() {
    const BATCHES: u128 = 20;
    const BATCH: u128 = 100;
    let db = postgres_db().await;
    // Another workspace is all that the statistics know.
    let mut known = Log::of("known");
    let user_of = |n: u128| json!({"userName": format!("user{n}"), "emails": [{"value": format!("{n}@example.com")}]});
    let crowd: Vec<_> = (1..=1000).map(|n| known.user(n, new_user_with(user_of(n)))).collect();
    for some in crowd.chunks(250) {
        db.apply(some).await;
    }
    let db = db.closed().await;
    db.raw().await.execute_unprepared("ANALYZE; SELECT pg_stat_reset()").await.unwrap();

    let mut log = Log::from("onboarding", 10_000);
    for batch in 0..BATCHES {
        let creates =
            (0..BATCH).map(|n| log.user(10_000 + batch * BATCH + n, new_user_with(user_of(batch * BATCH + n))));
        let outcomes = db.apply(&creates.collect::<Vec<_>>()).await;
        assert!(statuses(&outcomes).iter().all(|status| *status == 201));
    }
    let title = json!({"op": "replace", "path": "title", "value": "Engineer"});
    let patched = db.apply_one(log.user(10_000, patch(User, &title))).await;
    assert_eq!(resource(&patched).meta.version.number(), 2);
    assert!(db.get("onboarding", User, user(10_000)).await.is_some());

    // What a session has read is counted when it ends, at the latest.
    let db = db.closed().await;
    for table in ["users", "operations", "user_emails"] {
        let read = rows_read(&db, table).await;
        assert!(read <= 100, "{table}: {read} rows read");
    }
}
