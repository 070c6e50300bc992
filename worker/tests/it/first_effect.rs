//! Access is taken away before the command that says so can be applied, and nothing that came before it gives it back.

use std::time::{Duration, Instant};

use protocol::message::command::Command;
use protocol::message::operator::{WorkspaceCreate, WorkspaceShow};
use protocol::message::outcome::Outcome;
use protocol::message::query::{GetResource, ListMembers, ListResources, Query};
use protocol::ownership::{OwnershipPolicy, Source};
use protocol::scim::cursor::Position;
use protocol::scim::filter::{Filter, TypeFilter};
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::patch::PatchRequest;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType::{self, Group, User};
use protocol::scim::schema::Extensions;
use protocol::scim::sort::Sort;
use runtime::clock::Clock;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;
use worker::accepted::Accepted;
use worker::apply::{apply, first_effect};
use worker::store::Class;

use crate::log::{
    Log, NOW, add_members, at, delete, group, new_group, new_user, new_user_with, patch, put_user, sent_as, set, user,
};
use crate::operators::by;
use crate::test_database::{TestDatabase, member_ids, on_both, postgres_db, resource, status, statuses};

async fn takes_first(db: &TestDatabase, command: &Accepted) -> bool {
    first_effect(&db.store, Some(&OwnershipPolicy::default()), command, Clock::Fixed(NOW)).await.unwrap()
}

/// `active` and the version of the first user.
async fn state(db: &TestDatabase) -> Option<(Option<bool>, i64)> {
    let user = db.get("acme", User, user(1)).await?;
    Some((user.attributes.boolean("active"), user.meta.version.number()))
}

fn deactivate() -> Command {
    patch(User, &json!({"op": "replace", "value": {"active": false, "title": "Leaver"}}))
}

fn put_inactive(name: &str) -> Command {
    put_user(json!({ "userName": name, "active": false }))
}

#[tokio::test]
async fn access_goes_at_once_and_the_rest_in_its_turn() {
    for (last, after) in
        [(deactivate(), Some((Some(false), 4))), (put_inactive("ALICE"), Some((Some(false), 4))), (delete(), None)]
    {
        on_both(async |db| {
            let mut log = Log::of("acme");
            db.apply_one(log.user(1, new_user("alice"))).await;
            let more = patch(User, &json!({"op": "replace", "value": {"active": true, "nickName": "Al"}}));
            let (older, last) = (log.user(1, more), log.user(1, last.clone()));
            assert!(takes_first(db, &last).await);
            assert_eq!((state(db).await, db.count("operations").await), (Some((Some(false), 2)), 1));
            assert!(!takes_first(db, &last).await, "once");
            assert_eq!(state(db).await, Some((Some(false), 2)));

            let shown = db.apply_one(older).await;
            let shown = &resource(&shown).attributes;
            assert_eq!((shown.boolean("active"), shown.string("nickName")), (Some(false), Some("Al")));
            let answered = db.apply_one(last.clone()).await;
            assert_eq!((status(&answered) < 300, state(db).await), (true, after), "{answered:?}");
            assert!(!takes_first(db, &last).await, "what was applied has no first effect any more");
            assert_eq!((state(db).await, db.count("users").await), (after, i64::from(after.is_some())));
        })
        .await;
    }
}

#[tokio::test]
async fn only_what_takes_access_away_whatever_comes_before_it_may_come_first() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("Admins", &[]))]).await;
        let conditional = |precondition| Command::Delete { precondition };
        let rename = patch(User, &json!({"op": "replace", "value": {"active": false, "userName": "bob"}}));
        let commands = [
            log.user(1, conditional(Precondition::IfMatch(vec![Version::FIRST]))),
            log.user(1, conditional(Precondition::Exists)),
            log.user(1, put_inactive("bob")),
            log.user(1, rename),
            log.user(1, set("active", json!(true))),
            log.user(1, set("title", json!("Boss"))),
            log.user(2, new_user_with(json!({"userName": "carol", "active": false}))),
            // Nobody knows yet whose name that is.
            log.user(3, put_inactive("dave")),
            log.group(1, delete()),
        ];
        for command in commands {
            assert!(!takes_first(db, &command).await, "{:?}", command.envelope.body);
        }
        let mut of_the_product = log.user(1, set("active", json!(false)));
        of_the_product.envelope.source = Source::Application;
        assert!(!takes_first(db, &of_the_product).await);
        assert_eq!((state(db).await, db.count("users").await), (Some((Some(true), 1)), 1));
    })
    .await;
}

