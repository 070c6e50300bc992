//! What an ingress counts and measures. The one place that names its metrics; docs/metrics.md explains them.

use std::time::Duration;

use http::Method;
use protocol::message::lane::Lane;
use protocol::message::status::LogStatus;
use runtime::connection::{Connection, RECONNECTS, REFUSALS};
use runtime::metrics::{Counter, Counters, Gauge, Histograms, Page};
use runtime::status::ProcessIdentity;

/// Upper bounds of how long something takes, in seconds.
const SPANS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// A request that takes longer is held.
const HELD_AFTER: Duration = Duration::from_secs(1);

/// This process's metrics.
pub(crate) static METRICS: Metrics = Metrics::new();

/// What is counted and measured where it happens. Everything else is found out when it is asked for.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Counters<3>,
    request_duration: Histograms<1>,
    pub(crate) in_flight: Gauge,
    held: Gauge,
    pub(crate) publish_duration: Histograms<0>,
    pub(crate) publish_conflicts: Counter,
    pub(crate) publish_duplicates: Counter,
    pub(crate) unanswered: Counters<1>,
    pub(crate) ledger_asked: Counters<1>,
    pub(crate) overloaded: Counter,
    pub(crate) unauthorized: Counter,
    /// When the watch of the credentials last showed a sign of life, in milliseconds since 1970; 0 for never.
    pub(crate) credentials_heard_at: Gauge,
    /// By how many milliseconds this clock is ahead of the broker's.
    pub(crate) clock_ahead: Gauge,
}

impl Metrics {
    const fn new() -> Self {
        Self {
            requests: Counters::new(),
            request_duration: Histograms::new(SPANS),
            in_flight: Gauge::new(),
            held: Gauge::new(),
            publish_duration: Histograms::new(SPANS),
            publish_conflicts: Counter::new(),
            publish_duplicates: Counter::new(),
            unanswered: Counters::new(),
            ledger_asked: Counters::new(),
            overloaded: Counter::new(),
            unauthorized: Counter::new(),
            credentials_heard_at: Gauge::new(),
            clock_ahead: Gauge::new(),
        }
    }

    /// A request of this route was answered.
    pub(crate) fn answered(&self, route: &str, method: &Method, status: u16, took: Duration) {
        self.requests.add_one([route.to_owned(), word_of(method).to_owned(), status.to_string()]);
        self.request_duration.observe([route.to_owned()], took.as_secs_f64());
    }

    /// Waits for an answer, which counts as held from a second on.
    pub(crate) async fn counting_held<T>(&'static self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        if let Ok(answer) = tokio::time::timeout(HELD_AFTER, &mut answer).await {
            return answer;
        }
        let _held = self.held.count();
        answer.await
    }
}

/// Clients choose the method: all that rosterd does not serve are one.
fn word_of(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// What is found out for the page.
pub(crate) struct Found<'a> {
    pub(crate) identity: &'a ProcessIdentity,
    pub(crate) connection: &'a Connection,
    pub(crate) log: Option<LogStatus>,
    /// Commands that wait to be let into the log, by lane.
    pub(crate) waiting: [(Lane, u64); 3],
    pub(crate) credentials: u64,
    /// How old the last sign of life of their watch is, in seconds.
    pub(crate) credentials_age: Option<f64>,
}

/// The page of all metrics.
pub(crate) fn page(found: &Found<'_>) -> String {
    let mut page = Page::default();
    of_requests(&mut page);
    of_commands(&mut page, found);
    page.counter("rosterd_unauthorized_total", "Requests without a valid token.", &METRICS.unauthorized);
    page.gauge("rosterd_credentials", "Credentials that are known.", Some(found.credentials));
    let help = "How long ago the watch of the credentials showed a sign of life.";
    page.gauge("rosterd_credentials_age_seconds", help, found.credentials_age);
    let ahead = Duration::from_millis(METRICS.clock_ahead.get().unsigned_abs()).as_secs_f64();
    page.gauge("rosterd_clock_skew_seconds", "By how much this clock and the broker's differ.", Some(ahead));
    page.log(found.log.as_ref());
    page.broker(found.connection.is_up(), &RECONNECTS, &REFUSALS);
    page.process(found.identity.version, found.identity.started_at);
    page.into_text()
}

fn of_requests(page: &mut Page) {
    let names = ["route", "method", "code"];
    page.counters("rosterd_http_requests_total", "Requests that were answered.", names, &METRICS.requests);
    let help = "How long answering took.";
    page.histograms("rosterd_http_request_duration_seconds", help, ["route"], &METRICS.request_duration);
    page.gauge("rosterd_http_in_flight", "Requests that are being answered.", Some(METRICS.in_flight.get()));
    let help = "Requests that have waited for more than a second.";
    page.gauge("rosterd_held_requests", help, Some(METRICS.held.get()));
    page.counter("rosterd_overloaded_total", "Requests for which too many waited.", &METRICS.overloaded);
}

fn of_commands(page: &mut Page, found: &Found<'_>) {
    let help = "How long the broker took to acknowledge.";
    page.histograms("rosterd_publish_duration_seconds", help, [], &METRICS.publish_duration);
    let help = "Publishes that named another predecessor than the log had.";
    page.counter("rosterd_publish_conflicts_total", help, &METRICS.publish_conflicts);
    let help = "Publishes that the log had already.";
    page.counter("rosterd_publish_duplicates_total", help, &METRICS.publish_duplicates);
    let waiting = found.waiting.iter().map(|(lane, count)| ([lane.as_str()], *count));
    page.gauges("rosterd_admission_waiting", "Commands that wait to be let into the log.", ["lane"], waiting);
    METRICS.unanswered.add(["in_log"], 0);
    METRICS.unanswered.add(["unknown"], 0);
    let help = "Changes whose outcome was not known in time, by what is known.";
    page.counters("rosterd_unanswered_total", help, ["known"], &METRICS.unanswered);
    let help = "Questions to a worker for an outcome that was not heard, by what it found.";
    page.counters("rosterd_ledger_asked_total", help, ["found"], &METRICS.ledger_asked);
}
