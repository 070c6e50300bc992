//! Keeps parts running: one that dies is started again within a second.

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
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(failure) = task.await {
                warn!(%failure, "a supervising task failed");
            }
        }
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
        crate::say(&format!("{name} has ended, starting it again"));
        let Some(next) = start_again(&mut part, &stop).await else { return };
        note(processes.note(next.process.clone()));
        running = next;
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
