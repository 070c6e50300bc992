//! The connection to the broker: kept for ever, known to be up or down, and counted.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectOptions, Event, ServerError};
use tokio::sync::watch;

use crate::backoff::doubled;
use crate::metrics::Counter;
use crate::settings::{BrokerSettings, Login, NatsUrl, SettingsError, check_readable};

/// A server that is silent for two of these is given up.
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts to connect at first, and at most.
const RECONNECT_INTERVAL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Connections of this process to the broker after the first.
pub static RECONNECTS: Counter = Counter::new();
/// What the broker did not permit this process.
pub static REFUSALS: Counter = Counter::new();

/// Why there can be no connection, ever; a broker that is only away is waited for.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The URL is wrong.
    #[error("connecting to the broker at {url}")]
    Url {
        /// The URL.
        url: NatsUrl,
        /// Why.
        #[source]
        source: async_nats::ConnectError,
    },
}

/// The connection and what is known of it.
#[derive(Debug, Clone)]
pub struct Connection {
    client: Client,
    state: Arc<watch::Sender<ConnectionState>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct ConnectionState {
    connected: bool,
    /// That it cannot connect was said, and is not said again until it could.
    complained: bool,
    /// Counts connections, their ends, and doubts, so that a connection can be told from the one before.
    generation: u64,
}

/// What connecting takes, and to which servers: a name among the broker's clients, who we are, and whose certificates are
/// believed. A request may take so long.
pub async fn options(
    broker: &BrokerSettings,
    name: &str,
    request_timeout: Duration,
) -> Result<(ConnectOptions, Vec<String>), SettingsError> {
    let url = broker.url()?;
    let mut options = ConnectOptions::new().name(name).connection_timeout(CONNECT_TIMEOUT);
    options = options.request_timeout(Some(request_timeout));
    options = match url.login()? {
        None => options,
        Some(Login::Token(token)) => options.token(token.reveal().to_owned()),
        Some(Login::Password { user, password }) => options.user_and_password(user, password.reveal().to_owned()),
    };
    if let Some(path) = &broker.nats_credentials_file {
        options = options.credentials_file(path).await.map_err(SettingsError::file(path))?;
    }
    if let Some(path) = &broker.nats_ca_file {
        check_readable(path)?;
        // Without it a server, or an attacker between, could ask for plain text.
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    Ok((options, url.servers()))
}

impl Connection {
    /// Starts connecting; does not wait for the broker. `hear` is told whenever the connection comes or goes.
    #[inline(never)]
    pub fn open<'a>(
        broker: &'a BrokerSettings,
        name: &'a str,
        request_timeout: Duration,
        hear: impl Fn(bool) + Send + Sync + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<Self, ConnectError>> + Send + 'a>> {
        Box::pin(Self::connect(broker, name, request_timeout, Box::new(hear)))
    }

    async fn connect(
        broker: &BrokerSettings,
        name: &str,
        request_timeout: Duration,
        hear: Box<dyn Fn(bool) + Send + Sync>,
    ) -> Result<Self, ConnectError> {
        let (url, state) = (broker.url()?, Arc::new(watch::Sender::default()));
        let changes = Arc::clone(&state);
        let (options, servers) = options(broker, name, request_timeout).await?;
        let options = options
            .retry_on_initial_connect()
            .max_reconnects(None)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                if let Some(connected) = note(&event, &changes) {
                    hear(connected);
                }
                std::future::ready(())
            });
        let connected = options.connect(servers).await;
        let client = connected.map_err(|source| ConnectError::Url { url, source })?;
        Ok(Self { client, state })
    }

    /// The client, for what needs no care about the connection's state.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether what is sent now leaves now: the client keeps what is sent meanwhile, and sends it to the next broker.
    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// The present connection, or the last one: what was asked for on an earlier one is not answered any more.
    pub fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Something failed that may mean that the log is another one: it is looked at again, as on a new connection.
    pub fn doubt(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Waits until the connection is a later one than this, or its end.
    pub async fn later_than(&self, generation: u64) {
        self.generation_when(|state| state.generation > generation).await;
    }

    /// Waits until the broker is connected: a publish before that would be buffered and stored at an unknown time.
    pub async fn connected(&self) -> u64 {
        self.generation_when(|state| state.connected).await
    }

    /// Waits for a connection later than `generation`.
    pub async fn reconnected(&self, generation: u64) -> u64 {
        self.generation_when(|state| state.connected && state.generation > generation).await
    }

    async fn generation_when(&self, right: impl Fn(&ConnectionState) -> bool) -> u64 {
        let mut state = self.state.subscribe();
        let seen = state.wait_for(right).await.map(|state| state.generation);
        match seen {
            Ok(generation) => generation,
            // Cannot be: this connection holds the sender.
            Err(_) => std::future::pending().await,
        }
    }
}

