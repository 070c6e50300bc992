//! What one statement writes is what the long way writes, and whatever is in its way leads to the long way.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource_type::ResourceType;
use runtime::clock::Clock;
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use worker::accepted::Accepted;
use worker::apply::{Ending, apply, first_effect};
use worker::store::{Store, StoreOptions};

use crate::log::{Log, NOW, add_members, delete, new_group, new_user, new_user_with, put_user, refs, set, user};
use crate::test_database::{TestDatabase, on_both, postgres_database, postgres_db, resource, status, statuses};

const SEED: u64 = 20_261_128;
const USERS: u64 = 8;
const NAMES: u64 = 60;

/// A random number generator that is the same everywhere (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn command(dice: &mut Dice, log: &mut Log, id: u128) -> Accepted {
    let name = format!("name{}", dice.below(NAMES));
    let email = json!([{"value": format!("{}@example.com", dice.below(3))}]);
    let body = match dice.below(10) {
        0..=3 => new_user_with(json!({"userName": name, "emails": email})),
        4 => put_user(json!({"userName": name, "title": "Engineer"})),
        5 => set("userName", name),
        6 => set("active", dice.below(2) == 0),
        7 => set("emails", email),
        8 => set("title", format!("Title {}", dice.below(100))),
        _ => delete(),
    };
    log.user(id, body)
}

/// Applies random batches; returns what became of each command and what is stored afterwards.
async fn play(db: &TestDatabase) -> Vec<String> {
    let (mut dice, mut log, mut transcript) = (Dice(SEED), Log::of("acme"), Vec::new());
    db.apply_one(log.group(1, new_group("All", &[user(0), user(1)]))).await;
    for round in 0..120 {
        let mut batch: Vec<Accepted> = Vec::new();
        for id in 0..USERS {
            if dice.below(3) == 0 {
                // Ids of rounds long ago come back never; names do all the time.
                let id = u128::from(id + USERS * (round / 10));
                batch.push(command(&mut dice, &mut log, id));
            }
        }
        for (outcome, accepted) in db.apply(&batch).await.into_iter().zip(&batch) {
            transcript.push(format!("{round} {} {outcome:?}", accepted.sequence));
        }
    }
    for sql in [
        "SELECT COUNT(*) FROM users WHERE active",
        "SELECT COUNT(*) FROM user_emails",
        "SELECT CAST(SUM(version * last_sequence + active_seq + provider_sequence) AS BIGINT) FROM users",
        "SELECT CAST(SUM(sequence * status + COALESCE(version, 0)) AS BIGINT) FROM operations",
    ] {
        transcript.push(format!("{sql}: {}", db.value::<i64>(sql).await));
    }
    transcript
}

#[tokio::test]
async fn one_statement_writes_what_the_long_way_writes() {
    let transcripts = RefCell::new(Vec::new());
    // SQLite knows only the long way.
    on_both(async |db| {
        let transcript = play(db).await;
        transcripts.borrow_mut().push(transcript);
    })
    .await;
    let transcripts = transcripts.into_inner();
    for (long, short) in transcripts[0].iter().zip(&transcripts[1]) {
        assert_eq!(long, short);
    }
    let created = transcripts[0].iter().filter(|line| line.contains("Created")).count();
    let refused = transcripts[0].iter().filter(|line| line.contains("Rejected")).count();
    assert!(created > 40 && refused > 40, "{created} created, {refused} refused");
}

#[tokio::test]
async fn whatever_is_in_the_way_leads_to_the_long_way() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        let known = [log.user(1, new_user("alice")), log.user(2, new_user("bob"))];
        assert_eq!(statuses(&db.apply(&known).await), [201, 201]);
        // A known operation, delivered again with a new one.
        let again = [known[1].clone(), log.user(3, new_user("carol"))];
        assert_eq!(statuses(&db.apply(&again).await), [201, 201]);
        // A taken name, of a create and of a change; a name that is handed over within the batch.
        let taken =
            [log.user(4, new_user("Alice")), log.user(5, new_user("dave")), log.user(3, set("userName", "bob"))];
        assert_eq!(statuses(&db.apply(&taken).await), [409, 201, 409]);
        let handed = [log.user(1, set("userName", "eve")), log.user(6, new_user("alice"))];
        assert_eq!(statuses(&db.apply(&handed).await), [200, 201]);
        // A command that is refused, one on nobody, one whose predecessor is unknown here, and a deletion.
        let mixed = [
            log.user(7, new_user_with(json!({"userName": "x".repeat(900)}))),
            log.user(99, set("title", "Nobody")),
            log.user(8, new_user("frank")),
            log.user(5, delete()),
        ];
        assert_eq!(statuses(&db.apply(&mixed).await), [400, 404, 201, 204]);
        // A fence stands for the id.
        let create = log.user(9, new_user("grace"));
        let deactivate = log.user(9, set("active", false));
        assert!(first_effect(&db.store, None, &deactivate, Clock::Fixed(NOW)).await.unwrap());
        let created = db.apply(&[create, log.user(10, new_user("heidi"))]).await;
        assert_eq!(statuses(&created), [201, 201]);
        assert_eq!(resource(&created[0]).attributes.user().active(), Some(false));
        assert_eq!((db.count("users").await, db.count("operations").await), (7, 14));
    })
    .await;
}

