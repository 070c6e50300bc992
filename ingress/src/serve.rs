//! The process: starts everything, accepts connections within limits, drains on a signal.

mod accept;
mod head;
mod write_timeout;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::BoxFuture;
use protocol::id::{IngressId, InvalidId};
use protocol::scim::bulk::BulkLimits;
use runtime::connection::{ConnectError, Connection};
use runtime::log_status::LogWatch;
use runtime::status::{self, ProcessIdentity, SayStatus};
use runtime::{clock, ids, operations, telemetry};

use self::accept::Timing;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::gateway::JetStream;
use crate::health::Health;
use crate::process::Process;
use crate::pulse::Pulse;
use crate::state::{AppState, Settings};
use crate::{credentials, product_calls};

/// How long the broker may take for the answer to a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the ingress cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No connection can be made, ever.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A subscription is not possible.
    #[error("subscribing at the broker")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// The address cannot be listened on.
    #[error("listening on {address}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("waiting for signals")]
    Signal(#[source] std::io::Error),
    /// The name of this process could not be made.
    #[error("naming this ingress")]
    Name(#[from] InvalidId),
}

/// Serves until SIGTERM or SIGINT, goes on accepting for the drain delay, then finishes what is in flight. Prints
/// `listening http://ADDRESS` on standard output when connections are accepted.
#[inline(never)]
pub fn run(config: Config) -> BoxFuture<'static, Result<(), RunError>> {
    Box::pin(serve(config))
}

async fn serve(config: Config) -> Result<(), RunError> {
    telemetry::start(config.log);
    let address = config.listen;
    let listen = |source| RunError::Listen { address, source };
    let listener = accept::listen(address).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let state = start(&config, address).await?;
    announce(address);
    let timing = Timing { idle_timeout: config.idle_timeout, drain_delay: config.drain_delay };
    accept::serve(listener, state, timing).await.map_err(RunError::Signal)
}

/// Connects, and starts what runs beside the requests: outcomes, credentials, operators' and the product's calls, the clock check.
async fn start(config: &Config, address: SocketAddr) -> Result<AppState, RunError> {
    let health = Arc::new(Health::default());
    let ingress = ids::ingress()?;
    let seen = Arc::clone(&health);
    let hear = move |connected| seen.broker.store(connected, Ordering::Relaxed);
    let connection = Connection::open(&config.broker, "rosterd ingress", REQUEST_TIMEOUT, hear).await?;
    let client = connection.client().clone();
    let (shared, identity) = (connection.clone(), identity(&ingress));
    let (namespace, answer_within) = (config.broker.namespace.clone(), config.answer_deadline);
    let gateway = JetStream::new(connection, namespace, &ingress, Arc::clone(&health), answer_within).await?;
    let gateway = Arc::new(gateway);
    let credentials = Arc::new(Credentials::default());
    let context = async_nats::jetstream::new(client.clone());
    let namespace = config.broker.namespace.clone();
    tokio::spawn(credentials::watch(context, namespace.clone(), Arc::clone(&credentials), Arc::clone(&health)));
    tokio::spawn(credentials::report_uses(client.clone(), namespace.clone(), Arc::clone(&credentials)));
    let settings = Arc::new(settings(config, address, ingress));
    let pulse = Pulse::default();
    tokio::spawn(pulse.clone().run());
    let state = AppState { gateway, credentials, health, gate: Arc::default(), pulse, settings };
    product_calls::start(client.clone(), &namespace, state.clone()).await?;
    let log = LogWatch::new(shared.clone(), namespace.clone());
    let process = Arc::new(Process { identity, connection: shared, log, state: state.clone() });
    tell_of_process(process, client, config).await?;
    Ok(state)
}

/// Lets operators see this process from now on: by status, by probes and metrics.
async fn tell_of_process(process: Arc<Process>, client: async_nats::Client, config: &Config) -> Result<(), RunError> {
    let said = Arc::clone(&process);
    let say: SayStatus = Box::new(move || Box::pin(Arc::clone(&said).status()));
    status::start(client, &config.broker.namespace, say).await?;
    let address = config.operations.operations_listen.unwrap_or(config.listen);
    operations::start(&config.operations, process).await.map_err(|source| RunError::Listen { address, source })
}

fn identity(ingress: &IngressId) -> ProcessIdentity {
    ProcessIdentity { instance: ingress.to_string(), version: env!("CARGO_PKG_VERSION"), started_at: clock::now() }
}

fn settings(config: &Config, address: SocketAddr, ingress: IngressId) -> Settings {
    Settings {
        public_url: config.public_url.clone().unwrap_or_else(|| format!("http://{address}")),
        ingress,
        answer_within: config.answer_deadline,
        max_user_body: config.max_body,
        max_group_body: config.max_group_body,
        bulk: BulkLimits { operations: config.max_bulk_operations, bytes: config.max_bulk_body },
    }
}

/// For the supervisor of this process. An ingress serves also when its output is not read.
fn announce(address: SocketAddr) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "listening http://{address}").and_then(|()| stdout.flush()).is_err() {
        tracing::debug!("standard output is closed");
    }
    tracing::info!(%address, "listening on http://{address}");
}
