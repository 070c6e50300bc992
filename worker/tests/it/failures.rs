//! Which failures condemn a command, which park it alone, and which stop everything.

use std::time::{Duration, Instant};

use protocol::message::query::GetResource;
use protocol::ownership::OwnershipPolicy;
use protocol::scim::list::Include;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource_type::ResourceType;
use runtime::clock::Clock;
use sea_orm::{ConnectionTrait, DatabaseTransaction, TransactionTrait};
use worker::accepted::Accepted;
use worker::apply::{Ending, Parked, apply_parked};

use crate::log::{Log, NOW, add_members, delete, new_group, new_user, put_user, refs, set, user};
use crate::test_database::{TestDatabase, on_both, postgres_db, status};

/// Far below the time that a batch would wait for a row if nothing bounded it, far above what the others need.
const PROMPTLY: Duration = Duration::from_secs(1);

#[tokio::test]
async fn what_lies_in_the_data_condemns_that_command_alone() {
    on_both(async |db| {
        let failures: &[&str] =
            if db.is_postgres() { &["22001", "23514", "54000"] } else { &["RAISE(ABORT, 'no')", "RAISE(FAIL, 'no')"] };
        for (n, failure) in failures.iter().enumerate() {
            fail_evil(db, failure).await;
            let mut log = Log::from("acme", 1 + 100 * n as u64);
            let endings = db.endings(&three(&mut log, n)).await;
            assert_eq!(shown(&endings), ["201", "dead", "201"], "{failure}");
            heal(db).await;
        }
        assert_eq!(usize::try_from(db.count("dead_letters").await).unwrap(), failures.len());
    })
    .await;
}

#[tokio::test]
async fn what_nothing_proves_parks_that_command_alone() {
    on_both(async |db| {
        // On SQLite an overflow is a plain SQLITE_ERROR.
        let failures: &[&str] =
            if db.is_postgres() { &["XX000", "P0001", "0A000", "53100"] } else { &["abs(-9223372036854775807 - 1)"] };
        for (n, failure) in failures.iter().enumerate() {
            fail_evil(db, failure).await;
            let mut log = Log::from("acme", 1 + 100 * n as u64);
            let batch = three(&mut log, n);
            for _ in 0..3 {
                assert_eq!(shown(&db.endings(&batch).await), ["201", "failed", "201"], "{failure}");
            }
            heal(db).await;
            assert_eq!(shown(&again(db, &batch[1..2]).await), ["201"], "{failure}");
        }
        assert_eq!((db.count("dead_letters").await, db.count("attempts").await), (0, 0));
    })
    .await;
}

