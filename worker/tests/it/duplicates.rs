//! A create that is sent again because its answer was lost finds what it created; any other one finds its name taken.

use std::time::Duration;

use protocol::access::Arrival;
use protocol::id::{OperationId, ResourceId};
use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Fate, GetFate};
use protocol::ownership::Source;
use protocol::scim::error::ScimError;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;
use worker::accepted::Accepted;

use crate::log::{Log, NOW, at, delete, group, new_group, new_user, new_user_with, put_group, sent_as, set, user};
use crate::test_database::{TestDatabase, member_ids, on_both, resource};

fn create(log: &mut Log, id: u128) -> Accepted {
    sent_as("POST alice", log.user(id, new_user("alice")))
}

fn taken() -> Outcome {
    Outcome::Rejected { error: ScimError::duplicate(ResourceType::User) }
}

/// The operation and the resource that an outcome leads to.
fn original(outcome: &Outcome) -> (OperationId, &Resource) {
    match outcome {
        Outcome::Duplicate { operation, ingress, resource } if ingress.as_str() == "ingress1" => (*operation, resource),
        other => panic!("{other:?}"),
    }
}

async fn fate(db: &TestDatabase, operation: OperationId) -> Outcome {
    match db.ask("acme", GetFate { operation, sequence: None }).await {
        Fate::Ended(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_retry_finds_what_the_first_one_created_in_its_batch_and_in_others() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch = [create(&mut log, 1), create(&mut log, 2)];
        let outcomes = db.apply(&batch).await;
        let first = (batch[0].envelope.operation, resource(&outcomes[0]));
        assert_eq!(original(&outcomes[1]), first);
        // A retry of the retry leads to the first one, too.
        let again = [create(&mut log, 3), create(&mut log, 4)];
        for outcome in db.apply(&again).await {
            assert_eq!(original(&outcome), first);
        }
        assert_eq!(db.count("users").await, 1);
        let ledger = "SELECT COUNT(*) FROM operations WHERE state = 'rejected' AND status = 409 AND duplicate_of = \
                      (SELECT created_by FROM users)";
        assert_eq!(db.value::<i64>(ledger).await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_retry_is_answered_again_from_the_ledger_until_the_first_answer_went_out() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let (first, retry) = (create(&mut log, 1), create(&mut log, 2));
        db.apply_one(first.clone()).await;
        let outcome = db.apply_one(retry.clone()).await;
        let (redelivered, asked) = (db.apply_one(retry.clone()).await, fate(db, retry.envelope.operation).await);
        assert_eq!((&redelivered, &asked), (&outcome, &outcome));

        db.store.record_answered(&[first.envelope.operation, first.envelope.operation], NOW).await.unwrap();
        db.store.record_answered(&[first.envelope.operation], NOW).await.unwrap();
        assert_eq!(db.apply_one(retry.clone()).await, taken());
        assert_eq!(fate(db, retry.envelope.operation).await, taken());
        assert_eq!(db.apply_one(create(&mut log, 3)).await, taken());
    })
    .await;
}

#[tokio::test]
async fn a_retry_whose_original_is_gone_is_answered_with_the_refusal() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let (first, retry) = (create(&mut log, 1), create(&mut log, 2));
        db.apply(&[first, retry.clone(), log.user(1, delete())]).await;
        assert_eq!(fate(db, retry.envelope.operation).await, taken());
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_otherwise_finds_the_name_taken() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(create(&mut log, 1)).await;
        let mut other_token = create(&mut log, 2);
        other_token.envelope.token = Some("xyz".parse().unwrap());
        let mut no_token = create(&mut log, 3);
        no_token.envelope.token = None;
        let other_body = sent_as("POST alice with a title", log.user(4, new_user("alice")));
        let day = 24 * 3_600_000;
        let next_day = at(day + 1, day + 1, create(&mut log, 5));
        for (command, why) in
            [(other_token, "token"), (no_token, "no token"), (other_body, "body"), (next_day, "24 hours")]
        {
            assert_eq!(db.apply_one(command).await, taken(), "{why}");
        }
        let in_time = db.apply_one(at(day, day, create(&mut log, 6))).await;
        assert_eq!(original(&in_time).1.id, user(1));
    })
    .await;
}

#[tokio::test]
async fn what_the_provider_has_changed_since_is_not_the_answer() {
    let changes: [fn() -> Command; 2] = [|| set("title", json!("Boss")), || set("active", json!(false))];
    for change in changes {
        on_both(async |db| {
            let mut log = Log::of("acme");
            db.apply(&[create(&mut log, 1), log.user(1, change())]).await;
            assert_eq!(db.apply_one(create(&mut log, 2)).await, taken());
            db.apply_one(log.user(1, delete())).await;
            let batch = [create(&mut log, 3), log.user(3, change()), create(&mut log, 4)];
            assert_eq!(db.apply(&batch).await[2], taken());
        })
        .await;
    }
}

