//! What single commands do, and their outcomes.

use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::ownership::Source;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::log::{Log, delete, new_group, new_user, new_user_with, put_user, set, user};
use crate::test_database::{on_both, resource, status, statuses};

#[tokio::test]
async fn a_user_is_created_replaced_patched_and_deleted() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let created = db.apply_one(log.user(1, new_user("alice"))).await;
        assert_eq!((status(&created), resource(&created).meta.version), (201, Version::FIRST));
        assert_eq!(resource(&created).attributes.boolean("active"), Some(true));

        let replaced = db.apply_one(log.user(1, put_user(json!({"userName": "alice", "displayName": "Al"})))).await;
        assert_eq!((status(&replaced), resource(&replaced).meta.version.number()), (200, 2));
        let patched = db.apply_one(log.user(1, set("active", json!(false)))).await;
        assert_eq!(resource(&patched).attributes.boolean("active"), Some(false));
        let stored = db.get("acme", ResourceType::User, user(1)).await.unwrap();
        assert_eq!(&stored, resource(&patched));

        assert_eq!(db.apply_one(log.user(1, delete())).await, Outcome::Deleted);
        assert_eq!(db.get("acme", ResourceType::User, user(1)).await, None);
        assert_eq!(status(&db.apply_one(log.user(1, set("active", json!(true)))).await), 404);
        assert_eq!(db.count("operations").await, 5);
    })
    .await;
}

#[tokio::test]
async fn a_whole_life_in_one_batch_leaves_only_the_ledger() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch = [
            log.user(1, new_user("alice")),
            log.user(1, set("displayName", json!("Al"))),
            log.user(1, delete()),
            log.user(1, delete()),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [201, 200, 204, 404]);
        assert_eq!((db.count("users").await, db.count("operations").await), (0, 4));
    })
    .await;
}

#[tokio::test]
async fn each_outcome_shows_the_resource_as_its_own_command_left_it() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch = [log.user(1, new_user("alice")), log.user(1, set("displayName", json!("Al")))];
        let outcomes = db.apply(&batch).await;
        assert_eq!(resource(&outcomes[0]).attributes.string("displayName"), None);
        assert_eq!(resource(&outcomes[1]).attributes.string("displayName"), Some("Al"));
        assert_eq!(resource(&outcomes[1]).meta.version.number(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_changes_nothing_keeps_the_version() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch = [log.user(1, new_user("alice")), log.user(1, set("userName", json!("alice")))];
        let outcomes = db.apply(&batch).await;
        assert_eq!(resource(&outcomes[1]).meta.version, Version::FIRST);
    })
    .await;
}

#[tokio::test]
async fn a_version_that_is_not_the_present_one_is_refused() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let precondition = Precondition::IfMatch(vec![Version::from_number(7)]);
        let batch = [log.user(1, new_user("alice")), log.user(1, Command::Delete { precondition })];
        assert_eq!(statuses(&db.apply(&batch).await), [201, 412]);
        assert_eq!(db.count("users").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_timezone_that_the_person_chose_survives_the_provider() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let zone = |outcome: &Outcome| resource(outcome).attributes.string("timezone").map(ToOwned::to_owned);
        let created = new_user_with(json!({"userName": "alice", "timezone": "Europe/Berlin"}));
        assert_eq!(zone(&db.apply_one(log.user(1, created)).await).as_deref(), Some("Europe/Berlin"));
        let mut chosen = log.user(1, set("timezone", json!("Asia/Tokyo")));
        chosen.envelope.source = Source::Application;
        assert_eq!(zone(&db.apply_one(chosen).await).as_deref(), Some("Asia/Tokyo"));
        let put = put_user(json!({"userName": "alice", "timezone": "Europe/Berlin"}));
        let patch = set("timezone", json!("Europe/Paris"));
        for command in [put, patch] {
            let outcome = db.apply_one(log.user(1, command)).await;
            assert_eq!((status(&outcome), zone(&outcome).as_deref()), (200, Some("Asia/Tokyo")));
        }
    })
    .await;
}

#[tokio::test]
async fn only_a_later_command_changes_active() {
    on_both(async |db| {
        let mut log = Log::from("acme", 100);
        db.apply(&[log.user(1, new_user("alice")), log.user(1, set("active", json!(false)))]).await;
        // Says again, later, what is so already.
        db.apply(&[log.user(1, set("active", json!(false)))]).await;
        assert_eq!(db.value::<i64>("SELECT active_seq FROM users").await, 102);

        let older = Log::from("acme", 50).user(1, set("active", json!(true)));
        let late = db.apply_one(older).await;
        assert_eq!(resource(&late).attributes.boolean("active"), Some(false));
        assert_eq!(db.apply_one(log.user(1, set("active", json!(true)))).await.clone(), {
            let now = db.get("acme", ResourceType::User, user(1)).await.unwrap();
            assert_eq!(now.attributes.boolean("active"), Some(true));
            Outcome::Updated { resource: Box::new(now) }
        });
    })
    .await;
}

#[tokio::test]
async fn a_workspace_neither_sees_nor_touches_anothers_resources() {
    on_both(async |db| {
        db.apply_one(Log::of("acme").user(1, new_user("alice"))).await;
        let mut foreign = Log::from("umbrella", 10);
        let batch = [
            foreign.user(1, set("displayName", json!("x"))),
            foreign.user(1, delete()),
            foreign.user(2, new_user("alice")),
            foreign.user(1, new_user("bob")),
            foreign.user(1, delete()),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [404, 404, 201, 201, 204]);
        let own = db.get("acme", ResourceType::User, user(1)).await.unwrap();
        assert_eq!((own.attributes.string("userName"), own.meta.version), (Some("alice"), Version::FIRST));
        assert_eq!(db.get("umbrella", ResourceType::User, user(1)).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_256_is_applied_at_once() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let mut batch: Vec<_> = (0..200).map(|n| log.user(n, new_user(&format!("user{n}")))).collect();
        batch.extend((0..36).map(|n| log.group(n, new_group(&format!("group{n}"), &[user(n), user(n + 1)]))));
        batch.extend((0..20).map(|n| log.user(n, set("active", json!(false)))));
        assert!(db.apply(&batch).await.iter().all(|outcome| status(outcome) < 300));
        assert_eq!((db.count("users").await, db.count("group_members").await), (200, 72));
        assert_eq!((db.count("operations").await, db.store.newest().await.unwrap().number), (256, 256));
    })
    .await;
}
