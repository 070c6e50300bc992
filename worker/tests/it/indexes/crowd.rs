//! A hundred thousand users, written by the database itself: through commands it would take minutes.

use protocol::id::ResourceId;
use protocol::time::Timestamp;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::test_database::TestDatabase;

pub(super) const USERS: u32 = 100_000;
const GROUPS: u32 = 1_000;
const MEMBERS: u32 = 20_000;
const STRANGERS: u32 = 3_000;
/// One of so many is not active.
pub(super) const INACTIVE: u32 = 200;

/// The id of the `n`th user of `acme`.
pub(super) fn user(n: u32) -> ResourceId {
    id('a', n)
}

/// The id of the `n`th group.
pub(super) fn group(n: u32) -> ResourceId {
    id('b', n)
}

fn id(kind: char, n: u32) -> ResourceId {
    ResourceId(Uuid::parse_str(&format!("{kind}0000000-0000-7000-8000-{n:012}")).unwrap())
}

/// When the `n`th user was changed last.
pub(super) fn time(n: i64) -> String {
    Timestamp::from_millis(1_700_000_000_000 + n * 1000).to_string()
}

/// Fills `acme`, and `umbrella` with less. Group 0 has many members; each user below a thousand is in one more group.
pub(super) async fn fill(db: &TestDatabase) {
    let statements = [
        users(db, "acme", 'a', USERS),
        users(db, "umbrella", 'c', STRANGERS),
        groups(db),
        members(db, "0", MEMBERS),
        members(db, "n", GROUPS),
        emails(db),
    ];
    let raw = db.raw().await;
    for sql in statements {
        raw.execute_unprepared(&sql).await.unwrap();
    }
    raw.close().await.unwrap();
}

/// What PostgreSQL does of itself in time, and on SQLite somebody may.
pub(super) async fn measure(db: &TestDatabase) {
    let raw = db.raw().await;
    raw.execute_unprepared(if db.is_postgres() { "VACUUM ANALYZE" } else { "ANALYZE" }).await.unwrap();
    raw.close().await.unwrap();
}

fn numbers(db: &TestDatabase, count: u32) -> String {
    if db.is_postgres() {
        format!("generate_series(0, {count} - 1) AS s(n)")
    } else {
        format!(
            "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {count}) SELECT n FROM s)"
        )
    }
}

fn id_of(db: &TestDatabase, kind: char, n: &str) -> String {
    if db.is_postgres() {
        format!("('{kind}0000000-0000-7000-8000-' || lpad(({n})::text, 12, '0'))::uuid")
    } else {
        format!("unhex('{kind}0000000000070008000' || printf('%012d', {n}))")
    }
}

fn json(db: &TestDatabase) -> &'static str {
    if db.is_postgres() { "::jsonb" } else { "" }
}

fn users(db: &TestDatabase, workspace: &str, kind: char, count: u32) -> String {
    let (id, numbers, json) = (id_of(db, kind, "n"), numbers(db, count), json(db));
    let names =
        "'user' || n || '@example.com', 'user' || n || '@example.com', 'Person ' || n, 'person ' || n, 'ext' || n";
    let search = "('{\"userName\":\"user' || n || '@example.com\",\"emails\":[{\"value\":\"user' || n || '@example.com\",\
                  \"type\":\"work\",\"primary\":true}],\"title\":\"t' || n || '\"}')";
    format!(
        "INSERT INTO users (workspace, id, user_name, user_name_key, display_name, display_name_key, external_id, active,
             active_seq, attributes, search, ownership, version, last_sequence, created_at, modified_at)
         SELECT '{workspace}', {id}, {names}, n % {INACTIVE} <> 0, 1, {search}{json}, {search}{json}, '[]'{json}, 1, 1,
             1700000000000, 1700000000000 + n * 1000{} FROM {numbers}",
        if db.is_postgres() { "::bigint" } else { "" }
    )
}

fn groups(db: &TestDatabase) -> String {
    let (id, numbers, json) = (id_of(db, 'b', "n"), numbers(db, GROUPS), json(db));
    format!(
        "INSERT INTO groups (workspace, id, display_name, display_name_key, external_id, attributes, search, ownership,
             member_count, version, last_sequence, created_at, modified_at)
         SELECT 'acme', {id}, 'Team ' || n, 'team ' || n, 'g' || n, '{{}}'{json}, '{{}}'{json}, '[]'{json}, 0, 1, 1, 1, 1
         FROM {numbers}"
    )
}

fn members(db: &TestDatabase, group: &str, count: u32) -> String {
    let (group, member, numbers) = (id_of(db, 'b', group), id_of(db, 'a', "n"), numbers(db, count));
    // The first user is in the first group already.
    format!(
        "INSERT INTO group_members SELECT 'acme', {group}, {member} FROM {numbers} WHERE TRUE ON CONFLICT DO NOTHING"
    )
}

fn emails(db: &TestDatabase) -> String {
    let numbers = numbers(db, USERS);
    format!(
        "INSERT INTO user_emails SELECT 'acme', 'user' || n || '@example.com', {} FROM {numbers}",
        id_of(db, 'a', "n")
    )
}
