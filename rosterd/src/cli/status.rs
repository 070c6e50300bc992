//! `rosterd status`: one sentence first, then what waits, and who works.

mod problems;

use protocol::message::lane::Lane;
use protocol::message::status::{LanePause, Status};
use serde_json::{Value, json};

use self::problems::problems;
use super::connection::Connection;
use super::output::{print, table};
use super::statuses::Statuses;

/// Settings of `rosterd status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rosterd status
  rosterd status -o json | jq '.lanes[] | {lane, in_log, oldest_seconds}'

Exits with 0 if all is well, 1 if not, 4 if no process answers.
With -o json: {healthy, sentence, problems, lanes, workers, ingresses, broker, database, dead_letters, balance}.")]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
}

/// A lane, as it is shown.
pub(super) struct LaneRow {
    pub(super) lane: Lane,
    pub(super) waiting: u64,
    pub(super) pending: u64,
    pub(super) ack_pending: u64,
    pub(super) oldest_ms: Option<u64>,
    pub(super) per_second: f64,
    pub(super) paused: Option<LanePause>,
}

/// Whether all is well.
pub(super) async fn run(Args { connection }: Args) -> anyhow::Result<bool> {
    let statuses = Statuses::gather(&connection.open().await?).await?;
    let problems = problems(&statuses);
    let shown = shown(&statuses, &problems);
    print(connection.output, &shown, || page(&statuses, &problems))?;
    Ok(problems.is_empty())
}

/// The lanes, in the order in which they are served.
pub(super) fn lanes(statuses: &Statuses) -> Vec<LaneRow> {
    let rows = Lane::ALL.into_iter().map(|lane| {
        let known = statuses.lane(lane);
        LaneRow {
            lane,
            waiting: statuses.waiting(lane),
            pending: known.map_or(0, |known| known.pending),
            ack_pending: known.map_or(0, |known| known.ack_pending),
            oldest_ms: known.and_then(|known| known.oldest_ms),
            per_second: statuses.per_second(lane),
            paused: known.and_then(|known| known.paused.clone()),
        }
    });
    rows.collect()
}

impl LaneRow {
    fn in_log(&self) -> u64 {
        self.pending + self.ack_pending
    }

    fn in_all(&self) -> u64 {
        self.waiting + self.in_log()
    }

    /// How long the lane takes to be empty at the present rate; none while nothing is settled.
    fn drain_seconds(&self) -> Option<u64> {
        let waits = f64::from(u32::try_from(self.in_all()).unwrap_or(u32::MAX));
        let seconds = (waits / self.per_second).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, and not negative")]
        seconds.is_finite().then_some(seconds as u64)
    }

    /// The lane for machines.
    pub(super) fn shown(&self) -> Value {
        let paused = self.paused.as_ref();
        json!({
            "lane": self.lane,
            "waiting_in_ingresses": self.waiting,
            "in_log": self.in_log(),
            "pending": self.pending,
            "ack_pending": self.ack_pending,
            "oldest_seconds": self.oldest_ms.map(seconds),
            "per_second": rounded(self.per_second),
            "drain_seconds": self.drain_seconds(),
            "paused": paused.map(|pause| json!({ "reason": pause.reason, "since": pause.since.to_string() })),
        })
    }
}

/// The lanes for people.
pub(super) fn table_of_lanes(lanes: &[LaneRow]) -> String {
    let dash = || "-".to_owned();
    let rows = lanes.iter().map(|lane| {
        let oldest = lane.oldest_ms.map_or_else(dash, |age| format!("{:.1} s", seconds(age)));
        let drain = lane.drain_seconds().map_or_else(dash, |seconds| format!("{seconds} s"));
        let paused = lane.paused.as_ref().map_or_else(String::new, |pause| format!("paused: {}", pause.reason));
        let [waiting, pending, delivered] =
            [lane.waiting, lane.pending, lane.ack_pending].map(|count| count.to_string());
        [lane.lane.to_string(), waiting, pending, delivered, oldest, format!("{:.1}", lane.per_second), drain, paused]
    });
    table(["LANE", "IN INGRESSES", "IN LOG", "DELIVERED", "OLDEST", "RATE/S", "DRAINED IN", ""], rows)
}

/// The workers for people.
pub(super) fn table_of_workers(statuses: &Statuses) -> String {
    let rows = statuses.workers().map(|(status, own)| {
        let [in_flight, held, parked] =
            [own.in_flight + own.queued, own.held, own.parked].map(|count| count.to_string());
        let rate: f64 = own.settled.iter().map(|lane| lane.per_second).sum();
        let busy = format!("{:.0} %", own.busy * 100.0);
        [
            status.instance.clone(),
            status.host.clone(),
            status.version.clone(),
            status.state.to_string(),
            in_flight,
            held,
            parked,
            busy,
            format!("{rate:.1}"),
        ]
    });
    table(["WORKER", "HOST", "VERSION", "STATE", "IN FLIGHT", "HELD", "PARKED", "BUSY", "RATE/S"], rows)
}

/// The workers for machines.
pub(super) fn shown_workers(statuses: &Statuses) -> Vec<Value> {
    let workers = statuses.workers().map(|(status, own)| {
        let settled = own
            .settled
            .iter()
            .map(|lane| json!({ "lane": lane.lane, "total": lane.total, "per_second": rounded(lane.per_second) }));
        let own = json!({
            "in_flight": own.in_flight, "queued": own.queued, "held": own.held, "parked": own.parked,
            "batches": own.batches, "busy": rounded(own.busy), "envelope": own.envelope,
            "settled": settled.collect::<Vec<_>>(), "database_answers": own.database.answered.is_some(),
        });
        with_process(status, own)
    });
    workers.collect()
}

