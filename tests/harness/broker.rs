//! A broker of a test's own: one server, or three that keep the log together, each of which can be harmed.

use std::path::{Path, PathBuf};
use std::process::Command;

use rosterd::servers::nats::{self, LogSync, Member, NatsServer, NatsSettings};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::ROSTERD;
use super::process::{signal, wait_for_end};

/// One or three servers. Dropping it ends them and removes what they kept.
#[derive(Debug)]
pub(crate) struct OwnBroker {
    pub(crate) nodes: Vec<BrokerNode>,
    folder: TempDir,
}

/// One server of a broker; all of its faults can be done while others use it.
#[derive(Debug)]
pub(crate) struct BrokerNode {
    start: Start,
    url: String,
    directory: PathBuf,
    server: Mutex<NatsServer>,
    pid: std::sync::Mutex<u32>,
}

/// What was in a server's folder at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot(TempDir);

#[derive(Debug)]
enum Start {
    Alone(NatsSettings),
    Member(Member),
}

impl OwnBroker {
    /// One server.
    pub(crate) async fn one(log_sync: LogSync) -> Self {
        let folder = folder();
        let directory = folder.path().join("0");
        let settings = NatsSettings { guard: ROSTERD.into(), directory, port: None, log_sync };
        let server = nats::start(&settings, say).await.unwrap();
        let start = Start::Alone(NatsSettings { port: Some(server.port()), ..settings });
        Self { nodes: vec![BrokerNode::new(start, server)], folder }
    }

    /// Three servers, once they have chosen who decides.
    pub(crate) async fn three(log_sync: LogSync) -> Self {
        let folder = folder();
        let members = Member::three(Path::new(ROSTERD), folder.path(), log_sync).unwrap();
        let servers = futures::future::join_all(members.iter().map(|member| member.start(say))).await;
        let pairs = members.into_iter().zip(servers);
        let nodes: Vec<BrokerNode> =
            pairs.map(|(member, server)| BrokerNode::new(Start::Member(member), server.unwrap())).collect();
        let broker = Self { nodes, folder };
        broker.until_led().await;
        broker
    }

    /// Where clients connect: all servers, separated by commas.
    pub(crate) fn url(&self) -> String {
        let urls: Vec<&str> = self.nodes.iter().map(BrokerNode::url).collect();
        urls.join(",")
    }

    /// The only server, or the first.
    pub(crate) fn node(&self) -> &BrokerNode {
        &self.nodes[0]
    }

    /// Waits until three servers, as seen by each, have one that decides.
    pub(crate) async fn until_led(&self) {
        for node in &self.nodes {
            if let Start::Member(member) = &node.start {
                nats::until_led(member, &node.url).await.unwrap();
            }
        }
    }

    /// What the servers wrote to their logs.
    pub(crate) fn logs(&self) -> String {
        let logs = self.nodes.iter().map(|node| node.directory.join("nats-server.log"));
        logs.map(|log| std::fs::read_to_string(log).unwrap_or_default()).collect()
    }
}

impl BrokerNode {
    fn new(start: Start, server: NatsServer) -> Self {
        let directory = match &start {
            Start::Alone(settings) => settings.directory.clone(),
            Start::Member(member) => member.settings().directory.clone(),
        };
        let (url, pid) = (server.url(), std::sync::Mutex::new(server.pid()));
        Self { start, url, directory, server: Mutex::new(server), pid }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> u32 {
        *self.pid.lock().unwrap()
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self) {
        self.server.lock().await.guarded().kill().await;
    }

    /// SIGTERM, and SIGKILL if that takes too long.
    pub(crate) async fn terminate(&self) {
        self.server.lock().await.guarded().terminate(super::DEADLINE).await;
    }

    /// Starts it again, once it has ended, on the same port with what is in its folder; returns when it accepts
    /// connections.
    pub(crate) async fn start_again(&self) {
        let again = match &self.start {
            Start::Alone(settings) => nats::start(settings, say).await,
            Start::Member(member) => member.start(say).await,
        };
        let again = again.unwrap();
        *self.pid.lock().unwrap() = again.pid();
        *self.server.lock().await = again;
    }

    /// SIGKILL, and a start with the same data.
    pub(crate) async fn restart(&self) {
        self.kill().await;
        self.start_again().await;
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        signal(self.pid(), Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        signal(self.pid(), Signal::CONT);
    }

    /// A copy of its data as it is now; a running server stands still meanwhile.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let copy = tempfile::tempdir().unwrap();
        self.pause();
        replace(&copy.path().join("jetstream"), &self.data());
        self.resume();
        Snapshot(copy)
    }

    /// Gives it the data of an earlier moment: the tail that a power failure takes. It must have ended.
    pub(crate) fn put_back(&self, snapshot: &Snapshot) {
        replace(&self.data(), &snapshot.0.path().join("jetstream"));
    }

    /// Takes all its data away. It must have ended.
    pub(crate) fn lose_everything(&self) {
        std::fs::remove_dir_all(self.data()).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.directory.join("jetstream")
    }
}

/// The folder goes only when nobody writes to it any more.
impl Drop for OwnBroker {
    fn drop(&mut self) {
        let pids: Vec<u32> = self.nodes.iter().map(BrokerNode::pid).collect();
        self.nodes.clear();
        wait_for_end(&pids);
        let _ = std::fs::remove_dir_all(self.folder.path());
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("rosterd-own-nats-").tempdir().unwrap()
}

fn replace(target: &Path, source: &Path) {
    if target.exists() {
        std::fs::remove_dir_all(target).unwrap();
    }
    let copied = Command::new("cp").arg("-a").arg(source).arg(target).status().unwrap();
    assert!(copied.success(), "copying {} to {}", source.display(), target.display());
}

fn say(line: &str) {
    eprintln!("{line}");
}
