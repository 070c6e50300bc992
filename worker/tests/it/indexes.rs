//! Filters that providers send, in a workspace of a hundred thousand users: which index serves each, and what is found.

mod crowd;

use protocol::id::ResourceId;
use protocol::message::query::{ListResources, ResourcePage};
use protocol::scim::cursor::Position;
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::resource_type::ResourceType::{self, Group, User};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use worker::answer::Plan;
use worker::store::{DatabaseKind, Store};

use crate::log::{Log, delete, group, new_user_with, put_user, set, user};
use crate::test_database::{TestDatabase, on_both, statuses};

/// By id: of rows, and of members by their group.
const BY_ID: [&str; 4] = ["users_pkey", "sqlite_autoindex_users_1", "groups_pkey", "sqlite_autoindex_groups_1"];
const BY_EMAIL: [&str; 2] = ["user_emails_pkey", "PRIMARY KEY"];

fn by_index() -> Paging {
    Paging::Index(Page::new(None, None))
}

/// A page in the middle of a walk.
fn by_cursor(kind: ResourceType) -> Paging {
    let id = if kind == User { user(1) } else { group(1) };
    Paging::cursor(Some(Position { total: 5, resource_type: kind, id, key: None }), None)
}

fn query(kind: ResourceType, filter: &str, paging: Paging) -> ListResources {
    let filter = Some(Filter::parse(kind, filter).unwrap());
    let lists = vec![TypeFilter { resource_type: kind, filter }];
    let base_url = "https://scim.example.com".to_owned();
    ListResources { lists, base_url, sort: None, paging, joined: Include::NONE }
}

async fn found(db: &TestDatabase, kind: ResourceType, filter: &str) -> (u64, Vec<ResourceId>) {
    let ResourcePage { total, resources, .. } = db.ask("acme", query(kind, filter, by_index())).await;
    (total, resources.iter().map(|resource| resource.id).collect())
}

async fn plan(store: &Store, kind: ResourceType, filter: &str, paging: Paging) -> Plan {
    let workspace = "acme".parse().unwrap();
    worker::answer::plan(store, &workspace, &query(kind, filter, paging)).await.unwrap().remove(0)
}

/// Whether all rows of a table are looked at, also those of other workspaces.
fn reads_everything(store: &Store, plan: &[String]) -> bool {
    plan.iter().any(|line| match store.kind() {
        DatabaseKind::Postgres => line.contains("Seq Scan"),
        DatabaseKind::Sqlite => ["users", "groups", "e", "m"].iter().any(|table| *line == format!("SCAN {table}")),
    })
}

/// Whether a table's rows of the workspace are gone through one by one, from the first or from the cursor's.
fn reads_the_workspace(store: &Store, plan: &[String]) -> bool {
    let ways = match store.kind() {
        DatabaseKind::Postgres => ["Cond: (workspace = 'acme'::text)", "Cond: ((workspace = 'acme'::text) AND (id > "],
        DatabaseKind::Sqlite => ["(workspace=?)", "(workspace=? AND id>?)"],
    };
    plan.iter().any(|line| ways.iter().any(|way| line.contains(way)))
}