#[tokio::test]
async fn an_answer_shows_the_groups_that_the_user_is_in() {
    on_both(async |db| {
        let mut log = Log::of("acme");
        db.apply(&[log.user(1, new_user("alice")), log.user(2, new_user("bob"))]).await;
        db.apply(&[log.group(1, new_group("All", &[user(1), user(2)])), log.group(2, new_group("Some", &[]))]).await;
        db.apply_one(log.group(2, add_members(&[user(1)]))).await;
        let changed = db.apply(&[log.user(1, set("title", "A")), log.user(2, set("title", "B"))]).await;
        let groups = |n: usize| resource(&changed[n]).groups.clone();
        let names = |n: usize| groups(n).into_iter().map(|group| group.display.unwrap()).collect::<Vec<_>>();
        assert_eq!((names(0), names(1)), (vec!["All".to_owned(), "Some".to_owned()], vec!["All".to_owned()]));
        let read = db.get("acme", ResourceType::User, user(1)).await.unwrap();
        assert_eq!(read.groups, groups(0));
    })
    .await;
}

#[tokio::test]
async fn a_row_that_changes_between_the_read_and_the_write_is_read_again() {
    let db = postgres_db().await;
    let mut log = Log::of("acme");
    db.apply_one(log.user(1, new_user("alice"))).await;
    // Each write of the ledger is slow, so that all workers have read before the first has written.
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
                $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$; \
                CREATE TRIGGER slow BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION slow()";
    db.raw().await.execute_unprepared(slow).await.unwrap();
    let attributes = ["title", "nickName", "displayName", "locale"];
    let batches = attributes.map(|attribute| [log.user(1, set(attribute, "new"))]);
    let policy = OwnershipPolicy::default();
    let all = batches.iter().map(|batch| async { apply(&db.store, &policy, &refs(batch), Clock::Fixed(NOW)).await });
    for endings in futures::future::join_all(all).await {
        assert!(matches!(endings.unwrap()[0], Ending::Answered(_)));
    }
    let shown = serde_json::to_value(&db.get("acme", ResourceType::User, user(1)).await.unwrap().attributes).unwrap();
    assert!(attributes.iter().all(|attribute| shown[*attribute] == "new"), "{shown:#}");
    assert_eq!(db.value::<i64>("SELECT version FROM users").await, 5);
}

/// When a connection is cut: never, before the next request reaches the server, before its answer comes back.
const OPEN: u8 = 0;
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

/// The URL of a way to the database that can be cut once.
async fn cuttable(url: &str) -> (String, Arc<AtomicU8>) {
    let server = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = url.replacen(&server, &listener.local_addr().unwrap().to_string(), 1);
    let cut = Arc::new(AtomicU8::new(OPEN));
    let armed = Arc::clone(&cut);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(carry(client, server, Arc::clone(&armed)));
        }
    });
    (through, cut)
}

async fn carry(mut client: TcpStream, mut server: TcpStream, cut: Arc<AtomicU8>) {
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            Ok(count @ 1..) = client.read(&mut asked) => {
                if cut.compare_exchange(BEFORE, OPEN, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                    return;
                }
                server.write_all(&asked[..count]).await.unwrap();
                if cut.load(Ordering::SeqCst) == AFTER && count > 1000 {
                    // The document has gone out: the answer means that it is committed.
                    server.read_buf(&mut Vec::new()).await.unwrap();
                    cut.store(OPEN, Ordering::SeqCst);
                    return;
                }
            }
            Ok(count @ 1..) = server.read(&mut answered) => client.write_all(&answered[..count]).await.unwrap(),
            else => return,
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_before_or_after_the_commit_doubles_nothing() {
    let (url, cut) = cuttable(&postgres_database(true).await).await;
    let store = Store::connect(&url, StoreOptions { writers: 1, readers: 1 }).await.unwrap();
    let (policy, mut log) = (OwnershipPolicy::default(), Log::of("acme"));
    for (round, moment) in [OPEN, BEFORE, OPEN, AFTER, OPEN].into_iter().enumerate() {
        let batch: Vec<_> =
            (0..5).map(|n| log.user(10 * round as u128 + n, new_user(&format!("user{round}{n}")))).collect();
        cut.store(moment, Ordering::SeqCst);
        let endings = apply(&store, &policy, &refs(&batch), Clock::Fixed(NOW)).await.unwrap();
        let created = |ending: &Ending| matches!(ending, Ending::Answered(outcome) if status(outcome) == 201);
        assert!(endings.iter().all(created), "{moment}: {endings:?}");
        assert_eq!(cut.load(Ordering::SeqCst), OPEN, "the connection was cut");
    }
    let db = Database::connect(&url).await.unwrap();
    for table in ["users", "operations"] {
        let count =
            db.query_one_raw(Statement::from_string(DbBackend::Postgres, format!("SELECT COUNT(*) FROM {table}")));
        assert_eq!(count.await.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap(), 25, "{table}");
    }
}
