//! The broker and the PostgreSQL of the run, started when the first test needs them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use protocol::id::Namespace;
use rosterd::servers::nats::LogSync;
use rosterd::servers::{nats, postgres};
use runtime::telemetry::error_chain;
use sea_orm::ConnectionTrait;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::{Database, ROSTERD};

/// The schema that a test's database begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// What this build needs.
    Current,
    /// Nothing.
    Empty,
}

/// Outlives the runtimes of the tests, because the servers' pipes are read in it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static BROKER: OnceCell<Broker> = OnceCell::const_new();
static POSTGRESQL: OnceCell<Postgresql> = OnceCell::const_new();
static NUMBER: AtomicUsize = AtomicUsize::new(1);

/// Ends with the run: its guard's input closes then.
struct Broker {
    server: nats::NatsServer,
    _sweeper: Child,
}

/// Ends with the run, as the broker does, unless it was given.
struct Postgresql {
    /// The server's URL up to a database's name.
    url: String,
    /// The database from which tests copy theirs.
    template: String,
    _own: Option<postgres::PostgresServer>,
}

/// A namespace that no other test of the run has.
pub(crate) fn namespace() -> Namespace {
    format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed)).parse().unwrap()
}

/// Where the broker of the run is.
pub(crate) async fn broker_url() -> String {
    let broker = BROKER.get_or_init(|| async { RUNTIME.spawn(start_broker()).await.unwrap() }).await;
    broker.server.url()
}

/// A new database; a file in `folder` for SQLite.
pub(crate) async fn database_url(database: Database, schema: Schema, folder: &Path) -> String {
    match database {
        Database::Sqlite => {
            let url = format!("sqlite://{}?mode=rwc", folder.join("rosterd.db").display());
            if schema == Schema::Current {
                migrations::up(&url).await.unwrap();
            }
            url
        }
        Database::Postgresql => {
            let server = POSTGRESQL.get_or_init(|| async { RUNTIME.spawn(prepare_postgresql()).await.unwrap() }).await;
            let name = format!("{}_{}", server.template, NUMBER.fetch_add(1, Ordering::Relaxed));
            server.create(&name, (schema == Schema::Current).then_some(&server.template)).await
        }
    }
}

async fn start_broker() -> Broker {
    let directory = tempfile::Builder::new().prefix("rosterd-nats-").tempdir().unwrap().keep();
    let sweeper = sweep_at_end(&directory);
    let settings = nats::NatsSettings { guard: ROSTERD.into(), directory, port: None, log_sync: LogSync::Interval };
    let server = nats::start(&settings, |line| eprintln!("{line}")).await;
    Broker { server: server.unwrap_or_else(|error| panic!("{}", error_chain(&error))), _sweeper: sweeper }
}

/// Uses the server that `ROSTERD_TEST_POSTGRES_URL` names, or starts one.
async fn prepare_postgresql() -> Postgresql {
    #[expect(clippy::disallowed_methods, reason = "the one place where these tests read the environment")]
    let given = std::env::var("ROSTERD_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty());
    let (url, own) = match given {
        Some(url) => (url, None),
        None => start_postgresql().await,
    };
    let template = format!("end_to_end_{}", std::process::id());
    let server = Postgresql { url: url.trim_end_matches('/').to_owned(), template, _own: own };
    let url = server.create(&server.template, None).await;
    migrations::up(&url).await.unwrap();
    server
}

async fn start_postgresql() -> (String, Option<postgres::PostgresServer>) {
    let settings = postgres::PostgresSettings { guard: ROSTERD.into(), fsync: true };
    let server = postgres::start(&settings, |line| eprintln!("{line}")).await;
    let server = server.unwrap_or_else(|error| panic!("{}", error_chain(&error)));
    (server.url(""), Some(server))
}

impl Postgresql {
    /// Creates a database and gives its URL.
    async fn create(&self, name: &str, template: Option<&String>) -> String {
        let copy = template.map(|template| format!(" TEMPLATE \"{template}\"")).unwrap_or_default();
        let server = sea_orm::Database::connect(format!("{}/postgres", self.url)).await.unwrap();
        server.execute_unprepared(&format!("CREATE DATABASE \"{name}\"{copy}")).await.unwrap();
        server.close().await.unwrap();
        format!("{}/{name}", self.url)
    }
}

/// What is static is never dropped: a small process removes the folder once this one is gone, however it went.
fn sweep_at_end(folder: &Path) -> Child {
    let script = "cat; for _ in 1 2 3 4 5; do sleep 0.2; rm -rf \"$0\" && exit; done";
    let mut sweeper = Command::new("sh");
    sweeper.args(["-c", script]).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut sweeper, 0).spawn().unwrap()
}
