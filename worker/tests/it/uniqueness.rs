//! One holder for each name.

use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::log::{Log, delete, group, new_group, new_user, put_group, set, user};
use crate::test_database::{on_both, statuses};

#[tokio::test]
async fn a_name_is_given_once_within_a_batch_and_across_batches() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let batch = [log.user(1, new_user("Straße")), log.user(2, new_user("STRASSE"))];
        assert_eq!(statuses(&db.apply(&batch).await), [201, 409]);
        let batch = [log.user(3, new_user("strasse")), log.user(4, new_user("bob"))];
        assert_eq!(statuses(&db.apply(&batch).await), [409, 201]);
        let batch = [log.group(1, new_group("Admins", &[])), log.group(2, new_group("ADMINS", &[]))];
        assert_eq!(statuses(&db.apply(&batch).await), [201, 409]);
    })
    .await;
}

#[tokio::test]
async fn a_rename_or_a_deletion_frees_the_name_within_the_batch() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.user(2, new_user("bob"))]).await;
        let batch = [
            log.user(3, new_user("alice")),
            log.user(1, set("userName", json!("alice2"))),
            log.user(3, new_user("alice")),
            log.user(2, delete()),
            log.user(4, new_user("Bob")),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [409, 200, 201, 204, 201]);
        assert_eq!(db.count("users").await, 3);
    })
    .await;
}

#[tokio::test]
async fn two_resources_exchange_their_names_in_one_batch() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("a")), log.user(2, new_user("b"))]).await;
        db.apply(&[log.group(1, new_group("a", &[])), log.group(2, new_group("b", &[]))]).await;
        let batch = [
            log.user(1, set("userName", json!("c"))),
            log.user(2, set("userName", json!("a"))),
            log.user(1, set("userName", json!("b"))),
            log.group(1, put_group("c", &[])),
            log.group(2, put_group("a", &[])),
            log.group(1, put_group("b", &[])),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [200; 6]);
        let name = async |id| {
            db.get("acme", ResourceType::User, user(id))
                .await
                .unwrap()
                .attributes
                .string("userName")
                .map(ToOwned::to_owned)
        };
        assert_eq!((name(1).await.as_deref(), name(2).await.as_deref()), (Some("b"), Some("a")));
        let first = db.get("acme", ResourceType::Group, group(1)).await.unwrap();
        assert_eq!((first.attributes.string("displayName"), first.meta.version.number()), (Some("b"), 3));
    })
    .await;
}

#[tokio::test]
async fn a_name_that_no_index_can_hold_is_refused() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        // Case folding makes three letters of this one.
        let longest: String = std::iter::repeat_n('\u{390}', 400).collect();
        let batch = [log.user(1, new_user(&longest)), log.user(2, new_user(&format!("{longest}a")))];
        assert_eq!(statuses(&db.apply(&batch).await), [201, 400]);
    })
    .await;
}
