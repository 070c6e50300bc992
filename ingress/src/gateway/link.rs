//! The connection to the broker: kept for ever, and known to be up or down.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

use crate::config::NatsUrl;
use crate::health::Health;

/// A server that is silent for two of these is given up.
const PING_EVERY: Duration = Duration::from_secs(5);
/// How long one attempt to connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Between two attempts to connect at first, and at most.
const RECONNECT_AFTER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Why there can be no connection, ever; a broker that is only away is waited for.
#[derive(Debug, thiserror::Error)]
#[error("connecting to the broker at {url}")]
pub struct ConnectError {
    url: NatsUrl,
    #[source]
    source: async_nats::ConnectError,
}

/// The connection and what is known of it.
#[derive(Debug, Clone)]
pub struct Link {
    client: Client,
    state: watch::Receiver<LinkState>,
}

/// Counts connections, so that a waiter can tell a new one from the one it used.
#[derive(Debug, Clone, Copy, Default)]
struct LinkState {
    connected: bool,
    /// That it cannot connect was said, and is not said again until it could.
    complained: bool,
    generation: u64,
}

impl Link {
    /// Starts connecting; does not wait for the broker.
    pub async fn connect(url: &NatsUrl, health: Arc<Health>) -> Result<Self, ConnectError> {
        let (changes, state) = watch::channel(LinkState::default());
        let options = ConnectOptions::new()
            .name("rosterd ingress")
            .retry_on_initial_connect()
            .max_reconnects(None)
            .connection_timeout(CONNECT_WITHIN)
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                note(&event, &changes, &health);
                std::future::ready(())
            });
        let connected = options.connect(url.reveal()).await;
        let client = connected.map_err(|source| ConnectError { url: url.clone(), source })?;
        Ok(Self { client, state })
    }

    /// The client, for what needs no care about the connection's state.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until the broker is connected: a publish before that would be buffered and stored at an unknown time.
    pub(super) async fn connected(&self) -> u64 {
        self.generation_when(|_| true).await
    }

    /// The present connection, or the last one.
    pub(super) fn generation(&self) -> u64 {
        self.state.borrow().generation
    }

    /// Waits for a connection later than `generation`.
    pub(super) async fn reconnected(&self, generation: u64) -> u64 {
        self.generation_when(|state| state.generation > generation).await
    }

    async fn generation_when(&self, right: impl Fn(&LinkState) -> bool) -> u64 {
        let mut state = self.state.clone();
        let seen = state.wait_for(|state| state.connected && right(state)).await.map(|state| state.generation);
        match seen {
            Ok(generation) => generation,
            // The client is gone; the caller's own deadline ends this.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Doubles up to the limit; half of it is chance, so that ingresses do not come back in step.
fn reconnect_delay(attempt: usize) -> Duration {
    let (first, most) = RECONNECT_AFTER;
    let doubled = first.saturating_mul(1 << attempt.clamp(1, 10)).min(most);
    doubled.mul_f64(rand::random_range(0.5..1.0))
}

fn note(event: &Event, changes: &watch::Sender<LinkState>, health: &Health) {
    match event {
        Event::Connected => {
            changes.send_modify(|state| {
                *state = LinkState { connected: true, complained: false, generation: state.generation + 1 };
            });
            health.broker.store(true, Ordering::Relaxed);
            tracing::info!("connected to the broker");
        }
        Event::Disconnected | Event::Closed => {
            changes.send_modify(|state| state.connected = false);
            health.broker.store(false, Ordering::Relaxed);
            tracing::warn!("the broker is not connected, trying again");
        }
        Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {
            tracing::info!(%event, "the broker says {event}");
        }
        Event::ServerError(error) => tracing::warn!(%error, "the broker refused something"),
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
}
