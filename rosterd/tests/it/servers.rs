//! The servers that development and tests stand on, started for real.

use std::path::Path;
use std::time::Duration;

use rosterd::servers::guard::{Guarded, Launch};
use rosterd::servers::nats::{self, LogSync};
use rosterd::servers::postgres;
use runtime::connection::{self, Connection};
use runtime::settings::BrokerSettings;
use sea_orm::{ConnectionTrait, Database};

const ROSTERD: &str = env!("CARGO_BIN_EXE_rosterd");

#[tokio::test]
async fn a_broker_that_was_killed_starts_again_on_the_same_port_with_the_same_streams() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("nats");
    let mut settings = nats::NatsSettings { guard: ROSTERD.into(), directory, port: None, log_sync: LogSync::Always };
    let mut first = nats::start(&settings, say).await.unwrap();
    let name = "kept".to_owned();
    let wanted = async_nats::jetstream::stream::Config { name, ..Default::default() };
    jetstream(&first.url()).await.create_stream(wanted).await.unwrap();
    first.guarded().kill().await;

    settings.port = Some(first.port());
    let second = nats::start(&settings, say).await.unwrap();
    assert_eq!(second.url(), first.url());
    assert_ne!(second.pid(), first.pid());
    let context = jetstream(&second.url()).await;
    assert!(context.get_stream("kept").await.is_ok());
    assert_eq!(context.query_account().await.unwrap().streams, 1);
    let mut guarded = second.into_guarded();
    guarded.terminate(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_password_in_the_brokers_url_is_used_and_with_an_authority_nothing_is_sent_in_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("nats");
    let settings = nats::NatsSettings { guard: ROSTERD.into(), directory, port: None, log_sync: LogSync::Interval };
    let program = nats::start(&settings, say).await.unwrap().argv()[0].clone();
    let port = rosterd::servers::free_port().unwrap();
    let command =
        [&program, "--addr", "127.0.0.1", "--port", &port.to_string(), "--user", "ann", "--pass", "s3:cret@,"];
    let _server = Guarded::start(launch(&command, &folder.path().join("log"))).await.unwrap();

    let broker = |login| BrokerSettings::known(&format!("nats://{login}127.0.0.1:{port}"), "test".parse().unwrap());
    let open = Connection::open(&broker("ann:s3%3Acret%40%2C@"), "test", Duration::from_secs(5), |_| {}).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), open.connected()).await.expect("the right password is refused");

    let connect = async |broker: &BrokerSettings| {
        let (options, servers) = connection::options(broker, "test", Duration::from_secs(5)).await.unwrap();
        options.connect(servers).await
    };
    assert!(connect(&broker("ann:s3cret@")).await.is_err());
    let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/authority.pem");
    let mut trusting = broker("ann:s3%3Acret%40%2C@");
    trusting.nats_ca_file = Some(authority);
    assert!(connect(&trusting).await.is_err(), "the server has no TLS");
}

#[tokio::test]
async fn a_broker_waits_for_a_port_that_is_still_held() {
    let folder = tempfile::tempdir().unwrap();
    let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = Some(holder.local_addr().unwrap().port());
    let directory = folder.path().to_owned();
    let settings = nats::NatsSettings { guard: ROSTERD.into(), directory, port, log_sync: LogSync::Always };
    let refused = async {
        let log = folder.path().join("nats-server.log");
        while !std::fs::read_to_string(&log).is_ok_and(|said| said.contains("address already in use")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        drop(holder);
    };
    let (started, refused) =
        tokio::join!(nats::start(&settings, say), tokio::time::timeout(Duration::from_secs(20), refused));
    refused.expect("the broker never found the port taken");
    assert_eq!(Some(started.unwrap().port()), port);
}

#[tokio::test]
async fn a_database_is_a_copy_of_its_template_and_survives_a_crash_of_the_server() {
    let settings = postgres::PostgresSettings { guard: ROSTERD.into(), fsync: true };
    let mut server = postgres::start(&settings, say).await.unwrap();
    server.create_database("template", None).await.unwrap();
    execute(&server.url("template"), "CREATE TABLE people (name text)").await;
    server.create_database("copy", Some("template")).await.unwrap();
    execute(&server.url("copy"), "INSERT INTO people VALUES ('ann')").await;
    let port = server.port();
    server.restart().await.unwrap();
    assert_eq!(server.port(), port);
    execute(&server.url("copy"), "SELECT name FROM people").await;
    assert!(server.create_database("copy", None).await.is_err(), "it is there already");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_guarded_process_ends_with_the_handle_and_passes_on_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut ending = Guarded::start(launch(&["sh", "-c", "echo hello; exit 7"], &log)).await.unwrap();
    assert_eq!(ending.line(Duration::from_secs(10)).await.as_deref(), Some("hello"));
    assert_eq!(ending.wait().await, Some(7));

    let sleeping = Guarded::start(launch(&["sleep", "600"], &log)).await.unwrap();
    let process = format!("/proc/{}", sleeping.pid());
    assert!(Path::new(&process).exists());
    drop(sleeping);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while Path::new(&process).exists() {
        assert!(tokio::time::Instant::now() < deadline, "left behind");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn launch(command: &[&str], log: &Path) -> Launch {
    Launch {
        guard: ROSTERD.into(),
        command: command.iter().map(Into::into).collect(),
        environment: Vec::new(),
        directory: None,
        log: log.to_owned(),
        user: None,
        remove: None,
    }
}

async fn jetstream(url: &str) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(async_nats::connect(url).await.unwrap())
}

async fn execute(url: &str, statement: &str) {
    let connection = Database::connect(url).await.unwrap();
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

fn say(line: &str) {
    eprintln!("{line}");
}