/// Every filter of the list is served, rows and count, by one of these indexes.
async fn served(store: &Store, kind: ResourceType, indexes: &[&str], filters: &[&str]) {
    for filter in filters {
        let by_index = plan(store, kind, filter, by_index()).await;
        let by_cursor = plan(store, kind, filter, by_cursor(kind)).await;
        for lines in [&by_index.rows, &by_cursor.rows, &by_index.count] {
            let text = lines.join("\n");
            assert!(indexes.iter().any(|index| text.contains(index)), "{filter}: none of {indexes:?}\n{text}");
            assert!(!reads_everything(store, lines) && !reads_the_workspace(store, lines), "{filter}:\n{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_providers_filter_by_is_served_by_an_index_and_found() {
    on_both(async |db| {
        crowd::fill(db).await;
        the_right_ones_are_found(db).await;
        if !db.is_postgres() {
            // Nobody measures it, unless somebody does.
            providers_filters_are_served(&db.store).await;
        }
        crowd::measure(db).await;
        providers_filters_are_served(&db.another_store().await).await;
    })
    .await;
}

async fn providers_filters_are_served(store: &Store) {
    let served = async |kind, indexes: &[&str], filters: &[&str]| served(store, kind, indexes, filters).await;
    let member = format!("members.value eq \"{}\"", crowd::user(77));
    let members = format!("members[value eq \"{}\"]", crowd::user(77));
    let names = [r#"userName eq "User77@Example.com""#, r#"userName sw "user7777""#];
    served(User, &["users_name"], &names).await;
    served(User, &["users_external_id"], &[r#"externalId eq "ext77""#, r#"externalId eq "ext77" and active eq true"#])
        .await;
    served(User, &["users_display_name"], &[r#"displayName sw "Person 777""#, r#"displayName eq "person 77""#]).await;
    let emails = [
        r#"emails.value eq "USER77@example.com""#,
        r#"emails eq "user77@example.com" and active eq true"#,
        r#"emails[type eq "work"].value eq "user77@example.com""#,
        r#"emails[type eq "work" and value eq "user77@example.com"] and active eq true and title pr"#,
    ];
    served(User, &BY_EMAIL, &emails).await;
    served(User, &["users_active"], &["active eq false"]).await;
    served(User, &["users_modified"], &[&format!("meta.lastModified gt \"{}\"", crowd::time(99_900))]).await;
    served(Group, &["groups_name"], &[r#"displayName sw "Team 77""#, r#"displayName eq "TEAM 77""#]).await;
    served(Group, &["groups_external_id"], &[r#"externalId eq "g77""#]).await;
    served(Group, &["group_members_member"], &[&member, &members]).await;
    nearly_everybody_comes_by_id(store).await;
}

async fn nearly_everybody_comes_by_id(store: &Store) {
    for filter in ["active eq true", r#"displayName sw "p""#] {
        let plan = plan(store, User, filter, by_index()).await;
        let rows = plan.rows.join("\n");
        assert!(!reads_everything(store, &plan.rows), "{filter}:\n{rows}");
        assert!(BY_ID.iter().chain(&["users_active"]).any(|index| rows.contains(index)), "{filter}:\n{rows}");
        assert!(!rows.contains("Sort") && !rows.contains("ORDER BY"), "{filter}:\n{rows}");
    }
    let count = plan(store, User, "active eq true", by_index()).await.count.join("\n");
    let alone = ["Index Only Scan using users_active", "COVERING INDEX users_active"];
    assert!(alone.iter().any(|way| count.contains(way)), "{count}");
}

async fn the_right_ones_are_found(db: &TestDatabase) {
    let found = async |kind, filter: &str| found(db, kind, filter).await;
    let only = (1, vec![crowd::user(77)]);
    for filter in [
        r#"userName eq "User77@Example.com""#,
        r#"externalId eq "ext77""#,
        r#"emails.value eq "USER77@example.com""#,
        r#"emails[type eq "work"].value eq "user77@example.com""#,
        r#"displayName eq "person 77""#,
    ] {
        assert_eq!(found(User, filter).await, only, "{filter}");
    }
    let hundred = found(User, r#"displayName sw "Person 777""#).await;
    assert_eq!((hundred.0, hundred.1.contains(&crowd::user(77_712))), (111, true));
    assert_eq!(found(User, r#"emails[type eq "home"].value eq "user77@example.com""#).await.0, 0);
    assert_eq!(found(User, "active eq false").await.0, u64::from(crowd::USERS / crowd::INACTIVE));
    assert_eq!(found(User, "active eq true").await.0, u64::from(crowd::USERS - crowd::USERS / crowd::INACTIVE));
    let late = format!("meta.lastModified gt \"{}\"", crowd::time(99_900));
    assert_eq!(found(User, &late).await.0, 99);
    assert_eq!(found(Group, r#"displayName sw "team 77""#).await.0, 11);
    let groups = found(Group, &format!("members.value eq \"{}\"", crowd::user(77))).await;
    assert_eq!(groups, (2, vec![crowd::group(0), crowd::group(77)]));
}

#[tokio::test]
async fn an_address_is_listed_as_long_as_a_user_has_it() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let emails = |values: &[&str]| -> Value { values.iter().map(|value| json!({ "value": value })).collect() };
        let with = |name: &str, values: &[&str]| json!({ "userName": name, "emails": emails(values) });
        let finds = async |value: &str| found(db, User, &format!("emails eq \"{value}\"")).await.1;
        let endless = "x".repeat(900);

        let batch = [
            log.user(1, new_user_with(with("a", &["A@x", "both@x"]))),
            log.user(2, new_user_with(with("b", &["both@x"]))),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [201, 201]);
        assert_eq!((finds("a@X").await, finds("both@x").await), (vec![user(1)], vec![user(1), user(2)]));
        let batch = [
            log.user(1, set("emails", emails(&["new@x", &endless]))),
            log.user(2, put_user(with("b", &["a@x", "b@x"]))),
        ];
        assert_eq!(statuses(&db.apply(&batch).await), [200, 200]);
        assert_eq!(
            (finds("a@x").await, finds("both@x").await, finds("new@x").await),
            (vec![user(2)], vec![], vec![user(1)])
        );
        assert_eq!(finds(&endless).await, [user(1)]);
        listed(db, &["a@x", "b@x", "new@x"]).await;

        db.apply(&[log.user(1, set("title", json!("Boss"))), log.user(2, delete())]).await;
        listed(db, &["new@x"]).await;
        db.apply(&[log.user(1, delete()), log.user(3, new_user_with(with("c", &["new@x"]))), log.user(3, delete())])
            .await;
        listed(db, &[]).await;

        // A row that has no search form yet gets it, and is listed, when it is next written.
        db.apply_one(log.user(4, new_user_with(with("d", &["d@x"])))).await;
        let before = "UPDATE users SET search = '{}'; DELETE FROM user_emails";
        db.raw().await.execute_unprepared(before).await.unwrap();
        db.apply_one(log.user(4, set("title", json!("Boss")))).await;
        assert_eq!(finds("d@x").await, [user(4)]);
    })
    .await;
}

async fn listed(db: &TestDatabase, values: &[&str]) {
    let listed = if db.is_postgres() { "string_agg(value, ' ' ORDER BY value)" } else { "group_concat(value, ' ')" };
    let listed: Option<String> = db.value(&format!("SELECT {listed} FROM user_emails")).await;
    assert_eq!(listed.unwrap_or_default(), values.join(" "));
}
