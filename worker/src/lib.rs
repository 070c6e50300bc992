//! Applies the log to SQL, each operation exactly once and in order, and answers what is read.
//!
//! The way of a command: `log` pulls and reads it, `dispatch` holds it until its predecessor is settled, [`apply`] decides
//! and commits it together with its ledger row, [`rpc`] answers the ingress, `log` acknowledges. [`answer`] and [`rpc`]
//! answer what is read and what operators call for; `replay` publishes dead letters again. [`store`] holds what all of them know of SQL.

pub mod accepted;
pub mod answer;
pub mod apply;
pub mod config;
mod dispatch;
mod log;
mod metrics;
mod process;
mod replay;
pub mod rpc;
mod session;
pub mod store;
mod watchdog;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use runtime::connection::{ConnectError, Connection};
use runtime::log_status::LogWatch;
use runtime::operations::{self, Operations};
use runtime::settings::SettingsError;
use runtime::signals::Signals;
use runtime::status::{self, ProcessIdentity, SayStatus};
use runtime::telemetry::{self, error_chain};
use runtime::{clock, ids};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::Config;
pub use crate::log::consistency::ConsistencyError;
pub use crate::log::declare::DeclareError;
use crate::process::Process;
use crate::rpc::lanes;
use crate::session::Session;
pub use crate::session::SessionError;
use crate::store::{DatabaseKind, Store, StoreError, StoreOptions};