#[tokio::test]
async fn a_first_effect_yields_to_a_newer_word() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(at(0, 1, log.user(1, new_user("alice")))).await;
        let (older, held) = (log.user(1, deactivate()), at(5_000, 20_000, log.user(1, deactivate())));
        let later = Log::from("acme", 3).user(1, set("active", json!(true)));
        db.apply_one(at(10_000, 10_001, Accepted { sequence: 10, ..later })).await;
        assert!(!takes_first(db, &older).await);
        assert!(!takes_first(db, &Accepted { sequence: 11, ..held }).await);
        assert_eq!(state(db).await, Some((Some(true), 1)));
        let later = Accepted { sequence: 12, ..at(15_000, 25_000, log.user(1, deactivate())) };
        assert!(takes_first(db, &later).await);
    })
    .await;
}

#[tokio::test]
async fn what_would_be_refused_now_takes_nothing_away() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.user(1, new_user("alice"))).await;
        let operations = json!([
            { "op": "replace", "path": "active", "value": false },
            { "op": "replace", "path": "emails[value co \"@old\"].value", "value": "a@example.com" },
        ]);
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
        let request = PatchRequest::parse(User, body).unwrap();
        let refused = log.user(1, Command::Patch { request, precondition: Precondition::None });
        assert!(!takes_first(db, &refused).await);
        assert_eq!((status(&db.apply_one(refused).await), state(db).await), (400, Some((Some(true), 1))));
    })
    .await;
}

#[tokio::test]
async fn a_first_effect_waits_for_a_row_only_briefly() {
    let db = postgres_db().await;
    let mut log = Log::of("acme");
    db.apply_one(log.user(1, new_user("alice"))).await;
    let last = log.user(1, deactivate());
    let locked = db.raw().await.begin().await.unwrap();
    locked.execute_unprepared("SELECT id FROM users FOR UPDATE").await.unwrap();
    let began = Instant::now();
    let failure = first_effect(&db.store, None, &last, Clock::Fixed(NOW)).await.unwrap_err();
    assert_eq!((failure.class(), began.elapsed() < Duration::from_secs(1)), (Class::Locked, true));
    locked.rollback().await.unwrap();
    assert!(takes_first(&db, &last).await);
}

#[tokio::test]
async fn who_is_created_behind_a_fence_is_inactive_from_the_first_moment() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let emails = json!([{ "value": "alice@example.com" }]);
        let create = log.user(1, new_user_with(json!({ "userName": "alice", "emails": emails })));
        let (activate, last) = (log.user(1, set("active", json!(true))), log.user(1, set("active", json!(false))));
        assert!(takes_first(db, &last).await);
        assert_eq!((state(db).await, db.count("users").await), (None, 1));

        let created = db.apply_one(create).await;
        assert_eq!((status(&created), resource(&created).meta.version), (201, Version::FIRST));
        assert_eq!(resource(&created).attributes.boolean("active"), Some(false));
        let read = db.get("acme", User, user(1)).await;
        assert_eq!((read.as_ref(), db.count("user_emails").await), (Some(resource(&created)), 1));
        assert_eq!(statuses(&db.apply(&[activate, last]).await), [200, 200]);
        assert_eq!(state(db).await, Some((Some(false), 1)));
        // A retry of the create does not lead to somebody who was deactivated since.
        let retry = sent_as("fingerprint 1", log.user(2, new_user("alice")));
        assert_eq!(status(&db.apply_one(retry).await), 409);
        assert_eq!(db.value::<i64>("SELECT COUNT(*) FROM operations WHERE duplicate_of IS NOT NULL").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_fence_goes_with_the_command_that_deletes() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        // Without a create, with one, and with one in the same batch.
        let (lone, create, last) = (log.user(1, delete()), log.user(2, new_user("bob")), log.user(2, delete()));
        let batch = [log.user(3, new_user("carol")), log.user(3, delete())];
        for command in [&lone, &last, &batch[1]] {
            assert!(takes_first(db, command).await);
        }
        assert_eq!((status(&db.apply_one(lone).await), db.count("users").await), (404, 2));
        assert_eq!((status(&db.apply_one(create).await), status(&db.apply_one(last).await)), (201, 204));
        assert_eq!(statuses(&db.apply(&batch).await), [201, 204]);
        assert_eq!(db.count("users").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_fence_of_somebody_whom_a_group_names_already_goes_like_any_other() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.group(1, new_group("Staff", &[user(1), user(2)]))).await;
        let (lone, create, last) = (log.user(1, delete()), log.user(2, new_user("bob")), log.user(2, delete()));
        for command in [&lone, &last] {
            assert!(takes_first(db, command).await);
        }
        assert_eq!((status(&db.apply_one(lone).await), db.count("users").await), (404, 1));
        assert_eq!(db.count("group_members").await, 2, "who is not there yet may still come");
        assert_eq!(statuses(&db.apply(&[create, last]).await), [201, 204]);
        assert_eq!((db.count("users").await, db.count("group_members").await), (0, 1));
    })
    .await;
}

