//! A request that is sent again while it is still pending shares the end of its first attempt.

use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType;
use serde_json::json;
use worker::accepted::Accepted;
use worker::apply::Ending;
use worker::store::DeadMessage;

use crate::log::{
    Log, NOW, add_members, at, delete, group, new_group, new_user, patch, put_user, remove_member, sent_as, set, user,
};
use crate::poison::refuse_evil;
use crate::test_database::{TestDatabase, member_ids, on_both, resource, status, statuses};

/// The same request as `first`, accepted while that was pending.
fn again(first: &Accepted, second: Accepted) -> Accepted {
    Accepted { predecessor: first.sequence, ..sent_as(&first.envelope.fingerprint.0, second) }
}

/// PATCH of a title, if the version is the first one.
fn title_at_first() -> Command {
    let Command::Patch { request, .. } = set("title", json!("Boss")) else { panic!() };
    Command::Patch { request, precondition: Precondition::IfMatch(vec![Version::FIRST]) }
}

/// What the ledger keeps of an operation's end.
async fn ledger(db: &TestDatabase, sequence: u64) -> String {
    let columns = "state || ' ' || status || ' ' || COALESCE(CAST(version AS text), '') || COALESCE(detail, '')";
    db.value(&format!("SELECT {columns} FROM operations WHERE sequence = {sequence}")).await
}

#[tokio::test]
async fn a_retry_of_what_is_pending_is_answered_like_it_and_not_applied_again() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let first = log.user(1, title_at_first());
        let (second, third) = (again(&first, log.user(1, title_at_first())), log.user(1, title_at_first()));
        let third = again(&second, third);
        // In one batch, and in another one.
        let outcomes = db.apply(&[first.clone(), second.clone()]).await;
        assert_eq!((status(&outcomes[0]), &outcomes[0]), (200, &outcomes[1]));
        assert_eq!(db.apply_one(third.clone()).await, outcomes[0]);
        assert_eq!(db.value::<i64>("SELECT version FROM users").await, 2);
        for retry in [&second, &third] {
            assert_eq!(ledger(db, retry.sequence).await, ledger(db, first.sequence).await);
        }
        assert_eq!(db.apply_one(third).await, outcomes[0], "it is answered again from its own row");
    })
    .await;
}

#[tokio::test]
async fn a_predecessor_that_the_log_kept_longer_than_what_came_after_it_is_no_attempt_to_share() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let active = |active: bool| set("active", json!(active));
        db.apply_one(log.user(1, new_user("alice"))).await;
        let first = log.user(1, active(true));
        db.apply(&[first.clone(), log.user(1, active(false))]).await;
        let second = again(&first, log.user(1, active(true)));
        assert_eq!(resource(&db.apply_one(second.clone()).await).attributes.user().active(), Some(true));
        // Also where what came between was no change of access, and where the attempt was refused.
        let refused = log.user(1, title_at_first());
        let title = log.user(1, set("title", json!("Chief")));
        assert_eq!(statuses(&db.apply(&[refused.clone(), title]).await), [412, 200]);
        let third = again(&second, log.user(1, active(true)));
        let version = resource(&db.apply_one(third).await).meta.version;
        assert_eq!(version.number(), db.value::<i64>("SELECT version FROM users").await);
        assert_eq!(status(&db.apply_one(again(&refused, log.user(1, title_at_first()))).await), 412);
    })
    .await;
}

#[tokio::test]
async fn whatever_is_not_the_same_request_is_decided_on_its_own() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.user(2, new_user("bob"))]).await;
        let first = log.user(1, title_at_first());
        db.apply_one(first.clone()).await;
        let mut other_token = again(&first, log.user(1, title_at_first()));
        other_token.envelope.token = Some("xyz".parse().unwrap());
        let mut no_token = again(&first, log.user(1, title_at_first()));
        no_token.envelope.token = None;
        let other_request = sent_as("PATCH at another version", again(&first, log.user(1, title_at_first())));
        let mut not_pending = again(&first, log.user(1, title_at_first()));
        not_pending.predecessor = 0;
        for (command, why) in [(other_token, "token"), (no_token, "no token"), (other_request, "request")] {
            assert_eq!(status(&db.apply_one(command).await), 412, "{why}");
        }
        assert_eq!(status(&db.apply_one(not_pending).await), 412);
        let other_resource = again(&first, log.user(2, title_at_first()));
        assert_eq!(resource(&db.apply_one(other_resource).await).id, user(2));
    })
    .await;
}

