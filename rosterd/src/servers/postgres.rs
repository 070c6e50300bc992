//! A PostgreSQL of its own for a test run, on the loopback interface: found, fetched if need be, started, and started
//! again on the same port.

mod find;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::servers::guard::{Guarded, Launch, last_lines};
use crate::servers::{ServerError, free_port, preparing};

pub use find::find;

const PROGRAM: &str = "PostgreSQL";
/// The superuser of the cluster, who needs no password on the loopback interface.
const USER: &str = "rosterd";
/// How long one of PostgreSQL's own programs may take.
const TOOL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the server may take to accept connections, further starts included.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a shutdown in order may take.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// In files of its folder, which go with it: what a killed server leaves in shared memory stays until a restart of the
/// machine.
const DYNAMIC_MEMORY: &str = "dynamic_shared_memory_type=mmap";
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// How to run a PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// The rosterd binary, which guards it.
    pub guard: PathBuf,
    /// Whether a commit is on disk before it is answered. Without it a crash of the machine loses data.
    pub fsync: bool,
}

/// A PostgreSQL that runs in a temporary folder of its own. Dropping it ends it.
#[derive(Debug)]
pub struct PostgresServer {
    guarded: Guarded,
    port: u16,
    cluster: Cluster,
}

/// What stays when the process is started again.
#[derive(Debug)]
struct Cluster {
    settings: PostgresSettings,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    folder: TempDir,
}

/// Makes a cluster in a temporary folder, starts it and waits until it accepts connections. `say` hears what takes long.
#[inline(never)]
pub fn start(settings: &PostgresSettings, say: fn(&str)) -> BoxFuture<'_, Result<PostgresServer, ServerError>> {
    Box::pin(start_cluster(settings, say))
}

async fn start_cluster(settings: &PostgresSettings, say: fn(&str)) -> Result<PostgresServer, ServerError> {
    let programs = find(say).await?;
    let folder = tempfile::Builder::new().prefix("rosterd-postgresql-").tempdir();
    let folder = preparing(&std::env::temp_dir(), folder)?;
    let cluster = Cluster { settings: settings.clone(), programs, user: find::unprivileged(), folder };
    cluster.init().await?;
    let (guarded, port) = cluster.run(None).await?;
    Ok(PostgresServer { guarded, port, cluster })
}

impl PostgresServer {
    /// Where clients connect to a database.
    pub fn url(&self, database: &str) -> String {
        url(self.port, database)
    }

    /// Its port on the loopback interface.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, not that of its guard.
    pub const fn pid(&self) -> u32 {
        self.guarded.pid()
    }

    /// Creates a database, as a copy of `template` if one is given; that one must have no connections.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), ServerError> {
        let mut createdb = Command::new(self.cluster.programs.join("createdb"));
        // The user's own settings are for the user's own servers.
        for name in ["PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSERVICE", "PGOPTIONS"] {
            createdb.env_remove(name);
        }
        createdb.args(["--maintenance-db", &self.url("postgres")]);
        createdb.args(template.map(|template| format!("--template={template}"))).arg(name);
        run_tool("creating a database with createdb", &mut createdb).await
    }

    /// Its processes: the one that listens, and those that serve one client or one purpose each.
    pub fn processes(&self) -> Vec<u32> {
        let first = self.pid();
        let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        std::iter::once(first).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// Ends all its processes with SIGKILL, and starts it again with the same data on the same port.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        self.kill().await;
        self.start_again().await
    }

    /// Ends all its processes with SIGKILL, as a crash of the machine would: none may outlive the first by a moment.
    pub async fn kill(&mut self) {
        let processes = self.processes();
        self.guarded.kill().await;
        processes.into_iter().skip(1).for_each(|pid| signal(pid, Signal::KILL));
    }

    /// Ends it in order, without waiting for its clients: a fast shutdown.
    pub async fn shut_down(&mut self) {
        signal(self.pid(), Signal::INT);
        if timeout(SHUTDOWN_TIMEOUT, self.guarded.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Starts it again, once it has ended, with the same data on the same port.
    pub async fn start_again(&mut self) -> Result<(), ServerError> {
        (self.guarded, _) = self.cluster.run(Some(self.port)).await?;
        Ok(())
    }

    /// Ends the process and removes its folder.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        self.guarded.terminate(Duration::from_secs(10)).await;
        let path = self.cluster.folder.path().to_owned();
        preparing(&path, self.cluster.folder.close())
    }
}

