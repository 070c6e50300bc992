//! The guard: a small process that ends its child when its own standard input closes, so that nothing is left behind
//! when the process that started it is gone, however that happened.
//!
//! `rosterd __guard [--uid N --gid N] [--remove DIR] -- CMD…` starts CMD in a process group of its own, says its pid in
//! one line on standard output (which CMD shares), and ends with its exit code. DIR is removed when standard input closes.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// How the guard's own line on standard output begins.
const PID_LINE: &str = "rosterd-guard pid ";
/// How long starting a process may take.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// How many lines of the child's standard output are kept for who reads them.
const LINES_KEPT: usize = 64;

/// Settings of the user who starts a system. Its parts are given their own, and must not fall back on these.
const NOT_INHERITED: [&str; 7] = [
    "ROSTERD_NATS_URL",
    "ROSTERD_NATS_URL_FILE",
    "ROSTERD_DATABASE_URL",
    "ROSTERD_DATABASE_URL_FILE",
    "ROSTERD_NAMESPACE",
    "ROSTERD_PUBLIC_URL",
    "ROSTERD_LISTEN",
];

/// What to start under the guard.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The rosterd binary.
    pub guard: PathBuf,
    /// The program and its arguments. No secrets: everybody can read them.
    pub command: Vec<OsString>,
    /// Environment of the child, beside what is inherited. Secrets go here.
    pub environment: Vec<(String, OsString)>,
    /// Where the child runs.
    pub directory: Option<PathBuf>,
    /// The file to which the child's standard error is appended.
    pub log: PathBuf,
    /// Whose rights the child has: uid and gid. Only root can give them.
    pub user: Option<(u32, u32)>,
    /// A folder that is of no use when the process that started the child is gone.
    pub remove: Option<PathBuf>,
}

/// Why a process was not started.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Its log cannot be written.
    #[error("opening the log {path}")]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The guard itself cannot be started.
    #[error("starting {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The guard ended, or said nothing in time.
    #[error("{program} did not start; the end of its log:\n{log}")]
    Silent {
        /// The program.
        program: String,
        /// The last lines of its log.
        log: String,
    },
}

/// A process under a guard. Dropping this ends it.
#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    /// The guard ends its child when this closes. Kept apart from `guard`, whose `wait` would close it.
    _lifeline: Option<ChildStdin>,
    pid: u32,
    lines: mpsc::Receiver<String>,
}

impl Guarded {
    /// Starts a process; returns when it runs.
    pub async fn start(launch: Launch) -> Result<Self, GuardError> {
        let program = launch.command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
        let log_error = |source| GuardError::Log { path: launch.log.clone(), source };
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&launch.log).map_err(log_error)?;
        let mut command = tokio::process::Command::new(&launch.guard);
        command.arg("__guard");
        if let Some((uid, gid)) = launch.user {
            command.args(["--uid", &uid.to_string(), "--gid", &gid.to_string()]);
        }
        if let Some(folder) = &launch.remove {
            command.arg("--remove").arg(folder);
        }
        for inherited in NOT_INHERITED {
            command.env_remove(inherited);
        }
        command.arg("--").args(&launch.command).envs(launch.environment).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(directory) = &launch.directory {
            command.current_dir(directory);
        }
        // A group of its own: Ctrl-C in a terminal reaches who supervises, who then stops its processes in order.
        let started = command.stderr(log).process_group(0).kill_on_drop(false).spawn();
        let mut guard = started.map_err(|source| GuardError::Start { program: program.clone(), source })?;
        let lifeline = guard.stdin.take();
        let (pid, lines) = read_lines(guard.stdout.take());
        match timeout(START_TIMEOUT, pid).await {
            Ok(Ok(pid)) => Ok(Self { guard, _lifeline: lifeline, pid, lines }),
            Ok(Err(_)) | Err(_) => Err(GuardError::Silent { program, log: last_lines(&launch.log, 10) }),
        }
    }

    /// The child's process id, not the guard's.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The next line of the child's standard output; none if it says nothing in time or has ended.
    pub async fn line(&mut self, within: Duration) -> Option<String> {
        timeout(within, self.lines.recv()).await.ok().flatten()
    }

    /// Waits until the child has ended; its exit code, or 128 and the signal.
    pub async fn wait(&mut self) -> Option<i32> {
        self.guard.wait().await.ok().and_then(|status| status.code())
    }

    /// Whether the child has ended.
    pub fn has_exited(&mut self) -> bool {
        self.guard.try_wait().is_ok_and(|status| status.is_some())
    }

    /// Asks the child to end (SIGTERM), and ends it after `grace`.
    pub async fn terminate(&mut self, grace: Duration) -> Option<i32> {
        self.signal(Signal::TERM);
        if let Ok(code) = timeout(grace, self.wait()).await {
            return code;
        }
        self.kill().await;
        None
    }

    /// Ends the child at once (SIGKILL), and waits for that.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait().await;
    }

    fn signal(&mut self, signal: Signal) {
        if self.has_exited() {
            return;
        }
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            // It may have ended a moment ago: then there is nothing to signal.
            let _ = kill_process(pid, signal);
        }
    }
}

