//! A walk through twenty thousand users while some come and others go.

use std::collections::BTreeMap;

use protocol::id::ResourceId;
use protocol::scim::cursor::Position;
use protocol::scim::filter::TypeFilter;
use protocol::scim::list::{Page, Paging};
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Extensions;
use protocol::scim::sort::Sort;
use sea_orm::ConnectionTrait;

use crate::filters::walk::Asked;
use crate::log::{Log, delete, new_user, user};
use crate::test_database::{TestDatabase, on_both, statuses};

/// Those that are there at first have the even numbers below this; those that come have odd ones.
const NUMBERS: u128 = 40_000;
const AT_FIRST: usize = 20_000;
const COME: u128 = 500;
const GO: u128 = 500;
/// How many come and how many go while one page is read: the walk has a hundred pages and more.
const PER_PAGE: u128 = 5;
const COUNT: i64 = 200;

/// In another order than the ids.
fn name(number: u128) -> String {
    format!("user{:05}", number * 7_919 % NUMBERS)
}

fn number(id: ResourceId) -> u128 {
    id.0.as_u128() - user(0).0.as_u128()
}

/// The n-th that comes and the n-th that goes: all over the list, in no order of it.
fn comes(n: u128) -> u128 {
    (n * 211 % COME) * 80 + 1
}

fn goes(n: u128) -> u128 {
    (n * 307 % GO) * 80 + 40
}

/// Makes twenty thousand users after the model of one that the worker has written.
async fn fill(db: &TestDatabase) {
    db.apply_one(Log::of("acme").user(0, new_user(&name(0)))).await;
    let (numbers, id, name) = if db.is_postgres() {
        (
            format!("generate_series(2, {}, 2) AS s(n)", NUMBERS - 1),
            "('01900000-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid",
            format!("'user' || lpad((n::bigint * 7919 % {NUMBERS})::text, 5, '0')"),
        )
    } else {
        (
            format!(
                "(WITH RECURSIVE s(n) AS (SELECT 2 UNION ALL SELECT n + 2 FROM s WHERE n < {}) SELECT n FROM s)",
                NUMBERS - 2
            ),
            "unhex(printf('01900000000070009000%012x', n))",
            format!("printf('user%05d', n * 7919 % {NUMBERS})"),
        )
    };
    let same = "active, active_seq, attributes, search, ownership, version, last_sequence, created_at, modified_at";
    let sql = format!(
        "INSERT INTO users (workspace, id, user_name, user_name_key, {same}) \
         SELECT workspace, {id}, {name}, {name}, {same} FROM users, {numbers} WHERE workspace = 'acme'"
    );
    let raw = db.raw().await;
    raw.execute_unprepared(&sql).await.unwrap();
    raw.close().await.unwrap();
    assert_eq!(usize::try_from(db.count("users").await).unwrap(), AT_FIRST);
}

fn everybody(order: Option<&str>) -> Asked {
    let lists = vec![TypeFilter { resource_type: ResourceType::User, filter: None }];
    let by = |order| Sort::parse(&Extensions::default(), &[ResourceType::User], "userName", Some(order)).unwrap();
    Asked { lists, sort: order.map(by) }
}

/// By what the list is ordered, so that it grows.
fn place(id: ResourceId, order: Option<&str>) -> (u128, u128) {
    let number = number(id);
    let key = number * 7_919 % NUMBERS;
    match order {
        None => (0, number),
        Some("ascending") => (key, number),
        Some(_) => (NUMBERS - key, number),
    }
}

/// Reads a page while some come and others go.
async fn page(
    db: &TestDatabase,
    asked: &Asked,
    paging: Paging,
    log: &mut Log,
    changes: &mut u128,
) -> (Vec<ResourceId>, Option<Position>) {
    let mut batch = Vec::new();
    for n in *changes..COME.min(*changes + PER_PAGE) {
        batch.push(log.user(comes(n), new_user(&name(comes(n)))));
        batch.push(log.user(goes(n), delete()));
    }
    *changes += PER_PAGE;
    let ((_, page, next), outcomes) = tokio::join!(asked.page(db, paging), db.apply(&batch));
    assert!(statuses(&outcomes).chunks(2).all(|pair| pair == [201, 204]));
    (page, next)
}

async fn walk_while_others_come_and_go(order: Option<&str>) {
    on_both(async |db| {
        fill(db).await;
        let (asked, mut log, mut changes) = (everybody(order), Log::from("acme", 10), 0);
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let paging = Paging::cursor(after, Some(COUNT));
            let (page, next) = page(db, &asked, paging, &mut log, &mut changes).await;
            seen.extend(page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert!(changes >= COME, "all of them came and went meanwhile");
        assert!(seen.is_sorted_by(|left, right| place(*left, order) < place(*right, order)), "in order, nobody twice");
        let gone: Vec<u128> = (0..GO).map(goes).collect();
        let mut times: BTreeMap<u128, usize> =
            (0..NUMBERS).step_by(2).filter(|number| !gone.contains(number)).map(|number| (number, 0)).collect();
        for id in seen {
            if let Some(times) = times.get_mut(&number(id)) {
                *times += 1;
            }
        }
        assert_eq!(times.len(), AT_FIRST - usize::try_from(GO).unwrap());
        let wrong: Vec<_> = times.iter().filter(|(_, times)| **times != 1).collect();
        assert!(wrong.is_empty(), "{} of those who were there throughout: {:?}", wrong.len(), wrong.first());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_throughout_a_walk_is_seen_exactly_once() {
    walk_while_others_come_and_go(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_there_throughout_a_sorted_walk_is_seen_exactly_once() {
    walk_while_others_come_and_go(Some("descending")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_by_index_keep_a_total_order_while_others_come_and_go() {
    on_both(async |db| {
        fill(db).await;
        let (mut log, mut changes) = (Log::from("acme", 10), 0);
        let order = Some("ascending");
        let asked = everybody(order);
        let at = |start| Paging::Index(Page::new(Some(start), Some(COUNT)));
        for start in (1..20_000).step_by(1_000) {
            let (page, _) = page(db, &asked, at(start), &mut log, &mut changes).await;
            assert_eq!(i64::try_from(page.len()).unwrap(), COUNT);
            assert!(page.is_sorted_by(|left, right| place(*left, order) < place(*right, order)), "{start}");
        }
        // Now that nobody comes or goes the pages join without a gap.
        let mut whole = Vec::new();
        for start in (1..20_000).step_by(200) {
            whole.extend(asked.page(db, at(start)).await.1);
        }
        assert_eq!(whole.len(), AT_FIRST);
        assert!(whole.is_sorted_by(|left, right| place(*left, order) < place(*right, order)));
    })
    .await;
}