fn shown_ingresses(statuses: &Statuses) -> Vec<Value> {
    let ingresses = statuses.ingresses().map(|(status, own)| {
        let waiting: u64 = own.lanes.iter().map(|lane| lane.waiting).sum();
        let own = json!({
            "in_flight": own.in_flight, "waiting": waiting, "credentials": own.credentials,
            "credentials_watched": own.credentials_watched, "clock_ahead_ms": own.clock_ahead_ms,
        });
        with_process(status, own)
    });
    ingresses.collect()
}

fn with_process(status: &Status, mut own: Value) -> Value {
    let Status { instance, host, version, state, started_at, .. } = status;
    let process = json!({
        "instance": instance, "host": host, "version": version, "state": state, "started_at": started_at.to_string(),
    });
    if let (Some(own), Value::Object(process)) = (own.as_object_mut(), process) {
        own.extend(process);
    }
    own
}

fn shown(statuses: &Statuses, problems: &[String]) -> Value {
    let lanes: Vec<Value> = lanes(statuses).iter().map(LaneRow::shown).collect();
    let broker = statuses.log().map(|log| {
        json!({
            "version": log.broker, "messages": log.messages, "bytes": log.bytes, "max_bytes": log.max_bytes,
            "replicas_wanted": log.replicas_wanted, "replicas_actual": log.replicas_actual,
        })
    });
    let kind = statuses.workers().next().map(|(_, own)| own.database.kind.clone());
    let answer = statuses.database();
    let database = json!({
        "up": answer.is_some(), "kind": kind,
        "milliseconds": answer.map(|answer| answer.milliseconds),
        "schema_is_current": answer.map(|answer| answer.schema_is_current),
        "settings_ok": answer.map(|answer| answer.settings_hold),
        "epoch": answer.map(|answer| answer.epoch),
        "behind_log": answer.map(|answer| answer.behind_log),
    });
    let balance = answer.and_then(|answer| answer.balance);
    let balance = balance.map(|short| json!({ "missing": short.missing, "drawn_at": short.drawn_at.to_string() }));
    json!({
        "healthy": problems.is_empty(),
        "sentence": sentence(statuses, problems),
        "problems": problems,
        "lanes": lanes,
        "workers": shown_workers(statuses),
        "ingresses": shown_ingresses(statuses),
        "broker": broker,
        "database": database,
        "dead_letters": answer.map(|answer| answer.dead_letters),
        "balance": balance,
    })
}

fn page(statuses: &Statuses, problems: &[String]) -> String {
    let mut page = vec![sentence(statuses, problems), String::new(), table_of_lanes(&lanes(statuses)), String::new()];
    if statuses.workers().next().is_some() {
        page.extend([table_of_workers(statuses), String::new()]);
    }
    let in_flight: u64 = statuses.ingresses().map(|(_, own)| own.in_flight).sum();
    page.push(format!("ingresses    {}, {in_flight} requests in flight", statuses.ingresses().count()));
    page.push(match statuses.log() {
        Some(log) => {
            let room = log.max_bytes.map_or_else(String::new, |most| format!(" of {} MiB", most / MIB));
            format!(
                "broker       {}, log {} MiB{room}, replicas {} of {}",
                log.broker,
                log.bytes / MIB,
                log.replicas_actual,
                log.replicas_wanted
            )
        }
        None => "broker       says nothing of the log".to_owned(),
    });
    page.push(match statuses.database() {
        Some(answer) => {
            let missing =
                answer.balance.map_or_else(|| "not drawn yet".to_owned(), |short| format!("{} missing", short.missing));
            format!(
                "database     answers in {} ms; {} dead letters; balance: {missing}",
                answer.milliseconds, answer.dead_letters
            )
        }
        None => "database     no worker has an answer of it".to_owned(),
    });
    page.join("\n")
}

const MIB: u64 = 1024 * 1024;

fn sentence(statuses: &Statuses, problems: &[String]) -> String {
    let lanes = lanes(statuses);
    let waiting: u64 = lanes.iter().map(|lane| lane.waiting).sum();
    let in_log: u64 = lanes.iter().map(LaneRow::in_log).sum();
    let oldest = lanes.iter().filter_map(|lane| lane.oldest_ms).max();
    let waits = match (waiting + in_log, oldest) {
        (0, _) => "nothing waits".to_owned(),
        (all, None) => format!("{all} changes wait ({waiting} in ingresses, {in_log} in the log)"),
        (all, Some(age)) => {
            format!(
                "{all} changes wait ({waiting} in ingresses, {in_log} in the log), the oldest for {:.0} s",
                seconds(age)
            )
        }
    };
    let (ingresses, workers) = (statuses.ingresses().count(), statuses.workers().count());
    if problems.is_empty() {
        let (of_ingress, of_worker) = (if ingresses == 1 { "" } else { "es" }, if workers == 1 { "" } else { "s" });
        format!("healthy: {ingresses} ingress{of_ingress} and {workers} worker{of_worker}, {waits}")
    } else {
        format!("degraded: {}; {waits}", problems.join("; "))
    }
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
