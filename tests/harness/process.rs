//! One process under the guard.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use rosterd::servers::guard::{Guarded, Launch};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{DEADLINE, ROSTERD};

/// A process; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    guarded: Guarded,
}

impl Process {
    /// Starts a subcommand of rosterd; standard error goes to `log`.
    pub(crate) async fn start(arguments: &[&str], environment: &[(&str, &str)], log: &Path) -> Self {
        let launch = Launch {
            guard: ROSTERD.into(),
            command: std::iter::once(ROSTERD).chain(arguments.iter().copied()).map(OsString::from).collect(),
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect(),
            directory: None,
            log: log.to_owned(),
            user: None,
            remove: None,
        };
        Self { guarded: Guarded::start(launch).await.unwrap() }
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.guarded.pid()
    }

    /// The first line of standard output that begins like this.
    pub(crate) async fn line(&mut self, beginning: &str) -> Option<String> {
        while let Some(line) = self.guarded.line(DEADLINE).await {
            if line.starts_with(beginning) {
                return Some(line);
            }
        }
        None
    }

    /// Waits until it ends by itself; its exit status, or 128 and the signal.
    pub(crate) async fn end(&mut self) -> Option<i32> {
        tokio::time::timeout(DEADLINE, self.guarded.wait()).await.expect("it did not end")
    }

    /// SIGTERM; the exit status, none if it had to be killed.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        self.guarded.terminate(DEADLINE).await
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.guarded.kill().await;
    }
}

/// Sends a signal to a process, which may have ended a moment ago.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Nothing to signal is nothing to do.
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process of this id runs.
pub(crate) fn is_running(pid: u32) -> bool {
    // A zombie that waits for its parent runs no longer.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    !zombie && pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Waits until processes that were told to end have ended.
pub(crate) fn wait_for_end(pids: &[u32]) {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while pids.iter().any(|pid| is_running(*pid)) && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    let left: Vec<&u32> = pids.iter().filter(|pid| is_running(**pid)).collect();
    assert!(left.is_empty() || std::thread::panicking(), "still running: {left:?}");
}
