//! `HAProxy` in front of ingresses, as an operator would put it there: only those that are ready get requests.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use rosterd::servers::free_port;
use rosterd::servers::guard::{Guarded, Launch};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::program::find_or_install;
use super::{ROSTERD, eventually};

static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| find_or_install("haproxy", "haproxy"));

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
        Self::start(ingresses, &["option httpchk GET /readyz"], "check inter 200ms fall 2 rise 1").await
    }

    /// Leads to this ingress, whatever it says of itself. A client that hangs up is hidden from it: `option abortonclose`
    /// is off, as `HAProxy` comes.
    pub(crate) async fn hiding(ingress: &str) -> Self {
        Self::start(&[ingress], &["retries 0"], "").await
    }

    async fn start(ingresses: &[&str], options: &[&str], check: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, address) = (folder.path().join("haproxy.cfg"), format!("127.0.0.1:{}", free_port().unwrap()));
        std::fs::write(&file, configuration(&address, ingresses, options, check)).unwrap();
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

fn configuration(address: &str, ingresses: &[&str], options: &[&str], check: &str) -> String {
    let servers = ingresses.iter().enumerate().map(|(index, url)| {
        let server = url.trim_start_matches("http://");
        format!("  server ingress-{index} {server} {check}\n")
    });
    let servers: String = servers.collect();
    let options = options.join("\n  ");
    format!(
        "defaults\n  mode http\n  timeout connect 2s\n  timeout client 75s\n  timeout server 75s\n\
         listen scim\n  bind {address}\n  {options}\n{servers}"
    )
}
