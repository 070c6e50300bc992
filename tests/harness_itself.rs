//! The harness by itself: its faults do what they say, and what it harms comes back.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, Stream};
use rosterd::servers::nats::LogSync;
use sea_orm::ConnectionTrait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::harness::proxy::{COMMIT_ANSWER, Proxy, Towards};
use crate::harness::scim::user;
use crate::harness::{DEADLINE, Database, OwnBroker, OwnPostgresql, Schema, System, eventually};

/// Long enough that what could pass would have passed.
const A_WHILE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_broker_that_is_given_an_earlier_folder_has_lost_its_tail() {
    let broker = OwnBroker::one(LogSync::Interval).await;
    let context = async_nats::jetstream::new(async_nats::connect(broker.url()).await.unwrap());
    let wanted = Config { name: "log".to_owned(), subjects: vec!["log".to_owned()], ..Config::default() };
    let stream = context.create_stream(wanted).await.unwrap();
    let publish = async |payload: &'static str| context.publish("log", payload.into()).await.unwrap().await.unwrap();
    publish("kept").await;
    let earlier = broker.node().snapshot();
    publish("lost").await;
    assert_eq!(last(&stream).await, Some(2));

    broker.node().kill().await;
    broker.node().put_back(&earlier);
    broker.node().start_again().await;
    assert_eq!(eventually("the client is back", async || last(&stream).await).await, 1);
}

async fn last(stream: &Stream) -> Option<u64> {
    Some(stream.clone().info().await.ok()?.state.last_sequence)
}

#[tokio::test]
async fn three_brokers_go_on_while_one_of_them_is_away() {
    let system = System::plan(Database::Sqlite).three_brokers(LogSync::Always).start().await;
    let scim = system.scim();
    for (index, node) in system.broker().nodes.iter().enumerate() {
        node.kill().await;
        scim.post("/Users", &user(&format!("person-{index}"))).await.expect(201);
        node.start_again().await;
        system.broker().until_led().await;
    }
    assert_eq!(scim.get("/Users?count=0").await.expect(200).body["totalResults"], 3);
    assert_eq!(system.stream().await.cached_info().config.num_replicas, 3);
}

#[tokio::test]
async fn a_database_that_stands_still_breaks_no_connection_and_one_that_was_killed_is_back_with_its_data() {
    let postgresql = OwnPostgresql::start(Schema::Empty).await;
    let connect = async || sea_orm::Database::connect(postgresql.url()).await.unwrap();
    let connection = connect().await;
    connection.execute_unprepared("CREATE TABLE people (name text)").await.unwrap();

    postgresql.pause().await;
    let mut insert = std::pin::pin!(connection.execute_unprepared("INSERT INTO people VALUES ('ann')"));
    assert!(timeout(A_WHILE, insert.as_mut()).await.is_err());
    postgresql.resume().await;
    insert.await.unwrap();

    postgresql.restart().await;
    let removed = connect().await.execute_unprepared("DELETE FROM people").await.unwrap();
    assert_eq!(removed.rows_affected(), 1);
}

#[tokio::test]
async fn parts_of_a_system_are_harmed_each_by_itself_and_come_back_at_the_same_place() {
    let system = System::plan(Database::Sqlite).ingresses(2).start().await;
    let ingress = &system.ingresses[1];
    let before = ingress.pid();
    ingress.kill().await;
    assert!(!ingress.is_running() && system.ingresses[0].is_running());
    assert!(system.scim_at(1).try_get("/Users").await.is_none());
    ingress.start().await;
    assert_ne!(ingress.pid(), before);

    system.workers[0].pause();
    let scim = system.scim_at(1);
    let mut create = std::pin::pin!(scim.post_owned("/Users", user("ann")));
    assert!(timeout(A_WHILE, create.as_mut()).await.is_err());
    system.workers[0].resume();
    create.await.expect(201);
    assert_eq!(system.workers[0].terminate().await, Some(0));
}

#[tokio::test]
async fn a_system_on_servers_of_its_own_waits_until_they_are_back() {
    let plan = System::plan(Database::Postgresql).own_postgresql().own_broker(LogSync::Always);
    let system = plan.proxied().start().await;
    let scim = system.scim();
    system.broker().node().terminate().await;
    system.postgresql().terminate().await;
    system.ingresses[0].broker_link().cut();
    let back = async {
        futures::join!(system.postgresql().start_again(), system.broker().node().start_again());
        system.ingresses[0].broker_link().heal();
    };
    let (created, ()) = futures::join!(scim.post_owned("/Users", user("ann")), back);
    created.expect(201);
    eventually("the log is empty", async || (system.log().await.messages == 0).then_some(())).await;
}

#[tokio::test]
async fn a_link_is_cut_delayed_and_healed() {
    let proxy = Proxy::to_url(&format!("echo://{}/", echo().await)).await;
    let mut connection = connect(&proxy).await;
    assert_eq!(say(&mut connection, "one").await, "one");

    proxy.delay(A_WHILE);
    let began = tokio::time::Instant::now();
    assert_eq!(say(&mut connection, "two").await, "two");
    assert!(began.elapsed() >= 2 * A_WHILE);

    proxy.cut();
    assert_eq!(say(&mut connection, "three").await, "");
    assert_eq!(say(&mut connect(&proxy).await, "four").await, "");
    proxy.heal();
    assert_eq!(say(&mut connect(&proxy).await, "five").await, "five");
}

#[tokio::test]
async fn a_stalled_link_brings_everything_later_and_a_half_open_one_never() {
    let proxy = Proxy::to(echo().await).await;
    let mut connection = connect(&proxy).await;
    proxy.stall();
    assert!(timeout(A_WHILE, say(&mut connection, "late")).await.is_err());
    proxy.heal();
    assert_eq!(read_later(&mut connection, "late".len()).await, "late");

    proxy.half_open(Towards::Client);
    assert!(timeout(A_WHILE, say(&mut connection, "lost")).await.is_err());
    proxy.heal();
    let mut rest = Vec::new();
    drop(timeout(DEADLINE, connection.read_to_end(&mut rest)).await.expect("the connection did not end"));
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_link_is_cut_before_certain_bytes_pass_also_in_two_chunks() {
    let proxy = Proxy::to(echo().await).await;
    let mut connection = connect(&proxy).await;
    proxy.cut_before(Towards::Client, COMMIT_ANSWER);
    let (begin, end) = COMMIT_ANSWER.split_at(4);
    connection.write_all(begin).await.unwrap();
    let mut passed = [0; 4];
    connection.read_exact(&mut passed).await.unwrap();
    connection.write_all(end).await.unwrap();
    assert_eq!(connection.read(&mut passed).await.unwrap_or(0), 0);
    assert_eq!(proxy.trips(), 1);
    assert_eq!(say(&mut connect(&proxy).await, "healed").await, "healed");
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.url("127.0.0.1:1")).await.unwrap()
}

/// Sends a text; what comes back with as many bytes, or with the end of the connection.
async fn say(connection: &mut TcpStream, text: &str) -> String {
    drop(connection.write_all(text.as_bytes()).await);
    let mut answer = vec![0; 64];
    let read = connection.read(&mut answer).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

async fn read_later(connection: &mut TcpStream, bytes: usize) -> String {
    let mut answer = vec![0; bytes];
    timeout(Duration::from_secs(5), connection.read_exact(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A server that sends back what it gets.
async fn echo() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    address.to_string()
}
