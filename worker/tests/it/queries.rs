//! Lists: filters and pages.

use protocol::id::ResourceId;
use protocol::message::query::{ListResources, ResourcePage};
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::resource_type::ResourceType;
use serde_json::json;

use crate::log::{Log, group, new_group, new_user_with, user};
use crate::test_database::{TestDatabase, member_ids, on_both};

fn query(resource_type: ResourceType, filter: Option<Filter>, page: Page) -> ListResources {
    let lists = vec![TypeFilter { resource_type, filter }];
    let paging = Paging::Index(page);
    ListResources { lists, base_url: "https://scim.example.com".to_owned(), sort: None, paging, joined: Include::ALL }
}

async fn list(db: &TestDatabase, kind: ResourceType, filter: Option<&str>, page: Page) -> (u64, Vec<ResourceId>) {
    let filter = filter.map(|filter| Filter::parse(kind, filter).unwrap());
    let ResourcePage { total, resources, .. } = db.ask("acme", query(kind, filter, page)).await;
    (total, resources.iter().map(|resource| resource.id).collect())
}

async fn fill(db: &TestDatabase) {
    let mut log = Log::of("acme");
    let users = (0..5).map(|n| {
        let names = json!({"userName": format!("User{n}"), "externalId": format!("Ext{n}"), "displayName": "Same"});
        log.user(n, new_user_with(names))
    });
    db.apply(&users.collect::<Vec<_>>()).await;
    db.apply(&[log.group(1, new_group("Admins", &[user(3), user(1)])), log.group(2, new_group("Staff", &[]))]).await;
    let mut foreign = Log::from("umbrella", 50);
    db.apply_one(foreign.user(90, new_user_with(json!({"userName": "User1", "externalId": "Ext1"})))).await;
}

#[tokio::test]
async fn names_are_found_in_any_letter_case_and_external_ids_exactly() {
    on_both(async |db| {
        fill(db).await;
        let all = Page::new(None, None);
        let users = async |filter: &str| list(db, ResourceType::User, Some(filter), all).await;
        assert_eq!(users(r#"userName eq "uSER1""#).await, (1, vec![user(1)]));
        assert_eq!(users(r#"externalId eq "Ext1""#).await, (1, vec![user(1)]));
        assert_eq!(users(r#"externalId eq "EXT1""#).await, (0, vec![]));
        assert_eq!(users(r#"displayName eq "SAME""#).await.0, 5);
        assert_eq!(users(&format!(r#"id eq "{}""#, user(2))).await, (1, vec![user(2)]));
        assert_eq!(users(r#"id eq "nonsense""#).await, (0, vec![]));
        assert_eq!(users(&format!(r#"id eq "{}""#, user(90))).await, (0, vec![]));
        let groups = list(db, ResourceType::Group, Some(r#"displayName eq "ADMINS""#), all).await;
        assert_eq!(groups, (1, vec![group(1)]));
    })
    .await;
}

#[tokio::test]
async fn pages_are_ordered_by_id_and_count_everything() {
    on_both(async |db| {
        fill(db).await;
        let page = async |start, count| list(db, ResourceType::User, None, Page::new(Some(start), Some(count))).await;
        assert_eq!(page(1, 2).await, (5, vec![user(0), user(1)]));
        assert_eq!(page(5, 2).await, (5, vec![user(4)]));
        assert_eq!(page(6, 2).await, (5, vec![]));
        assert_eq!(page(1, 0).await, (5, vec![]));
        assert_eq!(page(i64::MAX, 2).await, (5, vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_list_of_groups_shows_members() {
    on_both(async |db| {
        fill(db).await;
        let query = query(ResourceType::Group, None, Page::new(None, None));
        let ResourcePage { total, resources, .. } = db.ask("acme", query).await;
        assert_eq!(total, 2);
        assert_eq!((member_ids(&resources[0]), member_ids(&resources[1])), (vec![user(1), user(3)], vec![]));
    })
    .await;
}

#[tokio::test]
async fn filters_reach_what_lies_in_other_rows_and_in_other_schemas() {
    on_both(async |db| {
        fill(db).await;
        let all = Page::new(None, None);
        let groups = async |filter: &str| list(db, ResourceType::Group, Some(filter), all).await.1;
        let users = async |filter: &str| list(db, ResourceType::User, Some(filter), all).await.1;
        assert_eq!(groups(&format!("members eq \"{}\"", user(3))).await, [group(1)]);
        assert_eq!(groups(&format!("members[value eq \"{}\" and type eq \"user\"]", user(3))).await, [group(1)]);
        assert_eq!(groups("not (members pr)").await, [group(2)]);
        assert_eq!(groups(r#"members.display eq "same""#).await, [group(1)]);
        assert_eq!(groups(&format!("members.$ref ew \"/Users/{}\"", user(1))).await, [group(1)]);
        assert_eq!(users(r#"groups.display eq "ADMINS""#).await, [user(1), user(3)]);
        assert_eq!(users(&format!("groups.value eq \"{}\"", group(1))).await, [user(1), user(3)]);
        assert_eq!(users(&format!("meta.location eq \"https://scim.example.com/Users/{}\"", user(2))).await, [user(2)]);
        assert_eq!(users(&format!("id sw \"{}\"", &user(2).to_string()[..36])).await, [user(2)]);
        assert_eq!(users(r#"schemas co "enterprise""#).await, []);
        assert_eq!(users(r#"meta.version eq "W/\"1\"" and userName ne "user0""#).await.len(), 4);
        assert_eq!(users(r#"nickName eq null and active eq true and userName gt "user2""#).await, [user(3), user(4)]);
    })
    .await;
}
