//! Exactly one effect: every message of a run is delivered again, by the broker as it was and as a second copy, and no
//! table changes.

use std::collections::BTreeSet;

use async_nats::jetstream::message::StreamMessage;
use futures::future::join_all;
use protocol::message::header::{MESSAGE_ID, PREDECESSOR, PREDECESSOR_SUBJECT, VALID_UNTIL};
use protocol::message::lane::Lane;
use rosterd::servers::nats::LogSync;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};

use crate::harness::scim::{Scim, group, user};
use crate::harness::{Database, Snapshot, System, eventually, on_both};
use crate::order::{Answers, Cast, at_rest, differences, plan, play};

/// Everything that a command can change.
const TABLES: [&str; 6] = ["users", "groups", "group_members", "operations", "attempts", "dead_letters"];

on_both!(a_run_whose_messages_are_all_delivered_again_changes_nothing);
async fn a_run_whose_messages_are_all_delivered_again_changes_nothing(database: Database) {
    let system = System::plan(database).own_broker(LogSync::Interval).ingresses(3).start().await;
    let (worker, broker) = (&system.workers[0], system.broker().node());
    let Applied { log, messages } = run(&system).await;
    let before = tables(&system).await;
    assert_eq!(copies(&system).await, BTreeSet::new());

    // The log as it was before anybody acknowledged anything.
    worker.kill().await;
    broker.kill().await;
    broker.put_back(&log);
    broker.start_again().await;
    assert_eq!(system.log().await.messages, messages.len() as u64);
    worker.start().await;
    at_rest(&system).await;
    assert_eq!(tables(&system).await, before);
    assert_eq!(copies(&system).await, BTreeSet::new(), "what is delivered under its own sequence is no copy");

    // The same, and the consumers have gone on: what is acknowledged does not stay in the log for ever.
    worker.kill().await;
    broker.kill().await;
    broker.put_back(&log);
    broker.start_again().await;
    skip_all(&system).await;
    assert_eq!(system.log().await.messages, messages.len() as u64);
    worker.start().await;
    at_rest(&system).await;
    assert_eq!(tables(&system).await, before);
    assert_eq!(copies(&system).await, BTreeSet::new(), "what is delivered under its own sequence is no copy");

    worker.kill().await;
    store_again(&system, &messages).await;
    worker.start().await;
    at_rest(&system).await;
    assert_eq!(tables(&system).await, before);
    assert_eq!(copies(&system).await.len(), messages.len(), "each copy settles its own sequence");
}

on_both!(what_consumers_have_passed_and_nobody_applied_is_applied);
async fn what_consumers_have_passed_and_nobody_applied_is_applied(database: Database) {
    let system = System::plan(database).start().await;
    let (scim, worker) = (system.scim(), &system.workers[0]);
    worker.kill().await;
    let creates = (0..3).map(|number| scim.post_owned("/Users", user(&format!("person-{number}"))));
    let pass = async {
        eventually("all are in the log", async || (system.log().await.messages == 3).then_some(())).await;
        skip_all(&system).await;
        worker.start().await;
    };
    let (answers, ()) = futures::join!(join_all(creates), pass);
    for answer in answers {
        answer.expect(201);
    }
    system.at_rest().await;
}

/// Every consumer takes all that is in the log for acknowledged, and the broker keeps it.
async fn skip_all(system: &System) {
    let stream = system.stream().await;
    let next = stream.get_info().await.unwrap().state.last_sequence + 1;
    for lane in Lane::ALL {
        stream.reset_consumer(&lane.to_string(), Some(next)).await.unwrap();
    }
}

/// A run that was applied, and its messages as they were in the log.
struct Applied {
    log: Snapshot,
    messages: Vec<StreamMessage>,
}

/// Commands of all kinds, all in the log before a worker comes; what they come to is right.
async fn run(system: &System) -> Applied {
    let scims = [0, 1, 2].map(|ingress| system.scim_at(ingress));
    let cast = Cast::create(&scims[0]).await;
    at_rest(system).await;
    system.workers[0].kill().await;
    let (requests, newcomers, answers) = (plan(&cast, 127, 11), newcomers(), Answers::default());
    let sent = async { futures::join!(play(&scims, &requests, &answers), join_all(post(&scims, &newcomers))) };
    let applied = async {
        let count = (requests.len() + newcomers.len()) as u64;
        eventually("all are pending", async || (system.log().await.messages == count).then_some(())).await;
        let applied = Applied { log: system.broker().node().snapshot(), messages: messages(system).await };
        apply_with_a_death(system, cast.all().count()).await;
        applied
    };
    let ((statuses, joined), applied) = futures::join!(sent, applied);
    assert!(statuses.iter().chain(&joined).all(|status| *status < 500), "{statuses:?} {joined:?}");
    assert_eq!(differences(system, &scims[0], &cast, &requests).await, [""; 0]);
    applied
}

