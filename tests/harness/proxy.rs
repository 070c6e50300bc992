//! A link that a test harms: everything between a process and a server passes here.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::clock::Clock;

/// PostgreSQL's answer to a commit: `CommandComplete` with its tag.
pub(crate) const COMMIT_ANSWER: &[u8] = b"C\0\0\0\x0bCOMMIT\0";

/// A port on the loopback interface that leads to a server. Dropping it cuts every connection.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    link: Arc<Link>,
    _accept: AbortOnDropHandle<()>,
}

/// What happens to the bytes of every connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// They pass.
    #[default]
    Healed,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Each chunk waits so long, in either direction.
    Delayed(Duration),
    /// Nothing passes; what was sent arrives once the link is healed, as after a partition of the network.
    Stalled,
    /// What is sent in these directions is gone; the connection looks alive until the link is healed, and ends then.
    HalfOpen(Towards),
    /// The connection in which these bytes come is closed before they pass; that heals the link.
    CutBefore(Towards, Vec<u8>),
    /// A broker seems to have a clock that is so many seconds ahead.
    Clock(i64),
}

/// Directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Towards {
    Server,
    Client,
    Both,
}

#[derive(Debug)]
struct Link {
    server: String,
    state: watch::Sender<State>,
    /// How often a connection was cut before the bytes that were waited for.
    trips: AtomicUsize,
}

impl Proxy {
    /// Leads to `server`, an address like `127.0.0.1:4222`.
    pub(crate) async fn to(server: impl Into<String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let link =
            Arc::new(Link { server: server.into(), state: watch::Sender::default(), trips: AtomicUsize::new(0) });
        let accept = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&link).accept(listener)));
        Self { address, link, _accept: accept }
    }

    /// Leads to the server of a URL, `scheme://user@host:port/path`.
    pub(crate) async fn to_url(url: &str) -> Self {
        Self::to(authority(url)).await
    }

    /// The URL, by way of this.
    pub(crate) fn url(&self, url: &str) -> String {
        url.replacen(authority(url), &self.address.to_string(), 1)
    }

    /// Closes every connection, and new ones at once.
    pub(crate) fn cut(&self) {
        self.set(State::Cut);
    }

    /// Lets everything wait, in either direction.
    pub(crate) fn delay(&self, each_way: Duration) {
        self.set(State::Delayed(each_way));
    }

    /// Holds everything back until the link is healed.
    pub(crate) fn stall(&self) {
        self.set(State::Stalled);
    }

    /// Swallows what is sent in these directions; connections look alive until the link is healed.
    pub(crate) fn half_open(&self, towards: Towards) {
        self.set(State::HalfOpen(towards));
    }

    /// Cuts the next connection in which these bytes come, before they pass, and heals the link.
    pub(crate) fn cut_before(&self, towards: Towards, bytes: &[u8]) {
        self.set(State::CutBefore(towards, bytes.to_vec()));
    }

    /// Shows a broker's clock as if it were so many seconds ahead, from now on.
    pub(crate) fn set_clock(&self, seconds: i64) {
        self.set(State::Clock(seconds));
    }

    /// Lets everything pass again.
    pub(crate) fn heal(&self) {
        self.set(State::Healed);
    }

    /// How often a connection was cut before the bytes that were waited for.
    pub(crate) fn trips(&self) -> usize {
        self.link.trips.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, state: State) {
        self.link.state.send_replace(state);
    }
}

impl Link {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        // Ends with the proxy, and its connections with it.
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((client, _)) = accepted else { continue };
                    connections.spawn(Arc::clone(&self).carry(client));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut state = self.state.subscribe();
        if *state.borrow() == State::Cut {
            return;
        }
        // A server that is away is seen as a connection that ends at once.
        let Ok(server) = TcpStream::connect(&self.server).await else { return };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = self.pump(from_client, to_server, Towards::Server) => {}
            () = self.pump(from_server, to_client, Towards::Client) => {}
            _ = state.wait_for(|state| *state == State::Cut) => {}
        }
    }

    /// Carries bytes in one direction until the connection has to end.
    async fn pump(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, towards: Towards) {
        let (mut state, mut buffer, mut earlier) = (self.state.subscribe(), vec![0; 64 * 1024], Vec::new());
        let mut clock = Clock::default();
        loop {
            let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
            let chunk = &buffer[..read];
            let now = state.borrow_and_update().clone();
            match now {
                State::Delayed(each_way) => tokio::time::sleep(each_way).await,
                State::Stalled => drop(state.wait_for(|state| *state != State::Stalled).await),
                State::HalfOpen(lost) if lost.includes(towards) => return swallow(from, state).await,
                State::CutBefore(watched, bytes) if watched.includes(towards) => {
                    if comes(&mut earlier, chunk, &bytes) {
                        self.trips.fetch_add(1, Ordering::Relaxed);
                        self.state.send_replace(State::Healed);
                        return;
                    }
                }
                State::Clock(seconds) if towards == Towards::Client => clock.set(seconds),
                State::Healed => clock.set(0),
                State::Cut | State::HalfOpen(_) | State::CutBefore(..) | State::Clock(_) => {}
            }
            let shown = clock.show(chunk);
            let chunk = shown.as_deref().unwrap_or(chunk);
            if to.write_all(chunk).await.is_err() {
                return;
            }
        }
    }
}

impl Towards {
    fn includes(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

/// Takes what comes, and ends once the link is in another state.
async fn swallow(mut from: impl AsyncRead + Unpin, mut state: watch::Receiver<State>) {
    let sink = async {
        drop(tokio::io::copy(&mut from, &mut tokio::io::sink()).await);
        // The end of a connection does not pass either.
        pending::<()>().await;
    };
    tokio::select! {
        () = sink => {}
        _ = state.wait_for(|state| !matches!(state, State::HalfOpen(_))) => {}
    }
}

/// Whether the bytes come with this chunk, perhaps begun by the one before it.
fn comes(earlier: &mut Vec<u8>, chunk: &[u8], bytes: &[u8]) -> bool {
    earlier.extend_from_slice(chunk);
    let found = earlier.windows(bytes.len()).any(|window| window == bytes);
    earlier.drain(..earlier.len().saturating_sub(bytes.len() - 1));
    found
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap();
    authority.rsplit('@').next().unwrap()
}
