//! What a worker counts and measures. The one place that names its metrics; docs/metrics.md explains them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use protocol::message::outcome::Outcome;
use protocol::message::status::{DatabaseStatus, LogStatus};
use runtime::connection::{Connection, RECONNECTS, REFUSALS};
use runtime::metrics::{Counter, Counters, Gauge, Histograms, Page};
use runtime::status::ProcessIdentity;
use tokio::time::Instant;

/// Upper bounds of how long something takes, in seconds.
const SPANS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of how many commands a batch has.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];
/// How long a dispatcher with work may stand still.
const STANDSTILL: Duration = Duration::from_mins(1);

/// This process's metrics.
pub(crate) static METRICS: Metrics = Metrics::new();

/// What is counted and measured where it happens. Everything else is found out when it is asked for.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) redelivered: Counters<1>,
    pub(crate) settled: Counters<1>,
    pub(crate) predecessors_fetched: Counter,
    pub(crate) batch_size: Histograms<0>,
    pub(crate) batch_duration: Histograms<1>,
    pub(crate) commit_duration: Histograms<0>,
    outcomes: Counters<2>,
    pub(crate) redone: Counters<1>,
    pub(crate) suspects: Counter,
    pub(crate) too_new: Counter,
    pub(crate) deactivation_duration: Histograms<0>,
    pub(crate) projection_duration: Histograms<0>,
    /// When all credentials were last projected, in seconds since 1970; 0 for never.
    pub(crate) projected_at: Gauge,
    pub(crate) missing_sequences: Gauge,
    /// When the balance was last drawn, in milliseconds since 1970; 0 for never.
    pub(crate) balance_drawn_at: Gauge,
    pub(crate) dispatch: DispatchMetrics,
}

/// What the dispatcher has, as it last said.
#[derive(Debug)]
pub(crate) struct DispatchMetrics {
    pub(crate) in_flight: Gauge,
    pub(crate) queued: Gauge,
    pub(crate) held: Gauge,
    parked_locked: Gauge,
    parked_failed: Gauge,
    parked_waiting: Gauge,
    pub(crate) batches: Gauge,
    /// In which a batch ran, in microseconds.
    pub(crate) busy: Counter,
    /// Counts the dispatcher's turns.
    turns: AtomicU64,
}

impl Metrics {
    const fn new() -> Self {
        Self {
            redelivered: Counters::new(),
            settled: Counters::new(),
            predecessors_fetched: Counter::new(),
            batch_size: Histograms::new(SIZES),
            batch_duration: Histograms::new(SPANS),
            commit_duration: Histograms::new(SPANS),
            outcomes: Counters::new(),
            redone: Counters::new(),
            suspects: Counter::new(),
            too_new: Counter::new(),
            deactivation_duration: Histograms::new(SPANS),
            projection_duration: Histograms::new(SPANS),
            projected_at: Gauge::new(),
            missing_sequences: Gauge::new(),
            balance_drawn_at: Gauge::new(),
            dispatch: DispatchMetrics::new(),
        }
    }

    /// A command of this kind ended so.
    pub(crate) fn ended(&self, outcome: &Outcome, kind: &'static str) {
        self.outcomes.add_one([word_of(outcome), kind]);
    }

    /// A command of this kind is a dead letter.
    pub(crate) fn died(&self, kind: &'static str) {
        self.outcomes.add_one(["dead", kind]);
    }
}

impl DispatchMetrics {
    const fn new() -> Self {
        Self {
            in_flight: Gauge::new(),
            queued: Gauge::new(),
            held: Gauge::new(),
            parked_locked: Gauge::new(),
            parked_failed: Gauge::new(),
            parked_waiting: Gauge::new(),
            batches: Gauge::new(),
            busy: Counter::new(),
            turns: AtomicU64::new(0),
        }
    }

    /// The dispatcher has done something, and has so many chains parked: failed, locked, waiting.
    pub(crate) fn turned(&self, [failed, locked, waiting]: [usize; 3]) {
        self.parked_failed.set_count(failed);
        self.parked_locked.set_count(locked);
        self.parked_waiting.set_count(waiting);
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    fn parked(&self) -> [(&'static str, u64); 3] {
        let Self { parked_locked, parked_failed, parked_waiting, .. } = self;
        [
            ("failed", parked_failed.get_count()),
            ("locked", parked_locked.get_count()),
            ("waiting", parked_waiting.get_count()),
        ]
    }

    /// How many chains could not be applied.
    pub(crate) fn parked_in_all(&self) -> u64 {
        self.parked().iter().map(|(_, count)| count).sum()
    }
}

/// Whether the dispatcher stands still with work to do.
#[derive(Debug)]
pub(crate) struct Turning {
    turns: u64,
    since: Instant,
}

impl Turning {
    /// It has moved just now.
    pub(crate) fn new() -> Self {
        Self { turns: 0, since: Instant::now() }
    }

    /// Looks again: whether it has stood still for long.
    pub(crate) fn stands_still(&mut self) -> bool {
        let dispatch = &METRICS.dispatch;
        let turns = dispatch.turns.load(Ordering::Relaxed);
        let has_work = dispatch.in_flight.get() + dispatch.queued.get() > 0;
        if turns != self.turns || !has_work {
            *self = Self { turns, since: Instant::now() };
        }
        self.since.elapsed() >= STANDSTILL
    }
}

const fn word_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Created { .. } => "created",
        Outcome::Updated { .. } | Outcome::UpdatedWithoutBody { .. } => "updated",
        Outcome::Deleted => "deleted",
        Outcome::Rejected { .. } => "rejected",
        Outcome::Superseded => "superseded",
        Outcome::Duplicate { .. } => "duplicate",
    }
}

