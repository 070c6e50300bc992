//! How often a batch waits for the database: as often for many commands as for few.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use protocol::ownership::OwnershipPolicy;
use protocol::scim::resource_type::ResourceType;
use runtime::clock::Clock;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use worker::accepted::Accepted;
use worker::apply::apply;
use worker::store::{Store, StoreOptions};

use crate::log::{Log, NOW, add_members, new_group, new_user, new_user_with, patch, refs, sent_as, user};
use crate::test_database::postgres_database;

/// What the driver sends to try a connection that is put back: nobody waits for the answer.
const SYNC: &[u8] = b"S\0\0\0\x04";

/// Counts whose turn it is to speak on the connections to a server.
#[derive(Default)]
struct Turns {
    server_spoke: AtomicBool,
    count: AtomicU32,
}

impl Turns {
    /// How many round trips there were since this was last asked.
    fn taken(&self) -> u32 {
        self.count.swap(0, Ordering::SeqCst)
    }
}

/// The URL of a way to the database on which round trips are counted.
async fn counted(url: &str) -> (String, Arc<Turns>) {
    let server = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = url.replacen(&server, &listener.local_addr().unwrap().to_string(), 1);
    let turns = Arc::new(Turns::default());
    let counting = Arc::clone(&turns);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(carry(client, server, Arc::clone(&counting)));
        }
    });
    (through, turns)
}

async fn carry(mut client: TcpStream, mut server: TcpStream, turns: Arc<Turns>) {
    let (mut asked, mut answered) = ([0; 16 * 1024], [0; 16 * 1024]);
    loop {
        tokio::select! {
            Ok(count @ 1..) = client.read(&mut asked) => {
                if asked[..count] != *SYNC && turns.server_spoke.swap(false, Ordering::SeqCst) {
                    turns.count.fetch_add(1, Ordering::SeqCst);
                }
                server.write_all(&asked[..count]).await.unwrap();
            }
            Ok(count @ 1..) = server.read(&mut answered) => {
                turns.server_spoke.store(true, Ordering::SeqCst);
                client.write_all(&answered[..count]).await.unwrap();
            }
            else => return,
        }
    }
}

/// Applies batches of more and more commands; returns how many round trips each took.
async fn round_trips(store: &Store, turns: &Turns, mut batch_of: impl FnMut(u128) -> Vec<Accepted>) -> Vec<u32> {
    let mut taken = Vec::new();
    for commands in [2, 5, 33, 256] {
        let batch = batch_of(commands);
        turns.taken();
        apply(store, &OwnershipPolicy::default(), &refs(&batch), Clock::Fixed(NOW)).await.unwrap();
        taken.push(turns.taken());
    }
    taken
}

#[tokio::test]
async fn a_batch_waits_for_the_database_as_often_however_many_commands_it_has() {
    let (url, turns) = counted(&postgres_database(true).await).await;
    let store = Store::connect(&url, StoreOptions { writers: 1, readers: 1 }).await.unwrap();
    let mut log = Log::of("acme");
    let users = |commands: u128| commands * 1000..commands * 1000 + commands;

    let creates = round_trips(&store, &turns, |commands| {
        let work = |n| json!({"userName": format!("user{n}"), "emails": [{"value": format!("{n}@example.com")}]});
        users(commands).map(|n| log.user(n, new_user_with(work(n)))).collect()
    });
    // All in one statement. The first batch prepares it, too.
    assert_eq!(creates.await.split_off(1), [1; 3]);

    let title = json!({"op": "replace", "path": "title", "value": "Engineer"});
    let patches = round_trips(&store, &turns, |commands| {
        users(commands).map(|n| log.user(n, patch(ResourceType::User, &title))).collect()
    });
    // The users as they are, then all in one statement.
    assert_eq!(patches.await.split_off(1), [2; 3]);

    let mixed = round_trips(&store, &turns, |commands| {
        let mut mixed: Vec<_> = users(commands).map(|n| log.user(n, patch(ResourceType::User, &title))).collect();
        mixed.push(log.group(commands + 100, new_group(&format!("Group {commands}"), &[])));
        mixed
    });
    // Begin, claim, lock users, lock groups, names, ledger, users, groups, groups to show, commit.
    assert_eq!(mixed.await.split_off(1), [10; 3]);

    apply(&store, &OwnershipPolicy::default(), &[&log.group(1, new_group("All", &[]))], Clock::Fixed(NOW))
        .await
        .unwrap();
    let adds = round_trips(&store, &turns, |commands| {
        users(commands).map(|n| log.group(1, add_members(&[user(n)]))).collect()
    });
    // Begin, claim, lock, members, ledger, groups, members, commit.
    assert_eq!(adds.await.split_off(1), [8; 3]);
}

#[tokio::test]
async fn a_name_that_is_taken_costs_a_little_more() {
    let (url, turns) = counted(&postgres_database(true).await).await;
    let store = Store::connect(&url, StoreOptions { writers: 1, readers: 1 }).await.unwrap();
    let mut log = Log::of("acme");
    let users = |commands: u128| commands * 1000..commands * 1000 + commands;
    round_trips(&store, &turns, |commands| {
        users(commands).map(|n| log.user(n, new_user(&format!("user{n}")))).collect()
    })
    .await;

    let taken = round_trips(&store, &turns, |commands| {
        users(commands).map(|n| log.user(500_000 + n, new_user(&format!("user{n}")))).collect()
    });
    // In vain at once; begin, claim, lock, names, who created their holders, ledger, commit.
    assert_eq!(taken.await.split_off(1), [8; 3]);

    let mut first = Log::from("acme", 1);
    let retried = round_trips(&store, &turns, |commands| {
        let originals: Vec<_> = users(commands).map(|n| first.user(n, new_user(&format!("user{n}")))).collect();
        let retry = |original: Accepted| {
            let body = original.envelope.body;
            sent_as(&original.envelope.fingerprint.0, log.user(600_000 + u128::from(original.sequence), body))
        };
        originals.into_iter().map(retry).collect()
    });
    // The same, and in between: lock the originals, were they answered; behind the ledger: users, groups to show.
    assert_eq!(retried.await.split_off(1), [12; 3]);
}
