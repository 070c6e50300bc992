//! `HAProxy` in front of ingresses, as an operator would put it there: only those that are ready get requests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rosterd::servers::free_port;
use rosterd::servers::guard::{Guarded, Launch};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{ROSTERD, eventually};

/// Where distributions put it, beside `PATH`.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/bin"];

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    find().or_else(install).expect("HAProxy is missing, and these tests need it: install it (apt-get install haproxy)")
});

/// A load balancer. Dropping it ends it.
pub(crate) struct Haproxy {
    /// Where it listens.
    pub(crate) url: String,
    _guarded: Guarded,
    _folder: TempDir,
}

impl Haproxy {
    /// Balances between these ingresses (`http://host:port`) by their `/readyz`.
    pub(crate) async fn before(ingresses: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, address) = (folder.path().join("haproxy.cfg"), format!("127.0.0.1:{}", free_port().unwrap()));
        std::fs::write(&file, configuration(&address, ingresses)).unwrap();
        let launch = Launch {
            guard: ROSTERD.into(),
            command: [PROGRAM.as_os_str().to_owned(), "-db".into(), "-f".into(), OsString::from(&file)].to_vec(),
            environment: Vec::new(),
            directory: None,
            log: folder.path().join("haproxy.log"),
            user: None,
            remove: None,
        };
        let guarded = Guarded::start(launch).await.unwrap();
        eventually("HAProxy listens", async || TcpStream::connect(&address).await.ok()).await;
        Self { url: format!("http://{address}"), _guarded: guarded, _folder: folder }
    }
}

fn configuration(address: &str, ingresses: &[&str]) -> String {
    let servers = ingresses.iter().enumerate().map(|(index, url)| {
        let server = url.trim_start_matches("http://");
        format!("  server ingress-{index} {server} check inter 200ms fall 2 rise 1\n")
    });
    let servers: String = servers.collect();
    format!(
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 75s\n  timeout server 75s\n\
         listen scim\n  bind {address}\n  option httpchk GET /readyz\n{servers}"
    )
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join("haproxy")).find(|program| program.is_file())
}

/// As root on Debian and its kin.
fn install() -> Option<PathBuf> {
    if !rustix::process::geteuid().is_root() || !Path::new("/usr/bin/apt-get").exists() {
        return None;
    }
    eprintln!("HAProxy is missing: installing it by apt-get");
    for arguments in [&["update", "-qq"][..], &["install", "-y", "-qq", "haproxy"]] {
        Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").status().ok()?;
    }
    find()
}