#[tokio::test]
async fn a_fence_is_no_user_to_any_command() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let (older, patched) = (log.user(1, delete()), log.user(1, set("active", json!(false))));
        assert!(takes_first(db, &patched).await);
        let (put, later) = (log.user(1, put_inactive("alice")), log.user(1, delete()));
        // It stays as it is until the command that left it ends, unless something newer takes access away.
        let fence = async || {
            let sequence = db.value::<i64>("SELECT active_seq FROM users").await;
            (sequence, db.value::<i64>("SELECT version FROM users").await)
        };
        assert_eq!((status(&db.apply_one(older).await), fence().await), (404, (2, 0)));
        assert!(takes_first(db, &later).await);
        assert_eq!(statuses(&db.apply(&[patched, put]).await), [404; 2]);
        assert_eq!(fence().await, (4, 0));
        assert_eq!((status(&db.apply_one(later).await), db.count("users").await), (404, 0));
        let after = log.user(1, new_user("alice"));
        assert_eq!(resource(&db.apply_one(after).await).attributes.boolean("active"), Some(true));
    })
    .await;
}

#[tokio::test]
async fn a_fence_goes_with_the_command_that_left_it_however_that_ends() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        for command in [deactivate(), set("active", json!(false)), delete()] {
            let last = log.user(1, command);
            assert!(takes_first(db, &last).await);
            assert_eq!((status(&db.apply_one(last).await), db.count("users").await), (404, 0));
        }
        // The command itself may have become a dead letter.
        let (dead, after) = (log.user(1, deactivate()), log.user(1, put_user(json!({ "userName": "alice" }))));
        assert!(takes_first(db, &dead).await);
        assert_eq!((status(&db.apply_one(after).await), db.count("users").await), (404, 0));
        // One that shares the end of the same request before it.
        let first = sent_as("DELETE", log.user(9, delete()));
        let retry = Accepted { predecessor: first.sequence, ..sent_as("DELETE", log.user(9, delete())) };
        assert_eq!(status(&db.apply_one(first).await), 404);
        assert!(takes_first(db, &retry).await);
        assert_eq!((status(&db.apply_one(retry).await), db.count("users").await), (404, 0));
    })
    .await;
}

/// Everything that can be read, in words.
async fn everything(db: &TestDatabase) -> Vec<String> {
    let mut read = Vec::new();
    for query in queries() {
        read.push(format!("{query:?}\n{:?}", db.answer("acme", &query).await));
    }
    let acme = db.call(WorkspaceShow { workspace: "acme".parse().unwrap() }).await.unwrap();
    read.push(format!("{:?}", (acme.users, acme.groups)));
    read
}