#[tokio::test]
async fn what_the_product_has_changed_since_is_shown() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let mut chosen = log.user(1, set("timezone", json!("Asia/Tokyo")));
        (chosen.envelope.source, chosen.envelope.token) = (Source::Application, None);
        let mut first = create(&mut log, 1);
        first.sequence = 1;
        chosen.sequence = 2;
        db.apply(&[first, chosen]).await;
        let membership = log.group(1, new_group("Admins", &[user(1)]));
        db.apply_one(membership).await;
        let retried = db.apply_one(create(&mut log, 2)).await;
        let shown = db.get("acme", ResourceType::User, user(1)).await.unwrap();
        assert_eq!(shown.attributes.string("timezone"), Some("Asia/Tokyo"));
        assert_eq!(original(&retried).1, &shown);
    })
    .await;
}

#[tokio::test]
async fn a_user_that_was_created_inactive_is_found_so() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let inactive = || new_user_with(json!({"userName": "alice", "active": false}));
        db.apply_one(sent_as("POST", log.user(1, inactive()))).await;
        let retried = db.apply_one(sent_as("POST", log.user(2, inactive()))).await;
        assert_eq!(original(&retried).1.attributes.boolean("active"), Some(false));
    })
    .await;
}

#[tokio::test]
async fn a_retry_says_again_that_access_is_given() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(at(0, 1, create(&mut log, 1))).await;
        let retried = db.apply_one(at(10_000, 10_001, create(&mut log, 2))).await;
        assert_eq!(original(&retried).1.meta.version.number(), 1);
        let arrived = NOW.as_millis() + 10_000 - 10;
        assert_eq!(db.value::<i64>("SELECT active_seq FROM users").await, 2);
        assert_eq!(db.value::<i64>("SELECT active_arrived FROM users").await, arrived);
        // Said before the retry, held until after it.
        let held = at(5_000, 20_000, log.user(1, set("active", json!(false))));
        assert_eq!(db.apply_one(held).await, Outcome::Superseded);
        // A retry that was itself held and is older says nothing new.
        let mut older = create(&mut log, 3);
        older.arrival = Arrival::new(NOW, Duration::ZERO);
        older.accepted_at = NOW.after(Duration::from_secs(30));
        db.apply_one(older).await;
        assert_eq!(db.value::<i64>("SELECT active_seq FROM users").await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_group_is_found_with_its_members() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.user(2, new_user("bob"))]).await;
        let named: [ResourceId; 3] = [user(1), user(2), user(3)];
        let create = |log: &mut Log, id| sent_as("POST group", log.group(id, new_group("Admins", &named)));
        let (first, retry) = (create(&mut log, 1), create(&mut log, 2));
        db.apply_one(first.clone()).await;
        db.apply_one(log.user(2, delete())).await;
        let found = db.apply_one(retry.clone()).await;
        assert_eq!((original(&found).0, original(&found).1.id), (first.envelope.operation, group(1)));
        assert_eq!(member_ids(original(&found).1), [user(1)]);
        assert_eq!(fate(db, retry.envelope.operation).await, found);
        assert_eq!(db.get("acme", ResourceType::Group, group(1)).await.as_ref(), Some(original(&found).1));

        db.apply_one(log.group(1, put_group("Admins", &[]))).await;
        let refused = Outcome::Rejected { error: ScimError::duplicate(ResourceType::Group) };
        assert_eq!(db.apply_one(create(&mut log, 3)).await, refused);
    })
    .await;
}

#[tokio::test]
async fn answered_creates_are_forgotten_when_nobody_can_repeat_them() {
    on_both(async |db| {
        let operations: Vec<_> = (0..1_500).map(|n| OperationId(uuid::Uuid::from_u128(n))).collect();
        let hours = |hours: u64| NOW.after(Duration::from_secs(3_600 * hours));
        db.store.record_answered(&operations, NOW).await.unwrap();
        db.store.record_answered(&[OperationId(uuid::Uuid::from_u128(9_999))], hours(20)).await.unwrap();
        assert_eq!(db.store.forget_answered(hours(24)).await.unwrap(), 0);
        let mut forgotten = Vec::new();
        for _ in 0..3 {
            forgotten.push(db.store.forget_answered(hours(26)).await.unwrap());
        }
        assert_eq!((forgotten, db.count("answered_creates").await), (vec![1_000, 500, 0], 1));
    })
    .await;
}
