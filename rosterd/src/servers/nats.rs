//! nats-server with JetStream on the loopback interface: found, fetched if need be, started, and started again on the
//! same port.

mod cluster;
mod find;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep};

use crate::servers::guard::{Guarded, Launch, last_lines};
use crate::servers::{ServerError, free_port, preparing};

pub use cluster::{Member, until_led};
pub use find::find;

const PROGRAM: &str = "nats-server";
/// How long the server may take to read its log and accept a connection, further starts included.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

/// When the broker syncs its log to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogSync {
    /// Before each acknowledgement.
    Always,
    /// Every two minutes; a power failure can lose what was acknowledged since.
    Interval,
}

/// How to run a broker.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// The rosterd binary, which guards it.
    pub guard: PathBuf,
    /// Where its log, its streams and its configuration are kept.
    pub directory: PathBuf,
    /// Its port on the loopback interface; none takes a free one.
    pub port: Option<u16>,
    /// When it syncs.
    pub log_sync: LogSync,
}

/// A broker that runs. Dropping it ends it.
#[derive(Debug)]
pub struct NatsServer {
    guarded: Guarded,
    port: u16,
    name: String,
    argv: Vec<String>,
}

impl NatsServer {
    /// Where clients connect.
    pub fn url(&self) -> String {
        url(self.port)
    }

    /// Its port on the loopback interface.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its process id, not that of its guard.
    pub const fn pid(&self) -> u32 {
        self.guarded.pid()
    }

    /// Its command line.
    pub fn argv(&self) -> &[String] {
        &self.argv
    }

    /// The process by itself.
    pub fn into_guarded(self) -> Guarded {
        self.guarded
    }

    /// The process, to end it or to wait for its end.
    pub const fn guarded(&mut self) -> &mut Guarded {
        &mut self.guarded
    }
}

/// Starts a broker and waits until it accepts connections. `say` hears what takes long.
#[inline(never)]
pub fn start(settings: &NatsSettings, say: fn(&str)) -> BoxFuture<'_, Result<NatsServer, ServerError>> {
    Box::pin(start_as(settings, None, say))
}

async fn start_as(settings: &NatsSettings, member: Option<&Member>, say: fn(&str)) -> Result<NatsServer, ServerError> {
    let program = find(say).await?;
    preparing(&settings.directory, std::fs::create_dir_all(&settings.directory))?;
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let port = settings.port.map_or_else(free_port, Ok)?;
        let mut server = launch(&program, settings, member, port).await?;
        if accepts(&mut server, deadline).await {
            return Ok(server);
        }
        // It ended: another process took the port, or the server before it still holds it. Anything else shows at the deadline.
        if Instant::now() >= deadline || !port_is_taken(&settings.directory) {
            let path = log_file(&settings.directory);
            return Err(ServerError::NotReady { program: PROGRAM, log: last_lines(&path, 10), path });
        }
        sleep(PAUSE).await;
    }
}

async fn launch(
    program: &Path,
    settings: &NatsSettings,
    member: Option<&Member>,
    port: u16,
) -> Result<NatsServer, ServerError> {
    let name = member.map_or_else(|| format!("rosterd-{:016x}", rand::random::<u64>()), |member| member.name.clone());
    let file = settings.directory.join("nats-server.conf");
    preparing(&file, std::fs::write(&file, configuration(settings, member, port, &name)))?;
    let command = vec![program.into(), "--config".into(), file.into_os_string()];
    let argv = command.iter().map(|argument: &std::ffi::OsString| argument.to_string_lossy().into_owned()).collect();
    let launch = Launch {
        guard: settings.guard.clone(),
        command,
        environment: Vec::new(),
        directory: None,
        log: log_file(&settings.directory),
        user: None,
        remove: None,
    };
    let guarded = Guarded::start(launch).await.map_err(|source| ServerError::Start { program: PROGRAM, source })?;
    Ok(NatsServer { guarded, port, name, argv })
}

/// JSON is a form of the server's configuration language, and quotes paths safely.
fn configuration(settings: &NatsSettings, member: Option<&Member>, port: u16, name: &str) -> String {
    let sync = match settings.log_sync {
        LogSync::Always => "always",
        LogSync::Interval => "2m",
    };
    let mut configuration = serde_json::json!({
        "server_name": name,
        "listen": format!("127.0.0.1:{port}"),
        "max_payload": 8 * 1024 * 1024,
        "jetstream": {
            "store_dir": settings.directory.join("jetstream"),
            "sync_interval": sync,
            // Streams reserve the size they may grow to; by default it is checked against the free disk, although the
            // many streams of a test run stay nearly empty.
            "max_file_store": 1_u64 << 50,
        },
    });
    if let (Some(member), Some(entries)) = (member, configuration.as_object_mut()) {
        entries.insert("cluster".to_owned(), member.configuration());
    }
    format!("{configuration:#}\n")
}

/// Where a broker of this directory writes its log.
pub(crate) fn log_file(directory: &Path) -> PathBuf {
    directory.join("nats-server.log")
}

fn url(port: u16) -> String {
    format!("nats://127.0.0.1:{port}")
}

/// Waits until the server accepts a connection; false if it ended or needs too long.
async fn accepts(server: &mut NatsServer, deadline: Instant) -> bool {
    while Instant::now() < deadline && !server.guarded.has_exited() {
        let options = async_nats::ConnectOptions::new().connection_timeout(Duration::from_secs(2));
        if let Ok(client) = options.connect(server.url()).await {
            // The server that answers may be a stranger on the port that ours failed to get.
            if client.server_info().server_name == server.name {
                return true;
            }
        }
        sleep(PAUSE).await;
    }
    false
}

fn port_is_taken(directory: &Path) -> bool {
    last_lines(&log_file(directory), 10).contains("address already in use")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_path_with_a_quote_stays_one_value() {
        let directory = PathBuf::from("/data/\"x\"");
        let settings = NatsSettings { guard: PathBuf::new(), directory, port: None, log_sync: LogSync::Always };
        expect![[r#"
            {
              "jetstream": {
                "max_file_store": 1125899906842624,
                "store_dir": "/data/\"x\"/jetstream",
                "sync_interval": "always"
              },
              "listen": "127.0.0.1:4222",
              "max_payload": 8388608,
              "server_name": "rosterd-1"
            }
        "#]]
        .assert_eq(&configuration(&settings, None, 4222, "rosterd-1"));
    }
}
