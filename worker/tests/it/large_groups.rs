//! Groups of many members: only what differs is written, and members are read by pages.

use std::time::{Duration, Instant};

use protocol::id::ResourceId;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Found, GetResource, ListMembers, ListResources, MemberPage};
use protocol::scim::filter::TypeFilter;
use protocol::scim::list::{Include, Page, Paging};
use protocol::scim::members::{Member, Members};
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;
use sea_orm::ConnectionTrait;

use crate::log::{Log, add_members, group, new_group, new_user, put_group, remove_member, user};
use crate::test_database::{TestDatabase, member_ids, on_both, resource, status};

/// No statement may take longer, in any build.
const STATEMENT: Duration = Duration::from_secs(10);

/// Counts rows of `group_members` that are written.
async fn count_writes(db: &TestDatabase) {
    let statements: &[&str] = if db.is_postgres() {
        &[
            "CREATE TABLE writes (kind text)",
            "CREATE FUNCTION written() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO writes VALUES (TG_OP); RETURN NULL; END $$",
            "CREATE TRIGGER written AFTER INSERT OR UPDATE OR DELETE ON group_members \
             FOR EACH ROW EXECUTE FUNCTION written()",
        ]
    } else {
        &[
            "CREATE TABLE writes (kind text)",
            "CREATE TRIGGER inserted AFTER INSERT ON group_members BEGIN INSERT INTO writes VALUES ('INSERT'); END",
            "CREATE TRIGGER updated AFTER UPDATE ON group_members BEGIN INSERT INTO writes VALUES ('UPDATE'); END",
            "CREATE TRIGGER deleted AFTER DELETE ON group_members BEGIN INSERT INTO writes VALUES ('DELETE'); END",
        ]
    };
    let raw = db.raw().await;
    for statement in statements {
        raw.execute_unprepared(statement).await.unwrap();
    }
    raw.close().await.unwrap();
}

async fn writes(db: &TestDatabase) -> (i64, i64) {
    let of = async |kind: &str| db.value::<i64>(&format!("SELECT COUNT(*) FROM writes WHERE kind = '{kind}'")).await;
    (of("INSERT").await, of("DELETE").await)
}

fn ids(numbers: impl Iterator<Item = u128>) -> Vec<ResourceId> {
    numbers.map(user).collect()
}

#[tokio::test]
async fn a_put_writes_the_difference_and_nothing_else() {
    on_both(async |db| {
        count_writes(db).await;
        let mut log = Log::of("acme");
        db.apply_one(log.group(1, new_group("All", &ids(0..20_000)))).await;
        assert_eq!(writes(db).await, (20_000, 0));
        for (members, written) in [
            (ids(0..20_000), (20_000, 0)),
            (ids(10..20_010), (20_010, 10)),
            // Many go and few stay; many go and many stay.
            (ids(10..20), (20_010, 20_000)),
            (ids(0..8_000), (28_000, 20_000)),
            (ids(6_000..8_000), (28_000, 26_000)),
            (ids(6_000..6_001), (28_000, 27_999)),
        ] {
            db.apply_one(log.group(1, put_group("All", &members))).await;
            assert_eq!(writes(db).await, written);
            let rows = i64::try_from(members.len()).unwrap();
            assert_eq!((db.count("group_members").await, member_count(db).await), (rows, rows));
        }
        db.apply_one(log.group(1, put_group("All", &[]))).await;
        assert_eq!((db.count("group_members").await, member_count(db).await), (0, 0));
    })
    .await;
}

async fn member_count(db: &TestDatabase) -> i64 {
    db.value("SELECT member_count FROM groups").await
}

#[tokio::test]
async fn a_put_of_fifty_thousand_again_changes_nothing_and_all_is_done_in_time() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let all = ids(0..50_000);
        let created = timed("POST", db.apply_one(log.group(1, new_group("All", &[])))).await;
        assert_eq!(status(&created), 201);
        for (version, members) in [(2, &all[..]), (2, &all[..]), (3, &all[..49_999]), (4, &all[1..])] {
            let outcome = timed("PUT", db.apply_one(log.group(1, put_group("All", members)))).await;
            let Outcome::Updated { resource } = &outcome else { panic!("{outcome:?}") };
            assert_eq!((resource.meta.version.number(), &resource.members), (version, &Members::Paged));
        }
        let more = ids(50_000..60_000);
        assert_eq!(status(&timed("PATCH", db.apply_one(log.group(1, add_members(&more)))).await), 204);
        assert_eq!(status(&timed("PATCH", db.apply_one(log.group(1, add_members(&more)))).await), 204);
        assert_eq!((db.count("group_members").await, member_count(db).await), (59_999, 59_999));
        let read = db.get("acme", ResourceType::Group, group(1)).await.unwrap();
        assert_eq!((read.meta.version.number(), read.members), (5, Members::Paged), "what is there is not added again");
    })
    .await;
}

async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let done = work.await;
    eprintln!("{what}: {:?}", began.elapsed());
    assert!(began.elapsed() < STATEMENT, "{what} took {:?}", began.elapsed());
    done
}

#[tokio::test]
async fn commands_of_one_batch_see_each_others_members() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply_one(log.group(1, new_group("All", &ids(0..5)))).await;
        let batch = [
            log.group(1, add_members(&ids(7..9))),
            log.group(1, put_group("All", &ids(3..9))),
            log.group(1, remove_member(user(4))),
            log.group(1, put_group("All", &[])),
            log.group(1, add_members(&ids(3..4))),
            log.group(1, put_group("All", &ids(2..4))),
        ];
        db.apply(&batch).await;
        assert_eq!((db.count("group_members").await, member_count(db).await), (2, 2));
        let left = format!("SELECT COUNT(*) FROM group_members WHERE {}", one_of(db, &ids(2..4)));
        assert_eq!(db.value::<i64>(&left).await, 2);
    })
    .await;
}