/// Sends a signal to a process, which may have ended a moment ago.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Runs one of PostgreSQL's own programs to its end.
async fn run_tool(doing: &'static str, tool: &mut Command) -> Result<(), ServerError> {
    let output = timeout(TOOL_TIMEOUT, tool.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let failed = |output: String| ServerError::Tool { doing, output };
    let output = output.map_err(|_| failed("  it took too long".to_owned()))?;
    let output = output.map_err(|error| failed(format!("  {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(failed(said)) }
}

impl Cluster {
    /// `initdb`, with the rights of the user that the server will have.
    async fn init(&self) -> Result<(), ServerError> {
        let folder = self.folder.path();
        preparing(folder, std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)))?;
        let data = self.data();
        preparing(&data, std::fs::create_dir(&data))?;
        preparing(&data, std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700)))?;
        let mut initdb = Command::new(self.programs.join("initdb"));
        if let Some((uid, gid)) = self.user {
            preparing(&data, std::os::unix::fs::chown(&data, Some(uid), Some(gid)))?;
            initdb.uid(uid).gid(gid);
        }
        initdb.arg("--pgdata").arg(&data).args(["--username", USER, "--auth", "trust", "--encoding", "UTF8"]);
        initdb.args(["--locale", "C", "--no-sync", "--no-instructions"]).current_dir(folder);
        run_tool("making a PostgreSQL cluster with initdb", &mut initdb).await
    }

    /// Starts the server and waits until it accepts connections.
    async fn run(&self, port: Option<u16>) -> Result<(Guarded, u16), ServerError> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let port = port.map_or_else(free_port, Ok)?;
            let mut guarded = self.launch(port).await?;
            if self.accepts(&mut guarded, deadline).await {
                return Ok((guarded, port));
            }
            // It ended: another process took the port, or processes of the server before it are still there.
            if Instant::now() >= deadline || !last_lines(&self.log(), 10).contains("in use") {
                let path = self.log();
                return Err(ServerError::NotReady { program: PROGRAM, log: last_lines(&path, 10), path });
            }
            sleep(PAUSE).await;
        }
    }

    async fn launch(&self, port: u16) -> Result<Guarded, ServerError> {
        let mut command = vec![self.programs.join("postgres").into_os_string(), "-D".into(), self.data().into()];
        let fsync = if self.settings.fsync { "fsync=on" } else { "fsync=off" };
        let port = format!("port={port}");
        let socket = "unix_socket_directories=";
        for setting in [&port, "listen_addresses=127.0.0.1", socket, fsync, "max_connections=200", DYNAMIC_MEMORY] {
            command.extend(["-c".into(), setting.into()]);
        }
        let launch = Launch {
            guard: self.settings.guard.clone(),
            command,
            environment: Vec::new(),
            directory: Some(self.folder.path().to_owned()),
            log: self.log(),
            user: self.user,
            remove: Some(self.folder.path().to_owned()),
        };
        Guarded::start(launch).await.map_err(|source| ServerError::Start { program: PROGRAM, source })
    }

    /// Waits until the server accepts connections; false if it ended or needs too long.
    async fn accepts(&self, guarded: &mut Guarded, deadline: Instant) -> bool {
        let lock_file = self.data().join("postmaster.pid");
        while Instant::now() < deadline && !guarded.has_exited() {
            if is_ready(&std::fs::read_to_string(&lock_file).unwrap_or_default(), guarded.pid()) {
                return true;
            }
            sleep(PAUSE).await;
        }
        false
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("postgresql.log")
    }
}

/// Whether the server accepts connections, by the lock file that `pg_ctl --wait` reads: its process id is in line 1, its
/// state in line 8. Unlike an answer on the port, it cannot be that of a stranger who took the port first.
fn is_ready(lock_file: &str, pid: u32) -> bool {
    let mut lines = lock_file.lines().map(str::trim);
    lines.next().is_some_and(|first| first == pid.to_string()) && lines.nth(6) == Some("ready")
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://{USER}@127.0.0.1:{port}/{database}")
}

/// Whether all the programs that are needed are in this folder.
fn holds_programs(folder: &Path) -> bool {
    ["initdb", "postgres", "createdb"].iter().all(|program| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_ready_when_its_own_lock_file_says_so() {
        let lock_file = |state| format!("4711\n/data\n1764000000\n38183\n\n127.0.0.1\n  123 456\n{state}\n");
        assert!(is_ready(&lock_file("ready   "), 4711));
        assert!(!is_ready(&lock_file("ready   "), 471), "left by the process before it");
        assert!(!is_ready(&lock_file("starting"), 4711));
        assert!(!is_ready("4711\n/data\n", 4711), "half written");
        assert!(!is_ready("", 4711));
    }
}
