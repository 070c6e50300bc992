//! A reverse proxy as many deployments have one: `HAProxy` as it comes, which hides from the server that a client has hung
//! up (`option abortonclose` is off by default).

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rosterd::servers::free_port;
use rosterd::servers::guard::{Guarded, Launch};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::{ROSTERD, within};

/// Where Debian puts it; it is not on everybody's PATH.
const PROGRAMS: [&str; 3] = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"];
/// Debian's package; its lists may have to be read first.
const INSTALL: &str = "apt-get install -y --no-install-recommends haproxy || \
    { apt-get update && apt-get install -y --no-install-recommends haproxy; }";
/// What to do where it cannot be had.
const HOW: &str = "these tests need HAProxy 2.4 or later: install the package `haproxy`, or run them as root on Debian \
    or Ubuntu with a package source, where they install it themselves";

static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();

/// A proxy in front of one server. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Haproxy {
    url: String,
    _process: Guarded,
    _folder: TempDir,
}

impl Haproxy {
    /// Leads to the server of a URL like `http://127.0.0.1:8080`.
    pub(crate) async fn to_url(server: &str) -> Self {
        let program = PROGRAM.get_or_init(|| async { tokio::task::spawn_blocking(program).await.unwrap() }).await;
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, configuration(port, server.trim_start_matches("http://"))).unwrap();
        let command = [program.as_os_str(), "-db".as_ref(), "-f".as_ref(), file.as_os_str()];
        let launch = Launch {
            guard: ROSTERD.into(),
            command: command.map(OsString::from).to_vec(),
            environment: Vec::new(),
            directory: None,
            log: folder.path().join("haproxy.log"),
            user: None,
            remove: None,
        };
        let process = Guarded::start(launch).await.unwrap();
        within(Duration::from_secs(10), "HAProxy listens", async || TcpStream::connect(("127.0.0.1", port)).await.ok())
            .await;
        Self { url: format!("http://127.0.0.1:{port}"), _process: process, _folder: folder }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn configuration(port: u16, server: &str) -> String {
    format!(
        "global\n  maxconn 4000\ndefaults\n  mode http\n  retries 0\n  timeout connect 5s\n  timeout client 70s\n  \
         timeout server 70s\nfrontend clients\n  bind 127.0.0.1:{port}\n  default_backend ingress\n\
         backend ingress\n  server ingress {server}\n"
    )
}

/// Finds it, or installs it where that is possible.
fn program() -> PathBuf {
    if let Some(program) = found() {
        return program;
    }
    assert!(rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists(), "{HOW}");
    eprintln!("HAProxy is not there, installing it with apt-get");
    let installed = Command::new("sh").args(["-c", INSTALL]).env("DEBIAN_FRONTEND", "noninteractive").output();
    let installed = installed.unwrap();
    let said = String::from_utf8_lossy(&installed.stderr);
    found().unwrap_or_else(|| panic!("{HOW}; apt-get said:\n{said}"))
}

fn found() -> Option<PathBuf> {
    let answers = |program: &&str| Command::new(program).arg("-v").output().is_ok_and(|output| output.status.success());
    std::iter::once("haproxy").chain(PROGRAMS).find(answers).map(PathBuf::from)
}