#[tokio::test]
async fn a_failure_of_everything_is_held_against_nothing() {
    on_both(async |db| {
        let failure = if db.is_postgres() { "XX000" } else { "abs(-9223372036854775807 - 1)" };
        fail(db, failure, "TRUE").await;
        let mut log = Log::of("acme");
        let batch: Vec<_> = (0..50).map(|n| log.user(n, new_user(&format!("user{n}")))).collect();
        assert_eq!(shown(&db.endings(&batch).await), ["waiting"; 50]);
        heal(db).await;
        assert_eq!(shown(&again(db, &batch).await), ["201"; 50]);
    })
    .await;
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_costs_no_more_than_a_new_connection() {
    let db = postgres_db().await;
    let mut log = Log::of("acme");
    db.apply_one(log.user(1, new_user("alice"))).await;
    let raw = db.raw().await;
    raw.execute_unprepared("ALTER TABLE users ALTER COLUMN external_id TYPE VARCHAR(300)").await.unwrap();
    let endings = db.endings(&[log.user(1, set("title", "Boss"))]).await;
    assert_eq!(shown(&endings), ["200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_row_parks_the_commands_that_need_it_and_nobody_else() {
    let db = postgres_db().await;
    let mut log = Log::of("acme");
    let people: Vec<_> = (0..20).map(|n| log.user(n, new_user(&format!("user{n}")))).collect();
    db.apply(&people).await;
    db.apply_one(log.group(1, new_group("Staff", &[user(4)]))).await;

    let locked = lock(&db, "SELECT id FROM users WHERE user_name = 'user3' FOR UPDATE").await;
    locked.execute_unprepared("SELECT id FROM groups FOR UPDATE").await.unwrap();
    let mut batch: Vec<_> = (0..20).filter(|n| *n != 4).map(|n| log.user(n, set("title", "Boss"))).collect();
    // Behind one that is parked; a member of a locked group; that group.
    batch.extend([log.user(3, set("title", "Chief")), log.user(4, delete()), log.group(1, add_members(&[user(5)]))]);
    let began = Instant::now();
    let first = shown(&db.endings(&batch).await);
    assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
    let expected = |n: usize| match n {
        3 | 20 | 21 => "locked",
        19 => "waiting",
        _ => "200",
    };
    assert_eq!(first, (0..22).map(expected).collect::<Vec<_>>());

    locked.rollback().await.unwrap();
    let parked = [batch[3].clone(), batch[19].clone(), batch[20].clone(), batch[21].clone()];
    assert_eq!(shown(&again(&db, &parked).await), ["200", "200", "204", "204"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_somebody_is_about_to_take_parks_the_command_that_wants_it() {
    let db = postgres_db().await;
    let mut log = Log::of("acme");
    db.apply_one(log.user(1, new_user("alice"))).await;
    let taken = lock(&db, "UPDATE users SET user_name_key = 'bob'").await;
    let batch = [log.user(2, new_user("bob")), log.user(2, set("title", "Boss")), log.user(3, new_user("carol"))];
    let began = Instant::now();
    assert_eq!(shown(&db.endings(&batch).await), ["locked", "waiting", "201"]);
    assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
    taken.rollback().await.unwrap();
    assert_eq!(shown(&again(&db, &batch[..2]).await), ["201", "200"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_behind_a_parked_command_is_not_settled_before_it() {
    let db = postgres_db().await;
    let mut log = Log::of("acme");
    db.apply_one(log.user(1, new_user("alice"))).await;
    let locked = lock(&db, "SELECT id FROM users FOR UPDATE").await;
    let first = log.user(1, put_user(serde_json::json!({ "userName": "alice", "title": "Boss" })));
    let copy = Accepted { sequence: first.sequence + 1, ..first.clone() };
    assert_eq!(shown(&db.endings(&[first.clone(), copy.clone()]).await), ["locked", "waiting"]);
    assert_eq!(db.count("settled_copies").await, 0);
    locked.rollback().await.unwrap();
    assert_eq!(shown(&again(&db, &[first, copy]).await), ["200", "200"]);
    assert_eq!(db.count("settled_copies").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_take_no_connection_from_what_is_settled() {
    let db = postgres_db().await;
    let locked = lock(&db, "LOCK TABLE users").await;
    let read = || {
        let store = db.store.clone();
        let (resource_type, id) = (ResourceType::User, user(1));
        let query = GetResource { resource_type, id, precondition: Precondition::None, joined: Include::NONE }.into();
        tokio::spawn(async move { worker::answer::answer(&store, &"acme".parse().unwrap(), &query).await })
    };
    let readers: Vec<_> = (0..8).map(|_| read()).collect();
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while db.value::<i64>(waiting).await < 2 {}
    let began = Instant::now();
    assert!(db.store.for_settling().settled(&[1]).await.unwrap().is_empty());
    assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
    locked.rollback().await.unwrap();
    for reader in readers {
        reader.abort();
    }
}

/// Three users are created; the second is one whom the database may not like.
fn three(log: &mut Log, round: usize) -> [Accepted; 3] {
    let names = [format!("alice{round}"), format!("evil{round}"), format!("bob{round}")];
    let at = 10 * round as u128;
    [0, 1, 2].map(|n| log.user(at + n as u128, new_user(&names[n])))
}

async fn fail_evil(db: &TestDatabase, failure: &str) {
    fail(db, failure, "NEW.user_name LIKE 'evil%'").await;
}

/// From now on the database fails so at every insert of a user for which the condition holds.
async fn fail(db: &TestDatabase, failure: &str, condition: &str) {
    let raw = db.raw().await;
    if db.is_postgres() {
        let function = format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN IF {condition} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{failure}'; END IF; RETURN NEW; END $$"
        );
        raw.execute_unprepared(&function).await.unwrap();
        let trigger = "CREATE TRIGGER fail BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fail()";
        raw.execute_unprepared(trigger).await.unwrap();
    } else {
        let trigger =
            format!("CREATE TRIGGER fail BEFORE INSERT ON users WHEN {condition} BEGIN SELECT {failure}; END");
        raw.execute_unprepared(&trigger).await.unwrap();
    }
}

async fn heal(db: &TestDatabase) {
    let sql = if db.is_postgres() { "DROP FUNCTION fail CASCADE" } else { "DROP TRIGGER fail" };
    db.raw().await.execute_unprepared(sql).await.unwrap();
}

/// A transaction of somebody else, which stays open.
async fn lock(db: &TestDatabase, sql: &str) -> DatabaseTransaction {
    let transaction = db.raw().await.begin().await.unwrap();
    transaction.execute_unprepared(sql).await.unwrap();
    transaction
}

async fn again(db: &TestDatabase, batch: &[Accepted]) -> Vec<Ending> {
    apply_parked(&db.store, &OwnershipPolicy::default(), &refs(batch), Clock::Fixed(NOW)).await.unwrap()
}

/// Each ending in a word.
fn shown(endings: &[Ending]) -> Vec<String> {
    let word = |ending: &Ending| match ending {
        Ending::Answered(outcome) => status(outcome).to_string(),
        Ending::Dead(_) => "dead".to_owned(),
        Ending::Committed => "committed".to_owned(),
        Ending::Parked(Parked::Locked) => "locked".to_owned(),
        Ending::Parked(Parked::Failed(_)) => "failed".to_owned(),
        Ending::Parked(Parked::Waiting) => "waiting".to_owned(),
    };
    endings.iter().map(word).collect()
}
