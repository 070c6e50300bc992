//! Migrations, and the settings of connections.

use sea_orm::ConnectionTrait;
use serde_json::json;
use worker::store::{DatabaseKind, Store, StoreOptions};

use crate::log::{Log, new_user, new_user_with};
use crate::test_database::{on_both, on_both_empty};

async fn applied(url: &str) -> usize {
    migrations::status(url).await.unwrap().iter().filter(|step| step.applied).count()
}

/// How many steps this build knows.
const STEPS: usize = 8;

#[tokio::test]
async fn steps_are_taken_back_and_taken_again() {
    on_both_empty(async |url| {
        assert_eq!(applied(url).await, 0);
        for _ in 0..2 {
            migrations::up(url).await.unwrap();
        }
        assert_eq!(applied(url).await, STEPS);
        let store = Store::connect(url, StoreOptions { writers: 1, readers: 1 }).await.unwrap();
        assert!(store.schema_is_current().await.unwrap());
        migrations::down(url, 1).await.unwrap();
        assert!(!store.schema_is_current().await.unwrap());
        migrations::down(url, u32::try_from(STEPS).unwrap() - 1).await.unwrap();
        assert_eq!(applied(url).await, 0);
        migrations::up(url).await.unwrap();
        assert!(store.schema_is_current().await.unwrap());
        store.close().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_addresses_of_users_that_are_there_are_listed() {
    on_both(async |db| {
        let emails =
            json!([{ "value": "A@x", "type": "work" }, { "value": "a@X", "type": "home" }, { "value": "b@x" }]);
        let mut log = Log::of("acme");
        let with_emails = new_user_with(json!({ "userName": "alice", "emails": emails }));
        db.apply(&[log.user(1, with_emails), log.user(2, new_user("bob"))]).await;
        // The step that lists them, and the one after it.
        migrations::down(&db.url, 2).await.unwrap();
        migrations::up(&db.url).await.unwrap();
        assert_eq!(db.count("user_emails").await, 2);
        assert_eq!(db.value::<String>("SELECT MIN(value) FROM user_emails").await, "a@x");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_that_start_together_do_not_collide() {
    on_both_empty(async |url| {
        let up = || Box::pin(migrations::up(url));
        let (first, second, third) = tokio::join!(up(), up(), up());
        for result in [first, second, third] {
            result.unwrap();
        }
        assert_eq!(applied(url).await, STEPS);
    })
    .await;
}

#[tokio::test]
async fn sessions_that_write_have_the_settings_that_the_promises_rest_on() {
    on_both(async |db| {
        db.store.probe().await.unwrap();
        if db.store.kind() == DatabaseKind::Sqlite {
            assert_eq!(db.value::<String>("PRAGMA journal_mode").await, "wal");
            return;
        }
        let watch = "CREATE TABLE seen (setting text);
            CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO seen VALUES (current_setting('idle_in_transaction_session_timeout') || ' '
                    || current_setting('lock_timeout') || ' ' || current_setting('statement_timeout'));
                RETURN NEW;
            END $$;
            CREATE TRIGGER see BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION see()";
        db.raw().await.execute_unprepared(watch).await.unwrap();
        db.apply_one(Log::of("acme").user(1, new_user("alice"))).await;
        assert_eq!(db.value::<String>("SELECT setting FROM seen").await, "3s 100ms 10s");
    })
    .await;
}

#[tokio::test]
async fn an_unknown_database_is_refused_without_printing_its_url() {
    let url = "mysql://root:secret@localhost/x";
    let failure = Store::connect(url, StoreOptions { writers: 1, readers: 1 }).await.unwrap_err();
    assert!(!failure.is_unavailable() && !format!("{failure:?}").contains("secret"));
    let failure = migrations::up(url).await.unwrap_err();
    assert!(!failure.is_unavailable() && !format!("{failure:?}").contains("secret"));
}
