//! Who used how much of the processor, from `/proc`; empty on systems without it.

use std::collections::BTreeMap;

use rosterd::dev::processes::{ProcessTable, Role};
use serde::Serialize;

/// The unit of `/proc/<pid>/stat`, `USER_HZ`: 100 a second wherever Linux runs.
const MS_A_TICK: f64 = 10.0;

/// Whose work it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Who {
    /// This process, which plays the provider.
    Client,
    /// All ingresses.
    Ingress,
    /// nats-server.
    Broker,
    /// The worker.
    Worker,
    /// All processes of PostgreSQL.
    Database,
}

impl Who {
    /// In the order of a request's way.
    pub(super) const ALL: [Self; 5] = [Self::Client, Self::Ingress, Self::Broker, Self::Worker, Self::Database];
}

/// Time used until now, in ticks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Used(BTreeMap<Who, u32>);

impl Used {
    /// Until now, by this process, what is on the board, and the database's processes.
    pub(super) fn now(processes: &ProcessTable, database: &[u32]) -> Self {
        let parts = processes.processes().into_iter().map(|process| (who(process.role), process.pid));
        let database = database.iter().map(|pid| (Who::Database, *pid));
        let mut used = BTreeMap::new();
        for (who, pid) in parts.chain(database).chain([(Who::Client, std::process::id())]) {
            *used.entry(who).or_default() += ticks_of(pid);
        }
        Self(used)
    }

    /// Milliseconds for each of so many operations since `earlier`.
    pub(super) fn since(&self, earlier: &Self, operations: u32) -> BTreeMap<Who, f64> {
        let before = |who| earlier.0.get(who).copied().unwrap_or_default();
        let each = |ticks: u32| f64::from(ticks) * MS_A_TICK / f64::from(operations.max(1));
        let rounded = |ms: f64| (ms * 1000.0).round() / 1000.0;
        self.0.iter().map(|(who, ticks)| (*who, rounded(each(ticks.saturating_sub(before(who)))))).collect()
    }
}

const fn who(role: Role) -> Who {
    match role {
        Role::Broker => Who::Broker,
        Role::Worker => Who::Worker,
        Role::Ingress => Who::Ingress,
    }
}

/// What one process has used until now, in ticks; nothing if that is not known.
pub(super) fn ticks_of(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ticks(&stat).unwrap_or_default()
}

/// User and system time of a process, the fields 14 and 15. The second field, its name, may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11).map(|field| field.parse::<u32>().ok());
    Some(fields.next()?? + fields.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_behind_a_name_with_spaces_and_brackets() {
        let stat = "4711 (a (b) c) S 1 4711 4711 0 -1 4194560 1000 0 0 0 250 50 7 8 20 0 5 0 100 1 1";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("4711 (a"), None);
    }

    #[test]
    fn time_is_counted_from_the_earlier_moment_on() {
        let earlier = Used(BTreeMap::from([(Who::Worker, 100)]));
        let later = Used(BTreeMap::from([(Who::Worker, 150), (Who::Broker, 5)]));
        let each: Vec<String> = later.since(&earlier, 1000).into_iter().map(|one| format!("{one:?}")).collect();
        assert_eq!(each, ["(Broker, 0.05)", "(Worker, 0.5)"]);
    }
}
