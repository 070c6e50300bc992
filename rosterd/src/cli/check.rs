//! `rosterd check`: whether a system is set up as it has to be.

use std::collections::BTreeSet;

use protocol::message::status::ProcessState;
use serde::Serialize;
use serde_json::json;

use super::connection::Connection;
use super::management::Management;
use super::output::{print, table};
use super::statuses::Statuses;

/// The oldest broker that stores several commands at once.
const MIN_BROKER: (u32, u32) = (2, 14);
/// The largest message that a group may need, in bytes.
const MIN_MAX_PAYLOAD: usize = 8 * 1000 * 1000;
/// A clock that is further ahead or behind is wrong, in milliseconds.
const MAX_CLOCK_SKEW: u64 = 1_000;

/// Settings of `rosterd check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  rosterd check
  rosterd check -o json | jq '.checks[] | select(.result != \"ok\")'

Exits with 0 if nothing is wrong, 1 if something is, 4 if no process answers.
With -o json: {right, checks: [{what, result: ok, warning or wrong, said}]}.")]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
}

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    result: Verdict,
    said: String,
}

impl Check {
    /// Right, or wrong with what to do.
    fn new(what: &'static str, is_right: bool, right: impl Into<String>, wrong: impl Into<String>) -> Self {
        let (result, said) = if is_right { (Verdict::Ok, right.into()) } else { (Verdict::Wrong, wrong.into()) };
        Self { what, result, said }
    }

    /// The same where it is only a warning.
    fn warning(self) -> Self {
        let result = if self.result == Verdict::Wrong { Verdict::Warning } else { self.result };
        Self { result, ..self }
    }
}

/// Whether nothing is wrong.
pub(super) async fn run(Args { connection }: Args) -> anyhow::Result<bool> {
    let management = connection.open().await?;
    let statuses = Statuses::gather(&management).await?;
    let mut checks = of_broker(&management);
    checks.extend(of_log(&statuses));
    checks.extend(of_database(&statuses));
    checks.extend(of_processes(&statuses));
    let right = checks.iter().all(|check| check.result != Verdict::Wrong);
    print(connection.output, &json!({ "right": right, "checks": checks }), || table_of(&checks))?;
    Ok(right)
}

fn table_of(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| {
        let result = match check.result {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Wrong => "WRONG",
        };
        [result.to_owned(), check.what.to_owned(), check.said.clone()]
    });
    table(["RESULT", "WHAT", ""], rows)
}

fn of_broker(management: &Management) -> Vec<Check> {
    let info = management.client().server_info();
    let mut numbers = info.version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let old = format!("{} is too old: install nats-server 2.14 or later", info.version);
    let small = format!("{} bytes: set max_payload: 8MB in nats-server, or large groups get 413", info.max_payload);
    vec![
        Check::new("broker", version >= MIN_BROKER, format!("nats-server {}", info.version), old),
        Check::new(
            "largest message",
            info.max_payload >= MIN_MAX_PAYLOAD,
            format!("{} bytes", info.max_payload),
            small,
        )
        .warning(),
        Check {
            what: "log sync",
            result: Verdict::Warning,
            said: "cannot be seen from here: nats-server needs `sync_interval: always`".to_owned(),
        },
    ]
}

fn of_log(statuses: &Statuses) -> Vec<Check> {
    let Some(log) = statuses.log() else {
        let missing = "the stream or one of its three consumers is missing, or may not be asked for: start a worker, and \
                       permit $JS.API.STREAM.INFO, CONSUMER.INFO and STREAM.MSG.GET";
        return vec![Check::new("log", false, "", missing)];
    };
    let copies = format!("{} of {} servers keep it", log.replicas_actual, log.replicas_wanted);
    let paused: Vec<String> =
        log.lanes.iter().filter(|lane| lane.paused.is_some()).map(|lane| lane.lane.to_string()).collect();
    let (limit, lanes) = (log.max_bytes.map(|most| format!("at most {most} bytes")), paused.join(", "));
    vec![
        Check::new("log", limit.is_some(), limit.clone().unwrap_or_default(), "it has no limit: it can fill the disk"),
        Check::new("replicas", log.replicas_actual >= log.replicas_wanted, copies.clone(), copies),
        Check::new(
            "lanes",
            paused.is_empty(),
            "none is paused",
            format!("paused: {lanes}; `rosterd lane resume` ends it"),
        )
        .warning(),
    ]
}

fn of_database(statuses: &Statuses) -> Vec<Check> {
    let Some(answer) = statuses.database() else {
        return vec![Check::new("database", false, "", "no worker has an answer of it: look at the workers' logs")];
    };
    let lost = format!("the log has settled {} numbers more than it knows: was it restored?", answer.behind_log);
    vec![
        Check::new("database", true, format!("answers in {} ms", answer.milliseconds), ""),
        Check::new("schema", answer.schema_is_current, "current", "run `rosterd migrate up`"),
        Check::new(
            "database sessions",
            answer.settings_hold,
            "have their time limits",
            "a pooler drops `options`: let it pass statement_timeout and idle_in_transaction_session_timeout, or set them \
             with ALTER ROLE",
        ),
        Check::new("settled", answer.behind_log == 0, "the database knows all that the log has settled", lost),
    ]
}

fn of_processes(statuses: &Statuses) -> Vec<Check> {
    let ready = |state: &ProcessState| *state == ProcessState::Ready;
    let ingresses = statuses.ingresses().filter(|(status, _)| ready(&status.state)).count();
    let workers = statuses.workers().filter(|(status, _)| ready(&status.state)).count();
    let versions: BTreeSet<&str> = statuses.0.iter().map(|status| status.version.as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let worst = statuses.ingresses().map(|(_, own)| own.clock_ahead_ms.unsigned_abs()).max().unwrap_or(0);
    let (clocks, names) = (format!("{worst} ms from the broker's at most"), versions.join(", "));
    let watched = statuses.ingresses().all(|(_, own)| own.credentials_watched);
    vec![
        Check::new("ingresses", ingresses > 0, format!("{ingresses} ready"), "none is ready: start one"),
        Check::new("workers", workers > 0, format!("{workers} ready"), "none is ready: start one"),
        Check::new("versions", versions.len() == 1, names.clone(), format!("{names}: finish the deployment")).warning(),
        Check::new("clocks", worst <= MAX_CLOCK_SKEW, clocks.clone(), format!("{clocks}: set them by NTP")),
        Check::new("credentials", watched, "changes are followed", "an ingress does not follow them: look at its log"),
    ]
}