/// Applies what is in the log; on the way the worker dies between a commit and its acknowledgements.
async fn apply_with_a_death(system: &System, known: usize) {
    let worker = &system.workers[0];
    worker.arm("worker.ack.before=abort");
    worker.launch().await;
    worker.end().await;
    let committed = rows(system, "operations").await;
    assert!(committed.len() > known, "nothing was committed before the worker died");
    worker.disarm();
    worker.start().await;
    at_rest(system).await;
    assert!(committed.is_subset(&rows(system, "operations").await), "a redelivered operation ended once more");
}

/// People and groups that come in the run itself; two of them want names that others have.
fn newcomers() -> Vec<(&'static str, Value)> {
    let mut newcomers: Vec<(&str, Value)> = (0..60).map(|n| ("/Users", user(&format!("joiner-{n}")))).collect();
    newcomers.extend((0..10).map(|n| ("/Groups", group(&format!("Team {n}"), &[]))));
    newcomers.extend([("/Users", json!({ "userName": "LEAVER-0" })), ("/Groups", group("roster", &[]))]);
    newcomers
}

fn post(scims: &[Scim], newcomers: &[(&'static str, Value)]) -> impl Iterator<Item = impl Future<Output = u16>> {
    let post = async |(number, (path, body)): (usize, &(&str, Value))| scims[number % 3].post(path, body).await.status;
    newcomers.iter().enumerate().map(post)
}

/// Everything that is in the log, in its order.
async fn messages(system: &System) -> Vec<StreamMessage> {
    let stream = system.stream().await;
    let state = &stream.cached_info().state;
    join_all((state.first_sequence..=state.last_sequence).map(async |sequence| stream.get_raw_message(sequence).await))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

/// Stores the messages a second time: each after the one before it of the same resource, as an ingress would.
async fn store_again(system: &System, messages: &[StreamMessage]) {
    let client = system.nats().await;
    for message in messages {
        let publish = async |predecessor: &str| {
            let mut headers = message.headers.clone();
            // Under its own id, the broker would remember it.
            headers.insert(MESSAGE_ID, format!("copy-{}", message.sequence));
            // It is no late one.
            headers.insert(VALID_UNTIL, i64::MAX.to_string());
            assert!(headers.get(PREDECESSOR_SUBJECT).is_some());
            headers.insert(PREDECESSOR, predecessor);
            let (subject, payload) = (message.subject.clone(), message.payload.clone());
            let answer = client.request_with_headers(subject, headers, payload).await.unwrap();
            serde_json::from_slice::<Value>(&answer.payload).unwrap()
        };
        let mut answer = publish("0").await;
        if let Some(refusal) = answer["error"]["description"].as_str() {
            answer = publish(refusal.rsplit(' ').next().unwrap()).await;
        }
        assert!(answer["seq"].is_u64() && answer["duplicate"].is_null(), "{answer}");
    }
}

/// The sequences that are settled as second copies.
async fn copies(system: &System) -> BTreeSet<String> {
    let copies = rows(system, "settled_copies").await;
    assert!(copies.iter().all(|row| row.contains("extra-copy")), "{copies:?}");
    copies
}

async fn tables(system: &System) -> Vec<BTreeSet<String>> {
    join_all(TABLES.map(|table| rows(system, table))).await
}

/// All rows of a table, byte for byte.
async fn rows(system: &System, table: &str) -> BTreeSet<String> {
    let database = system.sql().await;
    let backend = database.get_database_backend();
    let texts = async |sql: String| -> Vec<String> {
        let rows = database.query_all_raw(Statement::from_string(backend, sql)).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    };
    let row = if backend == DbBackend::Sqlite {
        let columns = texts(format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')")).await;
        columns.join(" || ',' || ")
    } else {
        format!("{table}::text")
    };
    texts(format!("SELECT {row} FROM {table}")).await.into_iter().collect()
}
