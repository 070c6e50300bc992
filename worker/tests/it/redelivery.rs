//! The same operation again, and what is known of sequences.

use std::collections::HashSet;

use protocol::message::outcome::Outcome;
use protocol::message::query::{Fate, GetFate};
use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource_type::ResourceType;
use runtime::clock::Clock;
use serde_json::json;
use worker::accepted::Accepted;
use worker::apply::apply;
use worker::store::{Class, CopyReason, Newest, SettledCopy};

use crate::log::{Log, NOW, add_members, delete, group, new_group, new_user, set, user};
use crate::test_database::{TestDatabase, on_both, resource, statuses};

#[tokio::test]
async fn a_redelivered_operation_is_answered_again_and_nothing_is_doubled() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch = [
            log.user(1, new_user("alice")),
            log.group(1, new_group("Admins", &[user(1)])),
            log.group(1, add_members(&[user(2)])),
            log.user(2, new_user("ALICE")),
            log.user(3, new_user("carol")),
            log.user(3, delete()),
        ];
        let first = db.apply(&batch).await;
        assert_eq!(statuses(&first), [201, 201, 204, 409, 201, 204]);
        let mut again = db.apply(&batch).await;
        // The first user is a member by now.
        let Outcome::Created { resource: alice } = &mut again[0] else { panic!("{again:?}") };
        assert_eq!(std::mem::take(&mut alice.groups)[0].display.as_deref(), Some("Admins"));
        assert_eq!(
            (again[0].clone(), again[2].clone(), again[3].clone()),
            (first[0].clone(), first[2].clone(), first[3].clone())
        );
        // The third user is gone; that it was created is true all the same.
        assert_eq!(statuses(&again), [201, 201, 204, 409, 201, 204]);
        assert_eq!(resource(&again[4]).id, user(3));
        let counts = (db.count("users").await, db.count("group_members").await, db.count("operations").await);
        assert_eq!(counts, (1, 2, 6));
        assert_eq!(db.count("settled_copies").await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_extra_copy_settles_its_own_sequence() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let original = log.user(1, new_user("alice"));
        let mut copy = original.clone();
        copy.sequence = 7;
        let mut later_copy = original.clone();
        later_copy.sequence = 8;
        // In one batch, and in a later one.
        let together = db.apply(&[original, copy]).await;
        assert_eq!(together[0], together[1]);
        assert_eq!(db.apply_one(later_copy).await, together[0]);
        assert_eq!(db.store.settled(&[1, 2, 7, 8]).await.unwrap(), HashSet::from([1, 7, 8]));
        assert_eq!((db.count("operations").await, db.count("settled_copies").await), (1, 2));
    })
    .await;
}

fn copy(sequence: u64, reason: CopyReason) -> SettledCopy {
    SettledCopy { sequence, reason, workspace: None, operation: None }
}

#[tokio::test]
async fn a_copy_that_came_too_late_is_settled_without_an_operation() {
    on_both(async |db| {
        for _ in 0..2 {
            db.store.settle_copies(&[copy(41, CopyReason::Late), copy(42, CopyReason::Removed)], NOW).await.unwrap();
        }
        assert_eq!(db.store.settled(&[40, 41, 42]).await.unwrap(), HashSet::from([41, 42]));
        assert_eq!(db.store.newest().await.unwrap(), Newest { number: 42, operation: None });
    })
    .await;
}

#[tokio::test]
async fn the_outcome_can_be_asked_for_within_the_workspace_only() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch =
            [log.user(1, new_user("alice")), log.user(1, set("displayName", json!("Al"))), log.group(9, delete())];
        let outcomes = db.apply(&batch).await;
        for (accepted, outcome) in batch.iter().zip(&outcomes).skip(1) {
            let query = GetFate { operation: accepted.envelope.operation, sequence: None };
            assert_eq!(db.ask("acme", query.clone()).await, Fate::Ended(outcome.clone()));
            assert_eq!(db.ask("umbrella", query).await, Fate::Unknown);
        }
        assert_eq!(db.get("acme", ResourceType::Group, group(9)).await, None);
    })
    .await;
}

async fn refusal_of(db: &TestDatabase, accepted: Accepted) -> Class {
    let refused = apply(&db.store, &OwnershipPolicy::default(), &[&accepted], Clock::Fixed(NOW)).await;
    refused.unwrap_err().class()
}

#[tokio::test]
async fn numbers_of_before_a_renumbering_apply_to_nothing() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let ended = db.store.numbering().await.unwrap();
        db.store.renumber(ended, 1, 1, NOW).await.unwrap();
        assert_eq!(refusal_of(db, log.user(1, delete())).await, Class::Renumber);
        assert_eq!((db.count("users").await, db.count("operations").await), (1, 1));

        let numbering = db.store.numbering().await.unwrap();
        assert!(numbering.epoch == 1 && numbering.number(1) > 2, "{numbering:?}");
        assert_eq!((numbering.in_stream(numbering.number(1)), numbering.in_stream(1)), (Some(1), None));
        // Another worker that found the same loss comes too late.
        db.store.renumber(ended, 1, 1, NOW).await.unwrap();
        assert_eq!(db.store.numbering().await.unwrap(), numbering);
    })
    .await;
}

#[tokio::test]
async fn a_new_operation_under_the_number_of_another_is_not_applied() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let mut stranger = log.user(2, new_user("bob"));
        stranger.sequence = 1;
        assert_eq!(refusal_of(db, stranger).await, Class::Renumber);
        assert_eq!((db.count("users").await, db.count("operations").await), (1, 1));
    })
    .await;
}
