//! Whose word on access counts: the newest, by when it was said, also where the log accepted it late.

use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::ownership::Source;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::log::{Log, at, delete, new_user, patch, put_user, sent_as, set, user};
use crate::test_database::{TestDatabase, on_both, resource, status, statuses};

fn patch_active(active: bool) -> Command {
    set("active", json!(active))
}

fn put_active(active: bool) -> Command {
    put_user(json!({ "userName": "alice", "active": active }))
}

async fn is_active(db: &TestDatabase) -> Option<bool> {
    let user = db.get("acme", ResourceType::User, user(1)).await?;
    user.attributes.boolean("active")
}

/// State and `yielded` of an operation, by its sequence.
async fn ledger(db: &TestDatabase, sequence: u64) -> (String, bool) {
    let of = |column: &str| format!("SELECT {column} FROM operations WHERE sequence = {sequence}");
    (db.value(&of("state")).await, db.value(&of("yielded")).await)
}

/// A user, and a word on access that arrived after ten seconds.
async fn said_after_ten_seconds(db: &TestDatabase, log: &mut Log, active: bool) {
    let batch = [
        at(0, 1, log.user(1, new_user("alice"))),
        at(1_000, 1_001, log.user(1, patch_active(!active))),
        at(10_000, 10_050, log.user(1, patch_active(active))),
    ];
    assert_eq!(statuses(&db.apply(&batch).await), [201, 200, 200]);
}

