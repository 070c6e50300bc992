//! One session with the broker: declares and verifies the log, starts what works on it, ends it in order.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use async_nats::jetstream;
use protocol::message::lane::Lane;
use protocol::ownership::OwnershipPolicy;
use runtime::clock::Clock;
use runtime::connection::Connection;
use tokio::sync::{RwLock, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use crate::config::Config;
use crate::dispatch::batch_runner::BatchRunner;
use crate::dispatch::dispatcher::Dispatcher;
use crate::dispatch::failures::Failures;
use crate::dispatch::first_effect::FirstEffects;
use crate::dispatch::settled::RecentlySettled;
use crate::log::consistency::{Consistency, ConsistencyError, Ends};
use crate::log::declare::{self, DeclareError, LaneConsumer};
use crate::log::delivery::LogView;
use crate::log::leftovers::Leftovers;
use crate::log::progress::Progress;
use crate::log::pull::LanePull;
use crate::rpc::answered::AnsweredCreates;
use crate::rpc::credential_projection::CredentialProjection;
use crate::rpc::outcomes::Outcomes;
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
        let Opened { consistency, generation, log, consumers, projection } = self.open().await?;
        // Ends with `stop`, with the first lane whose consumer is lost, or when the log is renumbered.
        let (session, renumbered) = (stop.child_token(), CancellationToken::new());
        let services = Services::default();
        let progress = Progress::default();
        services.until_drained(|end| progress.clone().run(self.connection.clone(), end));
        services.until_drained(|end| reconcile(Arc::clone(&projection), self.store.clone(), end));
        let (open, gate) = watch::channel(true);
        let queries = self.queries(projection, consistency.clone(), log.clone(), gate.clone());
        let subscriptions = queries.subscribe().await?;
        services.tasks.spawn(queries.run(subscriptions, session.clone()));
        let answered = AnsweredCreates { client: self.connection.client().clone(), store: self.store.clone() };
        let reports = answered.subscribe(&self.config.broker.namespace).await?;
        services.tasks.spawn(answered.run(reports, session.clone()));

        let (verified, sound) = watch::channel(generation);
        let work = self.work(consistency.clone(), log.clone(), sound.clone());
        let ends = Ends { session: session.clone(), renumbered: renumbered.clone() };
        let stream = consistency.stream.clone();
        services.tasks.spawn(consistency.watch(log.numbering, self.connection.clone(), verified, ends));
        let leftovers = Leftovers::new(self.connection.clone(), stream, self.config.broker.namespace.clone());
        services.tasks.spawn(leftovers.watch(session.clone()));
        let (items, received) = mpsc::channel(LANE_ROOM);
        let mut lanes = JoinSet::new();
        for (lane, consumer) in consumers {
            let room = Arc::new(Semaphore::new(LANE_ROOM));
            let (log, progress, connection) = (log.clone(), progress.clone(), self.connection.clone());
            let (open, items, sound) = (gate.clone(), items.clone(), sound.clone());
            let pull = LanePull { lane, consumer, log, progress, room, open, connection, sound, items };
            lanes.spawn(pull.run(session.clone()));
        }
        drop((items, gate));
        let dispatcher = Dispatcher::new(work, self.slots, usize::from(self.config.batch), open, renumbered);
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
        let generation = self.connection.generation();
        let stream = declare::log(&context, &self.config).await?;
        if self.config.replicas == 1 && self.connection.client().server_info().cluster.is_some() {
            warn!("the broker is a cluster and keeps the log once: with --replicas 3 it survives the loss of a server");
        }
        let store = self.store.for_settling();
        let consistency = Consistency { stream: stream.clone(), store, clock: Clock::System };
        // Before there is a consumer to pull from.
        let numbering = consistency.verify().await?;
        let log = LogView { namespace: self.config.broker.namespace.clone(), numbering };
        let consumers = declare::consumers(&stream, &self.config.broker.namespace).await?;
        let projection = Arc::new(CredentialProjection::new(declare::bucket(&context, &self.config).await?));
        Ok(Opened { consistency, generation, log, consumers, projection })
    }

    fn queries(
        &self,
        projection: Arc<CredentialProjection>,
        consistency: Consistency,
        log: LogView,
        open: watch::Receiver<bool>,
    ) -> Arc<Queries> {
        let (client, store) = (self.connection.client().clone(), self.store.clone());
        let (clock, failures) = (Clock::System, AtomicU32::new(0));
        Arc::new(Queries { client, log, store, projection, consistency, clock, open, failures })
    }

    fn work(&self, consistency: Consistency, log: LogView, sound: watch::Receiver<u64>) -> Arc<BatchRunner> {
        let outcomes =
            Outcomes { connection: self.connection.clone(), namespace: self.config.broker.namespace.clone() };
        Arc::new(BatchRunner {
            store: self.store.for_settling(),
            outcomes,
            consistency,
            sound,
            log,
            clock: Clock::System,
            policy: OwnershipPolicy::default(),
            settled: RecentlySettled::default(),
            failures: Failures::over(Duration::from_secs(self.config.dead_letter_after)),
            first_effects: FirstEffects::default(),
            alone: RwLock::new(()),
            batch: usize::from(self.config.batch),
        })
    }
}

/// What a session works with, declared and verified.
struct Opened {
    consistency: Consistency,
    /// The connection on which the log was verified.
    generation: u64,
    log: LogView,
    consumers: Vec<(Lane, LaneConsumer)>,
    projection: Arc<CredentialProjection>,
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
