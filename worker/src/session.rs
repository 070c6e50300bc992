//! One session with the broker: declares and verifies the log, starts what works on it, ends it in order.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use protocol::message::lane::Lane;
use protocol::ownership::OwnershipPolicy;
use runtime::clock::Clock;
use runtime::connection::Connection;
use tokio::sync::{Mutex, RwLock, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config::Config;
use crate::dispatch::batch_runner::BatchRunner;
use crate::dispatch::dispatcher::Dispatcher;
use crate::dispatch::failures::Failures;
use crate::dispatch::recent_sequences::RecentSequences;
use crate::log::Log;
use crate::log::consistency::{ConsistencyError, Ends};
use crate::log::declare::{self, DeclareError, LaneConsumer};
use crate::log::keep_alive::KeepAlive;
use crate::log::lane_pauses;
use crate::log::leftovers::Leftovers;
use crate::log::pull::LanePull;
use crate::replay::publisher::Publisher;
use crate::rpc::answered::AnsweredCreates;
use crate::rpc::balance::draw_in_turn;
use crate::rpc::credential_projection::CredentialProjection;
use crate::rpc::lanes;
use crate::rpc::pending;
use crate::rpc::queries::Queries;
use crate::store::Store;

/// How many deliveries of one lane may be in this process without being settled or held.
const LANE_ROOM: usize = 512;

/// Why a session with the broker could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It is not known whether the log is behind SQL.
    #[error("comparing the log with SQL")]
    Consistency(#[from] ConsistencyError),
    /// The log cannot be used.
    #[error("declaring the log")]
    Declare(#[from] DeclareError),
    /// It is not known which lanes are paused.
    #[error("reading which lanes are paused")]
    Lanes(#[from] kv::EntryError),
    /// Queries cannot be subscribed to.
    #[error("subscribing to queries")]
    Subscribe(#[from] async_nats::SubscribeError),
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
        let Opened { log, verified, consumers, bucket } = self.open().await?;
        let projection = Arc::new(CredentialProjection::new(bucket.clone()));
        // Ends with `stop`, with the first lane whose consumer is lost, or when the log is renumbered.
        let (session, renumbered) = (stop.child_token(), CancellationToken::new());
        let services = Services::default();
        let keep_alive = KeepAlive::default();
        services.until_drained(|end| keep_alive.clone().run(self.connection.clone(), end));
        services.until_drained(|end| reconcile(Arc::clone(&projection), self.store.clone(), end));
        let (open, gate) = watch::channel(true);
        let (tell_paused, paused) = watch::channel(lane_pauses::read(&bucket).await?);
        services.tasks.spawn(lane_pauses::follow(bucket.clone(), tell_paused, session.clone()));
        services.tasks.spawn(draw_in_turn(log.clone(), bucket.clone(), session.clone()));
        let (client, namespace) = (self.connection.client().clone(), self.config.broker.namespace.clone());
        lanes::answer(client.clone(), namespace, bucket, session.clone()).await?;
        let (ask, questions) = mpsc::channel(1);
        pending::answer(client, log.clone(), ask, session.clone()).await?;
        let queries = self.queries(projection, log.clone(), gate.clone());
        let subscriptions = queries.subscribe().await?;
        services.tasks.spawn(queries.run(subscriptions, session.clone()));
        let answered = AnsweredCreates { client: self.connection.client().clone(), store: self.store.clone() };
        let reports = answered.subscribe(&self.config.broker.namespace).await?;
        services.tasks.spawn(answered.run(reports, session.clone()));

        let work = self.work(log.clone());
        let ends = Ends { session: session.clone(), renumbered: renumbered.clone() };
        services.tasks.spawn(log.clone().watch(verified, ends));
        services.tasks.spawn(Publisher::new(log.clone(), self.store.clone()).run(session.clone()));
        services.tasks.spawn(Leftovers::new(log.clone()).watch(session.clone()));
        let (deliveries, received) = mpsc::channel(LANE_ROOM);
        let mut lanes = JoinSet::new();
        for (lane, consumer) in consumers {
            let room = Arc::new(Semaphore::new(LANE_ROOM));
            let (log, keep_alive) = (log.clone(), keep_alive.clone());
            let (open, paused, deliveries) = (gate.clone(), paused.clone(), deliveries.clone());
            let pull = LanePull { lane, consumer, log, keep_alive, room, open, paused, deliveries };
            lanes.spawn(pull.run(session.clone()));
        }
        drop((deliveries, gate));
        let dispatcher = Dispatcher::new(work, self.slots, open, renumbered, questions);
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

    async fn open(&self) -> Result<Opened, SessionError> {
        let context = jetstream::new(self.connection.client().clone());
        let stream = declare::log(&context, &self.config).await?;
        if self.config.replicas == 1 && self.connection.client().server_info().cluster.is_some() {
            warn!("the broker is a cluster and keeps the log once: with --replicas 3 it survives the loss of a server");
        }
        let (store, namespace) = (self.store.for_settling(), self.config.broker.namespace.clone());
        // Before there is a consumer to pull from.
        let (log, verified) = Log::open(stream, store, namespace, self.connection.clone()).await?;
        let consumers = declare::consumers(&log.stream, &log.namespace).await?;
        let bucket = declare::bucket(&context, &self.config).await?;
        Ok(Opened { log, verified, consumers, bucket })
    }

    fn queries(&self, projection: Arc<CredentialProjection>, log: Log, open: watch::Receiver<bool>) -> Arc<Queries> {
        let (client, store) = (self.connection.client().clone(), self.store.clone());
        let (clock, failures) = (Clock::System, AtomicU32::new(0));
        Arc::new(Queries { client, log, store, projection, clock, open, failures })
    }

    fn work(&self, log: Log) -> Arc<BatchRunner> {
        Arc::new(BatchRunner {
            store: self.store.for_settling(),
            log,
            clock: Clock::System,
            policy: OwnershipPolicy::default(),
            settled: RecentSequences::default(),
            failures: Failures::over(Duration::from_secs(self.config.dead_letter_after)),
            first_effects: RecentSequences::default(),
            first_effects_turn: Mutex::new(()),
            alone: RwLock::new(()),
            batch: usize::from(self.config.batch),
        })
    }
}

/// What a session works with, declared and verified.
struct Opened {
    log: Log,
    /// On which connection the log was verified.
    verified: watch::Sender<u64>,
    consumers: Vec<(Lane, LaneConsumer)>,
    /// What every ingress keeps in memory, and which lanes are paused.
    bucket: kv::Store,
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

async fn reconcile(projection: Arc<CredentialProjection>, store: Store, end: CancellationToken) {
    projection.run(store, end).await;
}

/// The first lane that ends, ends the session. True if it was not asked to.
async fn until_first_ends(mut lanes: JoinSet<()>, session: &CancellationToken) -> bool {
    lanes.join_next().await;
    let lost = !session.is_cancelled();
    session.cancel();
    while lanes.join_next().await.is_some() {}
    lost
}
