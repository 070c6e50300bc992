//! Keeps parts running: one that dies is started again within a second.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::dev::component::{Component, Running};
use crate::dev::processes::ProcessTable;

/// Between a death and the next start, and between starts that fail.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a part may take to finish what it has begun.
const GRACE: Duration = Duration::from_secs(20);

/// A group of parts that is stopped together.
#[derive(Debug, Default)]
pub(crate) struct Supervisor {
    tasks: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Supervisor {
    /// Keeps a part that runs running.
    pub(crate) fn keep(&mut self, part: Component, running: Running, processes: ProcessTable) {
        let stop = self.stop.clone();
        self.tasks.push(tokio::spawn(supervise(part, running, processes, stop)));
    }

    /// Asks all parts to end, and waits for that.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for task in &mut self.tasks {
            if let Err(failure) = task.await {
                warn!(%failure, "a supervising task failed");
            }
        }
    }
}

impl Drop for Supervisor {
    /// What was not stopped in order ends at once: with its task goes the guard of a part.
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn supervise(mut part: Component, mut running: Running, processes: ProcessTable, stop: CancellationToken) {
    loop {
        let code = tokio::select! {
            code = running.guarded.wait() => code,
            () = stop.cancelled() => {
                running.guarded.terminate(GRACE).await;
                return;
            }
        };
        let name = part.name();
        note(processes.remove(&name));
        info!(name, code, "{name} has ended, starting it again");
        crate::say(&format!("{name} {}, starting it again", ending(code, &part.log())));
        let Some(next) = start_again(&mut part, &stop).await else { return };
        note(processes.note(next.process.clone()));
        running = next;
    }
}

/// How a part ended. Its log says more, unless it was killed.
fn ending(code: Option<i32>, log: &Path) -> String {
    let log = log.display();
    match code {
        Some(137) => "was killed (SIGKILL)".to_owned(),
        Some(143) => "was ended (SIGTERM)".to_owned(),
        Some(code @ 129..=192) => format!("was ended by signal {}; log: {log}", code - 128),
        Some(code) => format!("has ended with exit code {code}; log: {log}"),
        None => format!("has ended; log: {log}"),
    }
}

async fn start_again(part: &mut Component, stop: &CancellationToken) -> Option<Running> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(PAUSE) => {}
        }
        // Dropping a half-started part ends it: its guard's input closes.
        let started = tokio::select! {
            () = stop.cancelled() => return None,
            started = part.start() => started,
        };
        match started {
            Ok(running) => return Some(running),
            Err(failure) => crate::say(&format!("{} did not start, trying again: {failure:#}", part.name())),
        }
    }
}

fn note(written: std::io::Result<()>) {
    if let Err(failure) = written {
        crate::say(&format!("the ready file was not written: {failure}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_and_a_kill_do_not_look_alike() {
        let ending = |code| ending(code, Path::new("/data/logs/worker-1.log"));
        assert_eq!(ending(Some(137)), "was killed (SIGKILL)");
        assert_eq!(ending(Some(134)), "was ended by signal 6; log: /data/logs/worker-1.log");
        assert_eq!(ending(Some(0)), "has ended with exit code 0; log: /data/logs/worker-1.log");
    }
}