fn one_of(db: &TestDatabase, ids: &[ResourceId]) -> String {
    let literal = |id: &ResourceId| if db.is_postgres() { format!("'{id}'") } else { format!("x'{}'", id.0.simple()) };
    format!("member_id IN ({})", ids.iter().map(literal).collect::<Vec<_>>().join(", "))
}

/// Walks the pages.
async fn walk(db: &TestDatabase, id: u128, count: u64, display: bool) -> Vec<Member> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = ListMembers { group: group(id), after, count, display };
        let MemberPage { members, next } = db.ask("acme", query).await;
        assert!(members.len() as u64 <= count);
        found.extend(members);
        match next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

#[tokio::test]
async fn pages_show_each_live_member_once_in_the_order_of_ids() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let live: Vec<_> = (0..30).map(|n| log.user(3 * n, new_user(&format!("user{n}")))).collect();
        db.apply(&live).await;
        db.apply_one(log.group(7, new_group("Nested", &[]))).await;
        let mut all = ids(0..100);
        all.push(group(7));
        db.apply_one(log.group(1, new_group("All", &all))).await;
        // Somebody else's, and nobody's.
        db.apply_one(Log::from("umbrella", 90).user(1, new_user("mallory"))).await;
        let mut expected = ids((0..30).map(|n| 3 * n));
        expected.push(group(7));
        for count in [1, 7, 100, 101, 5_000] {
            let found = walk(db, 1, count, false).await;
            assert_eq!(found.iter().map(|member| member.id).collect::<Vec<_>>(), expected, "by {count}");
            assert!(found.iter().all(|member| member.display.is_none()));
        }
        let found = walk(db, 1, 10, true).await;
        assert_eq!((found[0].display.as_deref(), found[0].resource_type), (Some("user0"), ResourceType::User));
        assert_eq!((found[30].display.as_deref(), found[30].resource_type), (Some("Nested"), ResourceType::Group));
        assert_eq!(walk(db, 2, 10, true).await, []);
        let query = ListMembers { group: group(1), after: None, count: 10, display: false };
        let nothing = MemberPage { members: Vec::new(), next: None };
        assert_eq!(db.ask("umbrella", query).await, nothing, "nothing crosses workspaces");
    })
    .await;
}

#[tokio::test]
async fn an_answer_reads_so_many_members_and_leaves_the_rest_apart() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let users: Vec<_> = (0..5).map(|n| log.user(n, new_user(&format!("user{n}")))).collect();
        db.apply(&users).await;
        for (id, members) in [(1, 1_500), (2, 501), (3, 100_u128), (4, 400), (5, 2_001), (6, 0), (7, 1)] {
            let created = db.apply_one(log.group(id, new_group(&format!("g{id}"), &ids(0..members)))).await;
            assert_eq!(resource(&created).members == Members::Paged, members > 1_000, "{members}");
        }
        let list = async |joined| {
            let lists = vec![TypeFilter { resource_type: ResourceType::Group, filter: None }];
            let (base_url, paging) = ("https://scim.example.com".to_owned(), Paging::Index(Page::new(None, None)));
            db.ask("acme", ListResources { lists, base_url, sort: None, paging, joined }).await.resources
        };
        let shown = |resources: Vec<Resource>| {
            resources.iter().map(|one| (one.members == Members::Paged, member_ids(one).len())).collect::<Vec<_>>()
        };
        let expected = [(false, 5), (true, 0), (false, 5), (false, 5), (true, 0), (false, 0), (true, 0)].to_vec();
        // 1,500 + 100 + 400 are 2,000: the group of none still has room, that of one has not.
        assert_eq!(shown(list(Include::ALL).await), expected);
        assert_eq!(shown(list(Include::NONE).await), vec![(false, 0); 7]);
        let five = db.get("acme", ResourceType::Group, group(5)).await.unwrap();
        let two = db.get("acme", ResourceType::Group, group(2)).await.unwrap();
        assert_eq!(shown(vec![five, two]), [(true, 0), (false, 5)]);
    })
    .await;
}

#[tokio::test]
async fn what_does_not_show_members_reads_no_membership() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.group(1, new_group("All", &ids(0..5)))]).await;
        db.raw().await.execute_unprepared("ALTER TABLE group_members RENAME TO gone").await.unwrap();
        let get = async |precondition, joined| {
            let (resource_type, id) = (ResourceType::Group, group(1));
            db.answer("acme", &GetResource { resource_type, id, precondition, joined }.into()).await
        };
        let none = Include { members: false, groups: true };
        assert!(matches!(get(Precondition::None, none).await, Answer::Get(Found::Resource(_))));
        assert!(matches!(get(Precondition::Absent, Include::ALL).await, Answer::Get(Found::NotModified { .. })));
        assert!(matches!(
            get(Precondition::IfMatch(Vec::new()), Include::ALL).await,
            Answer::Get(Found::PreconditionFailed)
        ));
        assert_eq!(get(Precondition::None, Include::ALL).await, Answer::Unavailable, "the table is gone");
        let lists = vec![TypeFilter { resource_type: ResourceType::Group, filter: None }];
        let (base_url, paging) = ("https://scim.example.com".to_owned(), Paging::Index(Page::new(None, None)));
        let list = ListResources { lists, base_url, sort: None, paging, joined: none };
        assert_eq!(db.ask("acme", list).await.total, 1);
    })
    .await;
}