/// What is found out for the page.
pub(crate) struct Found<'a> {
    pub(crate) identity: &'a ProcessIdentity,
    pub(crate) connection: &'a Connection,
    pub(crate) log: Option<LogStatus>,
    pub(crate) database: Option<DatabaseStatus>,
    /// Connections to the database, by purpose and state.
    pub(crate) connections: Vec<([&'static str; 2], u64)>,
}

/// The page of all metrics.
pub(crate) fn page(found: &Found<'_>) -> String {
    let mut page = Page::default();
    page.log(found.log.as_ref());
    page.counters("rosterd_redelivered_total", "Messages delivered again.", ["lane"], &METRICS.redelivered);
    page.counters("rosterd_settled_total", "Messages settled.", ["lane"], &METRICS.settled);
    of_dispatch(&mut page);
    of_batches(&mut page);
    of_database(&mut page, found);
    page.histograms(
        "rosterd_projection_duration_seconds",
        "How long projecting all credentials took.",
        [],
        &METRICS.projection_duration,
    );
    let projected = Some(METRICS.projected_at.get()).filter(|at| *at > 0);
    let help = "When all credentials were last projected, since 1970.";
    page.gauge("rosterd_projection_last_success_seconds", help, projected);
    page.broker(found.connection.is_up(), &RECONNECTS, &REFUSALS);
    page.process(found.identity.version, found.identity.started_at);
    page.into_text()
}

fn of_dispatch(page: &mut Page) {
    let dispatch = &METRICS.dispatch;
    let parked = dispatch.parked().map(|(reason, count)| ([reason], count));
    page.gauge("rosterd_in_flight", "Messages in batches that run.", Some(dispatch.in_flight.get()));
    page.gauge("rosterd_queued", "Messages here that wait for a batch.", Some(dispatch.queued.get()));
    let help = "Messages here that wait for a predecessor or until they are tried again.";
    page.gauge("rosterd_held", help, Some(dispatch.held.get()));
    page.gauges("rosterd_parked", "Resources whose commands are tried again later.", ["reason"], parked);
    page.counter("rosterd_predecessors_fetched_total", "Predecessors fetched.", &METRICS.predecessors_fetched);
    page.counter("rosterd_suspects_total", "Deliveries that may crash a worker.", &METRICS.suspects);
    page.counter("rosterd_too_new_total", "Deliveries for a newer worker.", &METRICS.too_new);
}

fn of_batches(page: &mut Page) {
    page.histograms("rosterd_batch_size", "Commands applied together.", [], &METRICS.batch_size);
    let help = "How long each step of a batch took.";
    page.histograms("rosterd_batch_duration_seconds", help, ["step"], &METRICS.batch_duration);
    page.histograms("rosterd_commit_duration_seconds", "How long COMMIT took.", [], &METRICS.commit_duration);
    page.counters("rosterd_outcomes_total", "Commands that ended.", ["outcome", "kind"], &METRICS.outcomes);
    page.counters("rosterd_redone_total", "Transactions begun again.", ["class"], &METRICS.redone);
    let help = "From the acceptance of what takes access away to its commit.";
    page.histograms("rosterd_deactivation_duration_seconds", help, [], &METRICS.deactivation_duration);
}

fn of_database(page: &mut Page, found: &Found<'_>) {
    let answer = found.database.as_ref().map(|database| database.answered.as_ref());
    page.gauge("rosterd_database_up", "Whether the database answers.", answer.map(|answer| u8::from(answer.is_some())));
    let answer = answer.flatten();
    let settings = answer.map(|answer| u8::from(answer.settings_hold));
    page.gauge("rosterd_database_settings_ok", "Whether the session has its time limits.", settings);
    page.gauge("rosterd_dead_letters", "Dead letters.", answer.map(|answer| answer.dead_letters));
    page.gauge("rosterd_log_epoch", "How often the log was renumbered.", answer.map(|answer| answer.epoch));
    page.gauge("rosterd_sql_highest", "The highest number that is settled.", answer.map(|answer| answer.highest));
    let help = "How many numbers the log's acknowledgements are above the highest that is settled.";
    page.gauge("rosterd_sql_behind_log", help, answer.map(|answer| answer.behind_log));
    let drawn = METRICS.balance_drawn_at.get() > 0;
    let missing = drawn.then(|| METRICS.missing_sequences.get());
    page.gauge("rosterd_missing_sequences", "Messages that are not accounted for.", missing);
    let help = "Connections to the database.";
    page.gauges("rosterd_database_connections", help, ["purpose", "state"], found.connections.iter().copied());
}
