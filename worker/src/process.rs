//! This process, as operators and their tools see it: its state, its status, its probes, its metrics.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use protocol::message::envelope::FORMAT_VERSION;
use protocol::message::lane::Lane;
use protocol::message::status::{
    BalanceShort, DatabaseStatus, LogStatus, ProcessState, RoleStatus, Settled, Status, WorkerStatus,
};
use protocol::time::Timestamp;
use runtime::connection::Connection;
use runtime::lock::locked;
use runtime::log_status::LogWatch;
use runtime::operations::Operations;
use runtime::snapshot::Snapshot;
use runtime::status::{PATIENCE, ProcessIdentity};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::{Found, METRICS, Turning, page};
use crate::store::Store;

/// How long the database may take for a look.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a page of metrics may wait for broker and database.
const PAGE_PATIENCE: Duration = Duration::from_secs(2);
/// Between two measurements of what was done.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// Over how many of them rates are told.
const SAMPLES: usize = 10;

/// This worker.
pub(crate) struct Process {
    pub(crate) identity: ProcessIdentity,
    pub(crate) connection: Connection,
    log: LogWatch,
    stop: CancellationToken,
    store: OnceLock<Store>,
    is_ready: AtomicBool,
    database: Snapshot<DatabaseStatus>,
    samples: Mutex<VecDeque<Sample>>,
    turning: Mutex<Turning>,
}

/// What had been done by a moment.
struct Sample {
    at: Instant,
    busy_micros: u64,
    settled: [u64; 3],
}

impl Process {
    pub(crate) fn new(
        identity: ProcessIdentity,
        connection: Connection,
        log: LogWatch,
        stop: CancellationToken,
    ) -> Self {
        let (samples, turning) = (Mutex::default(), Mutex::new(Turning::new()));
        let (store, is_ready, database) = (OnceLock::new(), AtomicBool::new(false), Snapshot::default());
        Self { identity, connection, log, stop, store, is_ready, database, samples, turning }
    }

    /// The database was opened, and its schema is current.
    pub(crate) fn has(&self, store: &Store) {
        // It is opened once.
        let _ = self.store.set(store.clone());
    }

    /// All lanes pull.
    pub(crate) fn begins(&self) {
        self.is_ready.store(true, Ordering::Relaxed);
    }

    /// No lane pulls any more, until [`Self::begins`] is called again.
    pub(crate) fn ends(&self) {
        self.is_ready.store(false, Ordering::Relaxed);
    }

    /// Measures what is done, for as long as the process lives.
    pub(crate) async fn sample(self: Arc<Self>) {
        loop {
            let settled = Lane::ALL.map(|lane| METRICS.settled.get([lane.as_str()]));
            let sample = Sample { at: Instant::now(), busy_micros: METRICS.dispatch.busy.get(), settled };
            {
                let mut samples = locked(&self.samples);
                samples.push_back(sample);
                if samples.len() > SAMPLES {
                    samples.pop_front();
                }
            }
            tokio::time::sleep(SAMPLE_INTERVAL).await;
        }
    }

    /// What it says when it is asked.
    pub(crate) async fn status(self: Arc<Self>) -> Status {
        let (log, database) = self.look(PATIENCE).await;
        let role = RoleStatus::Worker(self.work(database));
        self.identity.status(self.state(), role, log)
    }

    fn state(&self) -> ProcessState {
        if self.stop.is_cancelled() {
            ProcessState::Draining
        } else if self.is_ready.load(Ordering::Relaxed) {
            ProcessState::Ready
        } else {
            ProcessState::Starting
        }
    }

    fn work(&self, database: Option<DatabaseStatus>) -> WorkerStatus {
        let dispatch = &METRICS.dispatch;
        let (busy, settled) = self.rates();
        let unknown = || {
            let kind = self.store.get().map_or("unknown", |store| store.kind().as_str()).to_owned();
            DatabaseStatus { kind, answered: None }
        };
        WorkerStatus {
            in_flight: dispatch.in_flight.get_count(),
            queued: dispatch.queued.get_count(),
            held: dispatch.held.get_count(),
            parked: dispatch.parked_in_all(),
            batches: dispatch.batches.get_count(),
            busy,
            settled,
            envelope: FORMAT_VERSION,
            database: database.unwrap_or_else(unknown),
        }
    }

    /// The busy share, and what was settled, over the samples that there are.
    fn rates(&self) -> (f64, Vec<Settled>) {
        let samples = locked(&self.samples);
        let totals = Lane::ALL.map(|lane| METRICS.settled.get([lane.as_str()]));
        let Some(first) = samples.front() else { return (0.0, Vec::new()) };
        let seconds = first.at.elapsed().as_secs_f64().max(f64::EPSILON);
        let busy = Duration::from_micros(METRICS.dispatch.busy.get() - first.busy_micros).as_secs_f64() / seconds;
        let settled = Lane::ALL.into_iter().zip(totals).zip(first.settled).map(|((lane, total), before)| {
            let newly = u32::try_from(total - before).unwrap_or(u32::MAX);
            Settled { lane, total, per_second: f64::from(newly) / seconds }
        });
        (busy.min(1.0), settled.collect())
    }

    /// The log and the database, each none if it did not answer in time.
    async fn look(&self, patience: Duration) -> (Option<LogStatus>, Option<DatabaseStatus>) {
        let Some(store) = self.store.get().cloned() else { return (self.log.look(patience).await, None) };
        let log = self.log.clone();
        let database = self.database.get(patience, async move {
            // In this order: what is acknowledged was settled before.
            let log = log.look(DATABASE_TIMEOUT).await;
            let answered = timeout(DATABASE_TIMEOUT, store.look(log.as_ref())).await.ok().and_then(Result::ok);
            let answered = answered.map(|mut answer| {
                answer.balance = last_balance();
                answer
            });
            DatabaseStatus { kind: store.kind().as_str().to_owned(), answered }
        });
        tokio::join!(self.log.look(patience), database)
    }
}

/// The balance that this process has drawn last.
fn last_balance() -> Option<BalanceShort> {
    let drawn_at = Some(METRICS.balance_drawn_at.get()).filter(|at| *at > 0)?;
    let missing = METRICS.missing_sequences.get_count();
    Some(BalanceShort { missing, drawn_at: Timestamp::from_millis(drawn_at) })
}

impl Operations for Process {
    fn not_alive(&self) -> Option<&'static str> {
        locked(&self.turning).stands_still().then_some("the dispatcher has work and has not moved for a minute")
    }

    fn not_ready(&self) -> Option<&'static str> {
        match self.state() {
            ProcessState::Ready => None,
            ProcessState::Starting => Some("this worker has not begun to pull yet"),
            ProcessState::Draining => Some("this worker is stopping"),
        }
    }

    fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>> {
        Box::pin(async move {
            let (log, database) = self.look(PAGE_PATIENCE).await;
            let connections = self.store.get().map(Store::connections).unwrap_or_default();
            let (identity, connection) = (&self.identity, &self.connection);
            page(&Found { identity, connection, log, database, connections })
        })
    }

    fn version(&self) -> &'static str {
        self.identity.version
    }

    fn schema(&self) -> Option<String> {
        migrations::newest()
    }
}