fn queries() -> Vec<Query> {
    let users = ["active eq false", "id pr", "externalId eq null", "not (title pr)", "userName pr"].map(str::to_owned);
    let of_fence = [format!("id eq \"{}\"", user(1)), format!("groups.value eq \"{}\"", group(1))];
    let member = format!("members.value eq \"{}\"", user(1));
    let groups = [member.as_str(), "members pr", "not (members pr)", "members[type eq \"User\"]", "members.display pr"];
    let filters = users.iter().chain(&of_fence).map(|text| (User, text.as_str()));
    let filters = filters.chain(groups.into_iter().map(|text| (Group, text)));
    let mut lists: Vec<Vec<TypeFilter>> =
        filters.map(|(kind, text)| vec![list(kind, Some(Filter::parse(kind, text).unwrap()))]).collect();
    lists.extend([vec![list(User, None)], vec![list(Group, None)], vec![list(User, None), list(Group, None)]]);
    let mut queries = Vec::new();
    for lists in lists {
        let kinds: Vec<ResourceType> = lists.iter().map(|list| list.resource_type).collect();
        for by in [None, Some("displayName"), Some("meta.lastModified"), Some("id")] {
            let sort = by.map(|by| Sort::parse(&Extensions::default(), &kinds, by, None).unwrap());
            for paging in pagings(kinds[0]) {
                if matches!(&paging, Paging::Cursor { after: Some(_), .. }) && sort.is_some() {
                    continue;
                }
                let (lists, sort) = (lists.clone(), sort.clone());
                let base_url = "https://x".to_owned();
                queries.push(ListResources { lists, base_url, sort, paging, joined: Include::ALL }.into());
            }
        }
    }
    queries.extend([true, false].map(|display| ListMembers { group: group(1), after: None, count: 9, display }.into()));
    queries.extend([(User, user(1)), (Group, group(1))].map(|(resource_type, id)| {
        GetResource { resource_type, id, precondition: Precondition::None, joined: Include::ALL }.into()
    }));
    queries
}

fn list(resource_type: ResourceType, filter: Option<Filter>) -> TypeFilter {
    TypeFilter { resource_type, filter }
}

fn pagings(kind: ResourceType) -> [Paging; 5] {
    let id = if kind == User { user(0) } else { group(0) };
    let after = Position { total: 9, resource_type: kind, id, key: None };
    [
        Paging::Index(Page::new(None, None)),
        Paging::Index(Page::new(Some(1), Some(0))),
        Paging::cursor(None, Some(1)),
        Paging::cursor(None, Some(0)),
        Paging::cursor(Some(after), None),
    ]
}

#[tokio::test]
async fn a_fence_is_nobody_to_whoever_reads() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let create = WorkspaceCreate { workspace: "acme".parse().unwrap(), name: "Acme".to_owned(), by: by() };
        db.call(create).await.unwrap();
        db.apply(&[
            log.user(2, new_user("bob")),
            log.user(3, new_user_with(json!({"userName": "carol", "active": false}))),
            log.group(1, new_group("Admins", &[user(1), user(2)])),
            log.group(2, new_group("Staff", &[user(1)])),
        ])
        .await;
        let before = everything(db).await;
        assert!(takes_first(db, &log.user(1, delete())).await);
        assert_eq!((db.count("users").await, everything(db).await), (3, before));
        // Nor is it among those whom a group's answer shows.
        let created = db.apply_one(log.group(3, new_group("All", &[user(1), user(2)]))).await;
        assert_eq!(member_ids(resource(&created)), [user(2)]);
        assert_eq!(status(&db.apply_one(log.group(2, add_members(&[user(3)]))).await), 204);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_create_and_a_fence_that_meet_leave_nobody_active() {
    on_both(async |db| {
        let other = db.another_store().await;
        let mut log = Log::of("acme");
        for n in 0..40 {
            let (create, last) = (log.user(n, new_user(&format!("user{n}"))), log.user(n, set("active", json!(false))));
            let created = async {
                loop {
                    match apply(&other, &OwnershipPolicy::default(), &[&create], Clock::Fixed(NOW)).await {
                        Ok(_) => return,
                        Err(failure) => assert!(failure.is_unavailable(), "{failure}"),
                    }
                }
            };
            tokio::join!(Box::pin(created), Box::pin(takes_first(db, &last)));
            let user = db.get("acme", User, user(n)).await.unwrap();
            assert_eq!(user.attributes.boolean("active"), Some(false), "{n}");
            assert_eq!(status(&db.apply_one(last).await), 200);
        }
        assert_eq!(db.value::<i64>("SELECT COUNT(*) FROM users WHERE version = 0").await, 0);
    })
    .await;
}

#[tokio::test]
async fn what_was_deleted_by_the_command_itself_leaves_no_fence() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let (create, last) = (log.user(1, new_user("alice")), log.user(1, delete()));
        assert_eq!(db.apply(&[create, last.clone()]).await[1], Outcome::Deleted);
        assert!(!takes_first(db, &last).await);
        assert_eq!(db.count("users").await, 0);
    })
    .await;
}
