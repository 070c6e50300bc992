//! The only door to NATS: connects, declares, pulls, answers, acknowledges.

mod chain;
mod commands;
mod declare;
mod delivery;
mod held;
mod lanes;
mod progress;
mod projection;
mod queries;
mod replies;
#[cfg(test)]
mod samples;
mod schedule;
mod settled;
mod work;

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, jetstream};
use protocol::ownership::OwnershipPolicy;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub use self::declare::DeclareError;
pub(crate) use self::work::chain;

use self::commands::Dispatcher;
use self::lanes::LanePull;
use self::progress::Progress;
use self::projection::Projection;
use self::queries::Queries;
use self::replies::Replies;
use self::settled::RecentlySettled;
use self::work::Work;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::{Store, StoreError};

/// How many deliveries of one lane may be in this process without being settled or held.
const LANE_ROOM: usize = 512;

/// Why a session with the broker could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// SQL cannot say which sequences it knows.
    #[error("reading the highest sequence that SQL knows")]
    HighestSequence(#[source] StoreError),
    /// The log cannot be used.
    #[error("declaring the log")]
    Declare(#[from] DeclareError),
    /// Queries cannot be subscribed to.
    #[error("subscribing to queries")]
    Subscribe(#[from] async_nats::SubscribeError),
}

/// The connection, kept through every restart of the broker.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// Counts connections: what was asked for on an earlier one is not answered any more.
    generation: watch::Receiver<u64>,
}

/// Connects; does not wait for the broker.
pub(crate) async fn connect(urls: Vec<String>) -> Result<Connection, async_nats::ConnectError> {
    let (connected, generation) = watch::channel(0);
    let options = ConnectOptions::new()
        .name("rosterd worker")
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(Duration::from_secs(5)))
        .ping_interval(Duration::from_secs(5))
        .retry_on_initial_connect()
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| Duration::from_millis(50 * u64::try_from(attempts.min(20)).unwrap_or(20)))
        .event_callback(move |event| {
            match event {
                Event::Connected => connected.send_modify(|generation| *generation += 1),
                Event::ClientError(_) => return std::future::ready(()),
                _ => {}
            }
            info!("broker: {event}");
            std::future::ready(())
        });
    Ok(Connection { client: options.connect(urls).await?, generation })
}

/// One session: from the declaration of the log until `stop`, or until its consumers are lost.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) store: Store,
    pub(crate) config: Config,
    pub(crate) slots: usize,
}

impl Session {
    /// Works until everything that was pulled is settled. `ready` is called once all lanes pull.
    pub(crate) async fn run(self, stop: CancellationToken, ready: impl FnOnce()) -> Result<(), SessionError> {
        let context = jetstream::new(self.connection.client.clone());
        let highest = self.store.highest_sequence().await.map_err(SessionError::HighestSequence)?;
        let stream = declare::log(&context, &self.config, highest).await?;
        let consumers = declare::consumers(&stream, &self.config.namespace).await?;
        let projection = Arc::new(Projection::new(declare::bucket(&context, &self.config).await?));

        // Ends with `stop`, or with the first lane whose consumer is lost.
        let session = stop.child_token();
        let services = Services::default();
        let progress = Progress::default();
        services.until_drained(|end| progress.clone().run(self.connection.client.clone(), end));
        services.until_drained(|end| reconcile(Arc::clone(&projection), self.store.clone(), end));
        let queries = self.queries(projection);
        let subscriptions = queries.subscribe().await?;
        services.tasks.spawn(queries.run(subscriptions, session.clone()));

        let (items, received) = mpsc::channel(LANE_ROOM);
        let (open, gate) = watch::channel(true);
        let mut lanes = JoinSet::new();
        for (lane, consumer) in consumers {
            let room = Arc::new(Semaphore::new(LANE_ROOM));
            let (namespace, progress) = (self.config.namespace.clone(), progress.clone());
            let (open, items, generation) = (gate.clone(), items.clone(), self.connection.generation.clone());
            let pull = LanePull { lane, consumer, namespace, progress, room, open, generation, items };
            lanes.spawn(pull.run(session.clone()));
        }
        drop((items, gate));
        let dispatcher = Dispatcher::new(self.work(stream), self.slots, usize::from(self.config.batch), open);
        ready();
        let (lost, ()) = tokio::join!(until_first_ends(lanes, &session), dispatcher.run(received));
        if lost {
            warn!("a consumer was lost; declaring the log again");
        }
        services.drained.cancel();
        services.tasks.close();
        services.tasks.wait().await;
        Ok(())
    }

    fn queries(&self, projection: Arc<Projection>) -> Arc<Queries> {
        let (client, namespace) = (self.connection.client.clone(), self.config.namespace.clone());
        Arc::new(Queries { client, namespace, store: self.store.clone(), projection, clock: Clock::System })
    }

    fn work(&self, stream: jetstream::stream::Stream) -> Arc<Work> {
        let replies = Replies { client: self.connection.client.clone(), namespace: self.config.namespace.clone() };
        Arc::new(Work {
            store: self.store.clone(),
            replies,
            stream,
            clock: Clock::System,
            policy: OwnershipPolicy::default(),
            settled: RecentlySettled::default(),
            batch: usize::from(self.config.batch),
        })
    }
}

/// Tasks that go on until every delivery is settled.
#[derive(Default)]
struct Services {
    tasks: TaskTracker,
    drained: CancellationToken,
}

impl Services {
    fn until_drained<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(CancellationToken) -> F) {
        self.tasks.spawn(task(self.drained.clone()));
    }
}

async fn reconcile(projection: Arc<Projection>, store: Store, end: CancellationToken) {
    projection.run(store, end).await;
}

/// The first lane that ends, ends the session. True if nobody asked it to.
async fn until_first_ends(mut lanes: JoinSet<()>, session: &CancellationToken) -> bool {
    lanes.join_next().await;
    let lost = !session.is_cancelled();
    session.cancel();
    while lanes.join_next().await.is_some() {}
    lost
}