#[tokio::test]
async fn a_refusal_and_a_deletion_are_shared_too() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.user(2, new_user("bob"))]).await;
        let refused = log.user(1, set("userName", json!("bob")));
        let retry = again(&refused, log.user(1, set("userName", json!("bob"))));
        let free = log.user(2, set("userName", json!("robert")));
        let outcomes = db.apply(&[refused, free, retry]).await;
        assert_eq!((statuses(&outcomes), &outcomes[2]), (vec![409, 200, 409], &outcomes[0]));

        let deleted = log.user(1, delete());
        let (retry, late) = (again(&deleted, log.user(1, delete())), log.user(1, delete()));
        assert_eq!(db.apply(&[deleted, retry.clone()]).await, [Outcome::Deleted, Outcome::Deleted]);
        assert_eq!(db.apply_one(again(&retry, late)).await, Outcome::Deleted);
        assert_eq!(status(&db.apply_one(log.user(1, delete())).await), 404);
    })
    .await;
}

#[tokio::test]
async fn two_pipelined_requests_on_a_group_are_one() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.group(1, new_group("All", &[]))).await;
        db.apply_one(log.user(1, new_user("alice"))).await;
        let first = log.group(1, add_members(&[user(1)]));
        let second = again(&first, log.group(1, add_members(&[user(1)])));
        let outcomes = db.apply(&[first, second]).await;
        let changed = Outcome::UpdatedWithoutBody { version: Version::from_number(2) };
        assert_eq!(outcomes, [changed.clone(), changed]);
        // What comes between is a change like any other.
        let remove = log.group(1, remove_member(user(1)));
        let add = again(&remove, log.group(1, add_members(&[user(1)])));
        let add = sent_as("fingerprint 3", add);
        assert_eq!(statuses(&db.apply(&[remove, add]).await), [204, 204]);
        let all = db.get("acme", ResourceType::Group, group(1)).await.unwrap();
        assert_eq!((member_ids(&all), all.meta.version.number()), (vec![user(1)], 4));
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_was_not_applied_as_it_asked_is_not_shared() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let alone = || set("active", json!(true));
        let more = || patch(ResourceType::User, &json!({"op": "replace", "value": {"active": true, "title": "Boss"}}));
        for (id, request, held) in [(1, alone as fn() -> Command, 409), (2, more, 200)] {
            let batch = [
                at(0, 1, log.user(id, new_user(&format!("user{id}")))),
                at(10_000, 10_001, log.user(id, set("active", json!(false)))),
            ];
            db.apply(&batch).await;
            let first = at(5_000, 20_000, log.user(id, request()));
            let retry = at(20_500, 20_510, again(&first, log.user(id, request())));
            let outcomes = db.apply(&[first, retry]).await;
            assert_eq!(statuses(&outcomes), [held, 200]);
            assert_eq!(resource(&outcomes[1]).attributes.boolean("active"), Some(true));
        }
        let first = log.user(1, set("title", json!("Boss")));
        let retry = again(&first, log.user(1, set("title", json!("Boss"))));
        let dead = DeadMessage::of(&first, "a test");
        db.store.bury(&[dead], NOW).await.unwrap();
        assert_eq!(resource(&db.apply_one(retry).await).attributes.string("title"), Some("Boss"));
    })
    .await;
}

#[tokio::test]
async fn what_was_rolled_back_is_not_shared() {
    on_both(async |db| {
        refuse_evil(db).await;
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let evil = || put_user(json!({ "userName": "evil" }));
        let first = log.user(1, evil());
        let retry = again(&first, log.user(1, evil()));
        let endings = db.endings(&[first, retry]).await;
        assert!(endings.iter().all(|ending| matches!(ending, Ending::Dead(_))), "{endings:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_said_again_counts_from_then_on() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(at(0, 1, log.user(1, new_user("alice")))).await;
        let first = at(1_000, 1_010, log.user(1, set("active", json!(false))));
        let retry = at(9_000, 9_010, again(&first, log.user(1, set("active", json!(false)))));
        db.apply(&[first, retry]).await;
        assert_eq!(db.value::<i64>("SELECT version FROM users").await, 2);
        let held = at(5_000, 20_000, log.user(1, set("active", json!(true))));
        assert_eq!(db.apply_one(held).await, Outcome::Superseded);
    })
    .await;
}