/// The last lines of a log, for an error that shows what went wrong.
pub fn last_lines(log: &Path, lines: usize) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    last_of(&String::from_utf8_lossy(&bytes), lines)
}

/// The last lines of a text, indented.
pub(super) fn last_of(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    let last = all.iter().skip(all.len().saturating_sub(lines));
    last.flat_map(|line| ["  ", line, "\n"]).collect()
}

/// Reads the guard's line, and keeps the child's.
fn read_lines(output: Option<ChildStdout>) -> (oneshot::Receiver<u32>, mpsc::Receiver<String>) {
    let (pid_sender, pid) = oneshot::channel();
    let (line_sender, lines) = mpsc::channel(LINES_KEPT);
    tokio::spawn(async move {
        let Some(output) = output else { return };
        let (mut output, mut pid_sender) = (BufReader::new(output).lines(), Some(pid_sender));
        while let Ok(Some(line)) = output.next_line().await {
            match line.strip_prefix(PID_LINE).and_then(|pid| pid.parse().ok()) {
                Some(pid) => drop(pid_sender.take().map(|sender| sender.send(pid))),
                // No reader is left: the child must not block on it.
                None => drop(line_sender.try_send(line)),
            }
        }
    });
    (pid, lines)
}

/// Runs the guard itself: the hidden subcommand `__guard`.
pub fn main(command: &[OsString], user: Option<(u32, u32)>, remove: Option<&Path>) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else { return ExitCode::from(2) };
    let mut child = Command::new(program);
    child.args(arguments).stdin(Stdio::null()).process_group(0);
    if let Some((uid, gid)) = user {
        child.uid(uid).gid(gid);
    }
    let mut child = match child.spawn() {
        Ok(child) => child,
        Err(error) => {
            report(&format!("starting {}: {error}", program.to_string_lossy()));
            return ExitCode::from(127);
        }
    };
    let pid = child.id();
    let mut output = std::io::stdout();
    if writeln!(output, "{PID_LINE}{pid}").and_then(|()| output.flush()).is_err() {
        end_group(pid);
    }
    let abandoned = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let abandoned = Arc::clone(&abandoned);
        move || {
            // Returns when the process that holds the other end closes it, or is gone.
            let closed = std::io::stdin().read_to_end(&mut Vec::new());
            drop(closed);
            abandoned.store(true, Ordering::Relaxed);
            end_group(pid);
        }
    });
    let code = child.wait().map_or(1, exit_code);
    if abandoned.load(Ordering::Relaxed) {
        remove.into_iter().for_each(remove_folder);
    }
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| status.signal().map_or(1, |signal| 128 + signal))
}

fn end_group(pid: u32) {
    if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // The child may have ended a moment ago: then there is nothing to end.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Processes of the child that ended a moment after it may still write: some attempts.
fn remove_folder(folder: &Path) {
    for _ in 0..50 {
        if std::fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn report(message: &str) {
    // Standard error is the child's log; without it there is no place to say it.
    drop(writeln!(std::io::stderr(), "{message}"));
}