#[tokio::test]
async fn what_was_held_yields_to_what_was_said_later() {
    for (stands, held) in [
        (false, patch_active(true)),
        (false, put_active(true)),
        (true, patch_active(false)),
        (true, put_active(false)),
        (true, delete()),
    ] {
        on_both(async |db| {
            let mut log = Log::of("acme");
            said_after_ten_seconds(db, &mut log, stands).await;
            let late = db.apply_one(at(5_000, 20_000, log.user(1, held.clone()))).await;
            assert_eq!(late, Outcome::Superseded, "{held:?}");
            assert_eq!((is_active(db).await, ledger(db, 4).await), (Some(stands), ("superseded".to_owned(), true)));
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_held_and_said_later_counts() {
    for (stands, held, ends) in [
        (false, patch_active(true), Some(true)),
        (false, put_active(true), Some(true)),
        (true, patch_active(false), Some(false)),
        (true, put_active(false), Some(false)),
        (true, delete(), None),
    ] {
        on_both(async |db| {
            let mut log = Log::of("acme");
            said_after_ten_seconds(db, &mut log, stands).await;
            let late = db.apply_one(at(11_000, 20_000, log.user(1, held.clone()))).await;
            assert!(status(&late) < 300, "{held:?}: {late:?}");
            assert_eq!((is_active(db).await, ledger(db, 4).await), (ends, ("applied".to_owned(), false)), "{held:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn all_else_that_a_yielding_command_says_is_applied() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        said_after_ten_seconds(db, &mut log, false).await;
        let both = patch(ResourceType::User, &json!({"op": "replace", "value": {"active": true, "title": "Boss"}}));
        let replaced = put_user(json!({ "userName": "alice", "active": true, "nickName": "Al" }));
        for (held, attribute) in [(both, "title"), (replaced, "nickName")] {
            let late = db.apply_one(at(5_000, 20_000, log.user(1, held))).await;
            let shown = &resource(&late).attributes;
            assert_eq!((shown.boolean("active"), shown.string(attribute).is_some()), (Some(false), true));
        }
        assert_eq!((is_active(db).await, ledger(db, 4).await), (Some(false), ("applied".to_owned(), true)));
        assert_eq!(ledger(db, 5).await, ("applied".to_owned(), true));
    })
    .await;
}

#[tokio::test]
async fn saying_again_what_is_so_is_a_newer_word_and_no_newer_version() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        said_after_ten_seconds(db, &mut log, false).await;
        let again = db.apply_one(at(15_000, 15_001, log.user(1, patch_active(false)))).await;
        assert_eq!(resource(&again).meta.version.number(), 2);
        // After the deactivation, before it was said again.
        assert_eq!(db.apply_one(at(12_000, 20_000, log.user(1, patch_active(true)))).await, Outcome::Superseded);
        assert_eq!(is_active(db).await, Some(false));
    })
    .await;
}

#[tokio::test]
async fn of_what_is_accepted_at_once_all_takes_effect_in_the_order_of_the_log() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(at(0, 1, log.user(1, new_user("alice")))).await;
        // Arrivals are measured: they can be in another order than the log.
        for (arrived, accepted, active) in [(50, 60, false), (40, 61, true), (30, 62, false), (100, 110, true)] {
            let outcome = db.apply_one(at(arrived, accepted, log.user(1, patch_active(active)))).await;
            assert_eq!(resource(&outcome).attributes.boolean("active"), Some(active));
            assert_eq!(is_active(db).await, Some(active));
        }
        let batch = [(200, false), (220, true), (240, false)];
        let batch = batch.map(|(time, active)| at(time, time + 30, log.user(1, patch_active(active))));
        assert_eq!(statuses(&db.apply(&batch).await), [200; 3]);
        assert_eq!(is_active(db).await, Some(false));
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_steps_drops_no_deactivation_and_nothing_that_follows_the_log_at_once() {
    for step in [-60_000, 60_000] {
        on_both(async |db| {
            let mut log = Log::of("acme");
            said_after_ten_seconds(db, &mut log, true).await;
            // The broker's clock has stepped; an arrival may have been measured before it.
            let now = 11_000 + step;
            db.apply_one(at(now, now + 10, log.user(1, patch_active(false)))).await;
            assert_eq!(is_active(db).await, Some(false), "{step}");
            db.apply_one(at(now + 20, now + 30, log.user(1, patch_active(true)))).await;
            assert_eq!(is_active(db).await, Some(true), "{step}");
            db.apply_one(at(now + 100, now + 10_000, log.user(1, patch_active(false)))).await;
            assert_eq!(is_active(db).await, Some(false), "{step}");
            db.apply_one(at(now + 10_010, now + 10_020, log.user(1, delete()))).await;
            assert_eq!(is_active(db).await, None, "{step}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_deactivation_that_was_held_over_a_step_back_counts() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        said_after_ten_seconds(db, &mut log, true).await;
        // Accepted after the activation, at an earlier time: the times say nothing.
        db.apply_one(at(-55_000, -50_000, log.user(1, patch_active(false)))).await;
        assert_eq!(is_active(db).await, Some(false));
    })
    .await;
}

#[tokio::test]
async fn a_timezone_that_the_product_sets_meanwhile_keeps_no_deletion_away() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(at(0, 1, log.user(1, new_user("alice")))).await;
        let mut chosen = at(10_000, 10_001, log.user(1, set("timezone", json!("Asia/Tokyo"))));
        (chosen.envelope.source, chosen.envelope.token) = (Source::Application, None);
        assert_eq!(status(&db.apply_one(chosen).await), 200);
        assert_eq!(db.apply_one(at(5_000, 20_000, log.user(1, delete()))).await, Outcome::Deleted);
        assert_eq!(is_active(db).await, None);
    })
    .await;
}

#[tokio::test]
async fn a_held_create_whose_retry_was_accepted_under_another_id_is_superseded() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let mut create =
            |id, arrived, accepted| at(arrived, accepted, sent_as("POST alice", log.user(id, new_user("alice"))));
        let (retried, held) = (create(2, 5_000, 5_010), create(1, 1_000, 20_000));
        let (same_batch, fresh) = (create(3, 2_000, 20_000), create(4, 30_000, 30_010));
        db.apply_one(retried).await;
        db.apply_one(at(6_000, 6_010, Log::from("acme", 50).user(2, delete()))).await;
        assert_eq!(db.apply_one(held).await, Outcome::Superseded);
        assert_eq!((db.count("users").await, ledger(db, 2).await.0.as_str()), (0, "superseded"));
        // What is new creates, and what was held while it did so within its batch does not.
        let deleted = at(30_020, 30_030, Log::from("acme", 51).user(4, delete()));
        let mut late = same_batch;
        (late.sequence, late.accepted_at) = (60, late.accepted_at.after(std::time::Duration::from_secs(30)));
        assert_eq!(db.apply(&[fresh, deleted, late]).await[1..], [Outcome::Deleted, Outcome::Superseded]);
    })
    .await;
}

#[tokio::test]
async fn of_a_create_and_its_retry_that_were_both_held_one_creates() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let mut create = |id, arrived| at(arrived, 20_000, sent_as("POST alice", log.user(id, new_user("alice"))));
        let outcomes = db.apply(&[create(1, 1_000), create(2, 6_000)]).await;
        assert!(matches!(&outcomes[1], Outcome::Duplicate { resource, .. } if resource.id == user(1)), "{outcomes:?}");
        assert_eq!((status(&outcomes[0]), db.count("users").await), (201, 1));
    })
    .await;
}

#[tokio::test]
async fn a_held_create_that_nobody_sent_again_creates() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        // Before it arrived, and with another token.
        let earlier = at(0, 1, sent_as("POST alice", log.user(1, new_user("alice"))));
        let mut another = at(8_000, 8_010, sent_as("POST alice", log.user(2, new_user("alice"))));
        another.envelope.token = Some("xyz".parse().unwrap());
        db.apply(&[earlier, log.user(1, delete()), another, log.user(2, delete())]).await;
        let held = at(5_000, 20_000, sent_as("POST alice", log.user(3, new_user("alice"))));
        assert_eq!(status(&db.apply_one(held).await), 201);
    })
    .await;
}