fn reconnect_delay(attempt: usize) -> Duration {
    let (first, longest) = RECONNECT_INTERVAL;
    doubled(first, longest, u32::try_from(attempt.max(1)).unwrap_or(u32::MAX))
}

/// Notes and logs what the client says; whether the connection stands, if that changed.
fn note(event: &Event, changes: &watch::Sender<ConnectionState>) -> Option<bool> {
    match event {
        Event::Connected => {
            if changes.borrow().generation > 0 {
                RECONNECTS.add_one();
            }
            changes.send_modify(|state| {
                *state = ConnectionState { connected: true, complained: false, generation: state.generation + 1 };
            });
            tracing::info!("connected to the broker");
            return Some(true);
        }
        Event::Disconnected | Event::Closed => {
            changes.send_modify(|state| {
                *state = ConnectionState { connected: false, generation: state.generation + 1, ..*state };
            });
            tracing::warn!("the broker is not connected, trying again");
            return Some(false);
        }
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {
            tracing::info!(%event, "the broker says {event}");
        }
        Event::ServerError(error) => {
            if is_refusal(error) {
                REFUSALS.add_one();
            }
            tracing::warn!(%error, "the broker refused something");
        }
        // Among others each failed attempt to connect, so for an hour's outage there are thousands.
        Event::ClientError(error) => {
            if changes.borrow().complained {
                tracing::debug!(%error, "the broker's client met an error again");
            } else {
                changes.send_modify(|state| state.complained = true);
                tracing::warn!(%error, "the broker's client met an error, trying again");
            }
        }
    }
    None
}

/// Whether a right is missing.
fn is_refusal(error: &ServerError) -> bool {
    match error {
        ServerError::AuthorizationViolation => true,
        ServerError::Other(text) => text.to_ascii_lowercase().contains("permissions violation"),
        ServerError::SlowConsumer(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use async_nats::ClientError;

    use super::*;

    #[test]
    fn a_connection_its_end_and_the_next_one_are_told_apart() {
        let changes = watch::Sender::default();
        let generation_after = |event| (note(&event, &changes), changes.borrow().generation);
        assert_eq!(generation_after(Event::Connected), (Some(true), 1));
        assert_eq!(generation_after(Event::Disconnected), (Some(false), 2));
        assert_eq!(generation_after(Event::ClientError(ClientError::MaxReconnects)), (None, 2));
        assert!(changes.borrow().complained);
        assert_eq!(generation_after(Event::Connected), (Some(true), 3));
        assert!(!changes.borrow().complained);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named_at_once() {
        let known = BrokerSettings::known("nats://127.0.0.1:1", "test".parse().unwrap());
        let absent = Some("/absent".into());
        for broker in [
            BrokerSettings { nats_credentials_file: absent.clone(), ..known.clone() },
            BrokerSettings { nats_ca_file: absent, ..known },
        ] {
            let failure = Connection::open(&broker, "test", CONNECT_TIMEOUT, |_| {}).await.unwrap_err();
            assert_eq!(failure.to_string(), "reading /absent");
        }
    }
}
