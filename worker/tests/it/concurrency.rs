//! Several workers on one database.

use std::time::{Duration, Instant};

use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource_type::ResourceType;
use runtime::clock::Clock;
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use serde_json::json;
use tokio::time::sleep;
use worker::accepted::Accepted;
use worker::apply::{Ending, apply};
use worker::store::Store;

use crate::log::{Log, NOW, add_members, delete, new_group, new_user, refs, set, user};
use crate::test_database::{TestDatabase, on_both, status};

async fn run(store: &Store, batch: &[Accepted]) -> Vec<Ending> {
    let policy = OwnershipPolicy::default();
    loop {
        // A worker that is told "not now" tries again.
        match Box::pin(apply(store, &policy, &refs(batch), Clock::Fixed(NOW))).await {
            Ok(endings) if !endings.iter().any(|ending| matches!(ending, Ending::Parked(_))) => {
                return endings;
            }
            Ok(_) => {}
            Err(failure) => assert!(failure.is_unavailable(), "{failure}"),
        }
    }
}

fn status_of(ending: &Ending) -> u16 {
    match ending {
        Ending::Answered(outcome) => status(outcome),
        Ending::Dead(reason) => panic!("dead: {reason}"),
        Ending::Committed => panic!("its outcome cannot be read"),
        Ending::Parked(parked) => panic!("parked: {parked:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_names_in_opposite_order_go_to_one_each() {
    on_both(async |db| {
        if db.is_postgres() {
            // A circle is found before the wait in it is given up.
            let prompt = format!("ALTER DATABASE {} SET deadlock_timeout = '10ms'", db.url.rsplit('/').next().unwrap());
            db.raw().await.execute_unprepared(&prompt).await.unwrap();
        }
        let (one, other) = (db.another_store().await, db.another_store().await);
        for round in 0..10_u64 {
            let (mut left, mut right) = (Log::from("acme", 1 + round * 1000), Log::from("acme", 501 + round * 1000));
            let at = u128::from(round) * 1000;
            let name = |n: u128| format!("round {round} user {n}");
            let forth: Vec<_> = (0..40).map(|n| left.user(at + n, new_user(&name(n)))).collect();
            // Their ids are in opposite order, too: only the names say in which order to write.
            let back: Vec<_> = (0..40).rev().map(|n| right.user(at + 999 - n, new_user(&name(n)))).collect();
            let (forth, back) = tokio::join!(run(&one, &forth), run(&other, &back));
            let created = |endings: &[Ending]| endings.iter().filter(|ending| status_of(ending) == 201).count();
            assert_eq!(created(&forth) + created(&back), 40, "round {round}");
            let refused = |endings: &[Ending]| endings.iter().filter(|ending| status_of(ending) == 409).count();
            assert_eq!(refused(&forth) + refused(&back), 40, "round {round}");
        }
        assert_eq!((db.count("users").await, db.count("operations").await), (400, 800));
        if db.is_postgres() {
            // Sessions report what they met when they end.
            db.store.clone().close().await.unwrap();
            one.close().await.unwrap();
            other.close().await.unwrap();
            let others =
                "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
            let until = Instant::now() + Duration::from_secs(30);
            while db.value::<i64>(others).await > 0 {
                assert!(Instant::now() < until, "a session does not end");
                sleep(Duration::from_millis(5)).await;
            }
            let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
            assert_eq!(db.value::<i64>(deadlocks).await, 0, "they waited for each other in a circle");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_workers_on_one_user_lose_no_update() {
    on_both(async |db| {
        let other = db.another_store().await;
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        for round in 0..5 {
            let value = json!(format!("round {round}"));
            let (title, nickname) =
                ([log.user(1, set("title", value.clone()))], [log.user(1, set("nickName", value.clone()))]);
            // Both have begun, and read what they read without the lock, before either has it.
            let row = if db.is_postgres() { Some(locked_rows(db).await) } else { None };
            let release = async {
                if let Some(row) = row {
                    both_wait(db).await;
                    row.rollback().await.unwrap();
                }
            };
            let (left, right) = (Box::pin(run(&db.store, &title)), Box::pin(run(&other, &nickname)));
            tokio::join!(left, right, release);
            let shown = db.get("acme", ResourceType::User, user(1)).await.unwrap();
            let shown = serde_json::to_value(&shown.attributes).unwrap();
            assert_eq!((&shown["title"], &shown["nickName"]), (&value, &value), "{shown:#}");
        }
        assert_eq!(db.value::<i64>("SELECT version FROM users").await, 11);
    })
    .await;
}

/// All users, locked by nobody's worker.
async fn locked_rows(db: &TestDatabase) -> DatabaseTransaction {
    let transaction = db.raw().await.begin().await.unwrap();
    transaction.execute_unprepared("SELECT id FROM users FOR UPDATE").await.unwrap();
    transaction
}

async fn both_wait(db: &TestDatabase) {
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let until = Instant::now() + Duration::from_secs(30);
    while db.value::<i64>(waiting).await < 2 {
        assert!(Instant::now() < until, "the two do not both wait");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_batch_delivered_to_two_workers_takes_effect_once() {
    on_both(async |db| {
        let other = db.another_store().await;
        let mut log = Log::of("acme");
        let mut batch = vec![log.group(1, new_group("Everybody", &[]))];
        for n in 0..30 {
            batch.push(log.user(n, new_user(&format!("user{n}"))));
            batch.push(log.user(n, set("displayName", json!(format!("User {n}")))));
            batch.push(log.group(1, add_members(&[user(n)])));
        }
        batch.extend((0..10).map(|n| log.user(n, delete())));
        let (left, right) = tokio::join!(run(&db.store, &batch), run(&other, &batch));
        assert!(left.iter().chain(&right).all(|ending| [200, 201, 204, 404].contains(&status_of(ending))));
        assert_eq!((db.count("users").await, db.count("group_members").await), (20, 20));
        assert_eq!(db.value::<i64>("SELECT MAX(version) FROM users").await, 2);
        // One creation, thirty members in, ten out.
        assert_eq!(db.value::<i64>("SELECT version FROM groups").await, 41);
        assert_eq!((db.count("operations").await, db.count("settled_copies").await), (101, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_added_by_two_workers_to_one_group_all_survive() {
    on_both(async |db| {
        let other = db.another_store().await;
        let mut log = Log::of("acme");
        db.apply(&[log.group(1, new_group("A", &[])), log.group(2, new_group("B", &[]))]).await;
        for round in 0..10 {
            let (one, two) = (user(round * 2), user(round * 2 + 1));
            let left = [log.group(1, add_members(&[one])), log.group(2, add_members(&[one]))];
            let right = [log.group(2, add_members(&[two])), log.group(1, add_members(&[two]))];
            tokio::join!(run(&db.store, &left), run(&other, &right));
        }
        assert_eq!(db.count("group_members").await, 40);
        assert_eq!(db.value::<i64>("SELECT MIN(member_count) FROM groups").await, 20);
        assert_eq!(db.value::<i64>("SELECT MIN(version) FROM groups").await, 21);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_member_added_while_the_user_is_deleted_does_not_stay() {
    on_both(async |db| {
        let other = db.another_store().await;
        let mut log = Log::of("acme");
        db.apply_one(log.group(1, new_group("A", &[]))).await;
        for n in 0..10 {
            db.apply_one(log.user(n, new_user(&format!("user{n}")))).await;
            let (add, remove) = ([log.group(1, add_members(&[user(n)]))], [log.user(n, delete())]);
            let (added, removed) = tokio::join!(run(&db.store, &add), run(&other, &remove));
            assert_eq!((status_of(&added[0]), status_of(&removed[0])), (204, 204));
        }
        let shown = db.get("acme", ResourceType::Group, crate::log::group(1)).await.unwrap();
        assert_eq!(crate::test_database::member_ids(&shown), []);
        let rows = db.count("group_members").await;
        assert_eq!(db.value::<i64>("SELECT member_count FROM groups").await, rows);
    })
    .await;
}
