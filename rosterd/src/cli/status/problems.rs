//! What is wrong with a system, in words, the worst first.

use protocol::message::lane::Lane;
use protocol::message::status::{LogStatus, ProcessState};

use super::super::statuses::Statuses;

/// From how many seconds on the oldest message of a lane has waited for long; the bulk lane may take its time.
const LONG: [(Lane, u64); 2] = [(Lane::Urgent, 5), (Lane::Interactive, 20)];
/// From which share on the log is too full, in percent: bulk is not let in any more.
const FULL: u64 = 70;
/// A clock that is further ahead or behind is wrong, in milliseconds.
const MAX_CLOCK_SKEW: u64 = 1_000;

/// All that is wrong.
pub(super) fn problems(statuses: &Statuses) -> Vec<String> {
    let mut problems = Vec::new();
    of_processes(statuses, &mut problems);
    of_database(statuses, &mut problems);
    match statuses.log() {
        Some(log) => of_log(log, &mut problems),
        None => problems.push("no process hears of the log: is the broker there?".to_owned()),
    }
    of_lanes(statuses, &mut problems);
    problems
}

fn of_processes(statuses: &Statuses, problems: &mut Vec<String>) {
    if statuses.workers().next().is_none() {
        problems.push("no worker answers".to_owned());
    } else if !statuses.workers().any(|(status, _)| status.state == ProcessState::Ready) {
        problems.push("no worker is ready".to_owned());
    }
    if statuses.ingresses().next().is_none() {
        problems.push("no ingress answers".to_owned());
    } else if !statuses.ingresses().any(|(status, _)| status.state == ProcessState::Ready) {
        problems.push("no ingress is ready".to_owned());
    }
    let unwatched = statuses.ingresses().filter(|(_, own)| !own.credentials_watched).count();
    if unwatched > 0 {
        problems.push(format!("{unwatched} ingresses do not follow changes of credentials"));
    }
    let skewed = statuses.ingresses().filter(|(_, own)| own.clock_ahead_ms.unsigned_abs() > MAX_CLOCK_SKEW).count();
    if skewed > 0 {
        problems.push(format!("the clocks of {skewed} ingresses differ from the broker's"));
    }
}

fn of_database(statuses: &Statuses, problems: &mut Vec<String>) {
    let workers = statuses.workers().count();
    let unanswered = statuses.workers().filter(|(_, own)| own.database.answered.is_none()).count();
    if unanswered > 0 {
        problems.push(format!("the database does not answer {unanswered} of {workers} workers"));
    }
    let Some(answer) = statuses.database() else { return };
    if answer.behind_log > 0 {
        problems
            .push(format!("the database has lost what the log had settled, {} numbers at least", answer.behind_log));
    }
    if let Some(missing) = answer.balance.map(|short| short.missing).filter(|missing| *missing > 0) {
        problems.push(format!("{missing} messages are missing: `rosterd audit balance` names them"));
    }
    if !answer.schema_is_current {
        problems.push("the schema is not the one that workers need".to_owned());
    }
    if !answer.settings_hold {
        problems.push("the database's sessions have lost their time limits".to_owned());
    }
}

fn of_log(log: &LogStatus, problems: &mut Vec<String>) {
    if log.replicas_actual < log.replicas_wanted {
        problems.push(format!("{} of {} servers keep the log", log.replicas_actual, log.replicas_wanted));
    }
    if let Some(most) = log.max_bytes.filter(|most| log.bytes.saturating_mul(100) > most.saturating_mul(FULL)) {
        problems.push(format!("the log has {} of {most} bytes", log.bytes));
    }
}

fn of_lanes(statuses: &Statuses, problems: &mut Vec<String>) {
    for lane in statuses.log().into_iter().flat_map(|log| &log.lanes) {
        if let Some(pause) = &lane.paused {
            problems.push(format!("lane {} is paused ({})", lane.lane, pause.reason));
            continue;
        }
        let limit = LONG.iter().find(|(long, _)| *long == lane.lane).map(|(_, seconds)| seconds * 1000);
        if let (Some(age), Some(limit)) = (lane.oldest_ms, limit)
            && age > limit
        {
            problems.push(format!("lane {} has waited for {} s", lane.lane, age / 1000));
        }
    }
}