/// How long a worker waits before it tries again what failed at start.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last acknowledgements may take to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the broker may take for the answer to a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for reads, beside those for transactions.
const READERS: usize = 4;

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A setting is missing or cannot be read.
    #[error("reading the configuration")]
    Config(#[from] SettingsError),
    /// The database's URL is wrong, or its schema cannot be used.
    #[error("opening the database")]
    Database(#[from] StoreError),
    /// The schema cannot be brought up to date.
    #[error("migrating the database")]
    Migrate(#[from] migrations::MigrateError),
    /// The schema is older or newer than this worker.
    #[error("the database's schema does not fit this worker: run `rosterd migrate up`, or start with --migrate")]
    Schema,
    /// No connection to the broker can be made, ever.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The address for operators' tools cannot be listened on.
    #[error("listening on {} for probes and metrics", address.map_or_else(String::new, |address| address.to_string()))]
    Listen {
        /// The configured address.
        address: Option<SocketAddr>,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Operators' questions cannot be subscribed to.
    #[error("subscribing to operators' questions")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The process cannot listen for signals, or start a thread.
    #[error("listening for signals, or starting the watchdog")]
    Signals(#[from] std::io::Error),
}

/// Runs a worker until SIGTERM or SIGINT, then drains: finishes what it has pulled, acknowledges it, leaves. A second
/// signal ends it at once.
#[inline(never)]
pub fn run(config: Config) -> BoxFuture<'static, Result<(), WorkerError>> {
    Box::pin(async move {
        telemetry::start(config.log);
        watchdog::start(config.watchdog)?;
        let stop = CancellationToken::new();
        tokio::spawn(stop_at_signal(stop.clone())?);
        work(config, stop).await
    })
}

/// Runs a worker until `stop`.
#[inline(never)]
pub fn run_until(config: Config, stop: CancellationToken) -> BoxFuture<'static, Result<(), WorkerError>> {
    Box::pin(work(config, stop))
}

async fn work(config: Config, stop: CancellationToken) -> Result<(), WorkerError> {
    let connection = Connection::open(&config.broker, "rosterd worker", REQUEST_TIMEOUT, |_| {}).await?;
    let process = tell_of_process(&config, &connection, &stop).await?;
    let Some(store) = open_store(&config, &stop).await? else { return Ok(()) };
    process.has(&store);
    let slots = config.slots.map_or_else(|| default_slots(&store), usize::from);
    while !stop.is_cancelled() {
        let session = Session { connection: connection.clone(), store: store.clone(), config: config.clone(), slots };
        let ready = || {
            process.begins();
            announce();
        };
        let ended = session.run(stop.clone(), ready).await;
        process.ends();
        if let Err(failure) = ended {
            warn!(error = %error_chain(&failure), "no session with the broker, trying again");
            pause(&stop).await;
        }
    }
    // Acknowledgements are on their way until the last byte is written.
    if !matches!(timeout(FLUSH_TIMEOUT, connection.client().flush()).await, Ok(Ok(()))) {
        warn!("the last acknowledgements may not have been sent; the ledger knows them");
    }
    info!("worker stopped");
    Ok(())
}

/// Lets operators see this process from now on: by status, by probes and metrics, and by draining it.
async fn tell_of_process(
    config: &Config,
    connection: &Connection,
    stop: &CancellationToken,
) -> Result<Arc<Process>, WorkerError> {
    let namespace = &config.broker.namespace;
    let (instance, version, started_at) = (ids::worker(), env!("CARGO_PKG_VERSION"), clock::now());
    let identity = ProcessIdentity { instance: instance.clone(), version, started_at };
    let log = LogWatch::new(connection.clone(), namespace.clone());
    let process = Arc::new(Process::new(identity, connection.clone(), log, stop.clone()));
    let listen = |source| WorkerError::Listen { address: config.operations.operations_listen, source };
    operations::start(&config.operations, Arc::clone(&process) as Arc<dyn Operations>).await.map_err(listen)?;
    tokio::spawn(Arc::clone(&process).sample());
    let (client, said) = (connection.client(), Arc::clone(&process));
    let say: SayStatus = Box::new(move || Box::pin(Arc::clone(&said).status()));
    status::start(client.clone(), namespace, say).await?;
    lanes::drain_when_told(client.clone(), namespace, &instance, stop.clone()).await?;
    info!(instance, "this worker is {instance}");
    Ok(process)
}

/// Waits for the database as long as it takes; none if the worker was stopped meanwhile.
async fn open_store(config: &Config, stop: &CancellationToken) -> Result<Option<Store>, WorkerError> {
    let url = config.database.url()?;
    while !stop.is_cancelled() {
        match try_open(config, url.reveal()).await {
            Ok(store) => return Ok(Some(store)),
            Err(failure @ (WorkerError::Database(_) | WorkerError::Migrate(_))) if may_pass(&failure) => {
                warn!(error = %error_chain(&failure), "the database cannot be opened, trying again");
                pause(stop).await;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(None)
}

async fn try_open(config: &Config, url: &str) -> Result<Store, WorkerError> {
    if config.migrate {
        migrations::up(url).await?;
    }
    // One for the slot that is kept for urgent batches, and one more than transactions: a connection that is put back is
    // tried first, and the next batch does not wait for that.
    let writers = config.slots.map_or(DEFAULT_SLOTS, usize::from) + 2;
    let store = Store::connect(url, StoreOptions { writers, readers: READERS }).await?;
    if store.schema_is_current().await? { Ok(store) } else { Err(WorkerError::Schema) }
}

fn may_pass(failure: &WorkerError) -> bool {
    match failure {
        WorkerError::Database(failure) => failure.is_unavailable(),
        WorkerError::Migrate(failure) => failure.is_unavailable(),
        WorkerError::Config(_)
        | WorkerError::Schema
        | WorkerError::Connect(_)
        | WorkerError::Listen { .. }
        | WorkerError::Subscribe(_)
        | WorkerError::Signals(_) => false,
    }
}

/// Transactions at once on PostgreSQL, whose sessions share an fsync.
const DEFAULT_SLOTS: usize = 4;

/// SQLite has one writer; the second slot sorts out its batch while the first commits.
fn default_slots(store: &Store) -> usize {
    match store.kind() {
        DatabaseKind::Sqlite => 2,
        DatabaseKind::Postgres => DEFAULT_SLOTS,
    }
}

/// One line on standard output for the supervisor of this process.
fn announce() {
    let mut output = std::io::stdout();
    if let Err(failure) = writeln!(output, "ready").and_then(|()| output.flush()) {
        warn!(error = %failure, "standard output cannot be written");
    }
    info!("worker ready");
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(RETRY) => {}
    }
}

fn stop_at_signal(stop: CancellationToken) -> std::io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        for cancelled_before in [false, true] {
            signals.next().await;
            if cancelled_before {
                error!("stopped by a second signal; what was pulled will be delivered again");
                std::process::exit(130);
            }
            info!("draining");
            stop.cancel();
        }
    })
}
