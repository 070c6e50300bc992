//! Members are rows.

use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::log::{
    Log, add_members, delete, group, new_group, new_user, new_user_with, patch, put_group, remove_member, user,
};
use crate::test_database::{TestDatabase, member_ids, on_both, resource, statuses};

async fn members(db: &TestDatabase, id: u128) -> Vec<protocol::id::ResourceId> {
    member_ids(&db.get("acme", ResourceType::Group, group(id)).await.unwrap())
}

#[tokio::test]
async fn members_are_added_removed_replaced_and_cleared() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let users: Vec<_> = (1..=4).map(|n| log.user(n, new_user(&format!("user{n}")))).collect();
        db.apply(&users).await;
        db.apply_one(log.group(1, new_group("Admins", &[user(1), user(2)]))).await;
        assert_eq!(members(db, 1).await, [user(1), user(2)]);
        let batch = [
            log.group(1, add_members(&[user(2), user(3), user(4)])),
            log.group(1, remove_member(user(1))),
            log.group(1, remove_member(user(4))),
            log.group(1, add_members(&[user(4)])),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [204; 4]);
        assert_eq!(members(db, 1).await, [user(2), user(3), user(4)]);
        db.apply_one(log.group(1, put_group("Admins", &[user(1), user(2)]))).await;
        assert_eq!(
            (members(db, 1).await, db.value::<i64>("SELECT member_count FROM groups").await),
            (vec![user(1), user(2)], 2)
        );
        db.apply_one(log.group(1, patch(ResourceType::Group, &json!({"op": "remove", "path": "members"})))).await;
        assert_eq!((members(db, 1).await, db.count("group_members").await), (Vec::new(), 0));
    })
    .await;
}

#[tokio::test]
async fn a_created_group_shows_its_live_members_with_kind_and_display() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[
            log.user(1, new_user_with(json!({"userName": "alice", "displayName": "Alice A"}))),
            log.user(2, new_user("bob")),
            log.group(7, new_group("Nested", &[])),
        ])
        .await;
        let all = [user(1), user(2), user(3), user(4), group(7)];
        let batch = [log.user(3, new_user("carol")), log.user(2, delete()), log.group(1, new_group("Admins", &all))];
        let outcomes = db.apply(&batch).await;
        let expected = json!([
            {"value": user(1).to_string(), "type": "User", "display": "Alice A"},
            {"value": user(3).to_string(), "type": "User", "display": "carol"},
            {"value": group(7).to_string(), "type": "Group", "display": "Nested"},
        ]);
        assert_eq!(resource(&outcomes[2]).attributes.as_map()["members"], expected);
        let read = db.get("acme", ResourceType::Group, group(1)).await.unwrap();
        assert_eq!(&read, resource(&outcomes[2]));
    })
    .await;
}

#[tokio::test]
async fn a_member_that_is_not_known_yet_appears_when_it_does() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.group(1, new_group("Admins", &[user(1)]))).await;
        assert_eq!((members(db, 1).await, db.count("group_members").await), (Vec::new(), 1));
        // The same id in another workspace is somebody else.
        db.apply_one(Log::from("umbrella", 50).user(1, new_user("mallory"))).await;
        assert_eq!(members(db, 1).await, Vec::new());
        db.apply_one(log.user(1, new_user("alice"))).await;
        assert_eq!(members(db, 1).await, [user(1)]);
    })
    .await;
}

#[tokio::test]
async fn deleting_a_user_takes_it_out_of_its_groups_and_changes_their_version() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.user(2, new_user("bob"))]).await;
        db.apply(&[
            log.group(1, new_group("in before", &[user(1), user(2)])),
            log.group(2, new_group("in by the batch", &[])),
            log.group(3, new_group("out by the batch", &[user(1)])),
            log.group(4, new_group("never in", &[user(2)])),
        ])
        .await;
        let batch =
            [log.group(2, add_members(&[user(1)])), log.group(3, remove_member(user(1))), log.user(1, delete())];
        assert_eq!(statuses(&db.apply(&batch).await), [204; 3]);
        let mut versions = Vec::new();
        for id in 1..=4 {
            versions.push(db.get("acme", ResourceType::Group, group(id)).await.unwrap().meta.version.number());
        }
        assert_eq!(versions, [2, 3, 2, 1]);
        assert_eq!((members(db, 1).await, db.count("group_members").await), (vec![user(2)], 2));
        assert_eq!(
            db.value::<i64>("SELECT CAST(SUM(member_count) AS bigint) FROM groups WHERE display_name LIKE 'in%'").await,
            1
        );
    })
    .await;
}

#[tokio::test]
async fn deleting_a_group_deletes_its_rows_and_those_that_name_it() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("inner", &[user(1)]))]).await;
        db.apply_one(log.group(2, new_group("outer", &[group(1), user(1)]))).await;
        db.apply_one(log.group(1, delete())).await;
        assert_eq!((members(db, 2).await, db.count("group_members").await), (vec![user(1)], 1));
        assert_eq!(db.get("acme", ResourceType::Group, group(2)).await.unwrap().meta.version.number(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_large_group_is_created_in_one_command() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let all: Vec<_> = (0..5_000).map(user).collect();
        db.apply_one(log.group(1, new_group("All", &all))).await;
        assert_eq!(db.count("group_members").await, 5_000);
        db.apply_one(log.group(1, put_group("All", &all[..2_500]))).await;
        assert_eq!(db.value::<i64>("SELECT member_count FROM groups").await, 2_500);
        assert_eq!(db.count("group_members").await, 2_500);
    })
    .await;
}
