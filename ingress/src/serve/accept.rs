//! Connections: how many, how fast their heads arrive, and how they end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use futures::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use runtime::signals::Signals;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::util::MapRequest;

use super::head::{Bytes, HEAD_TIMEOUT, HeadTimer};
use super::write_timeout::WriteTimeout;
use crate::gateway::Gateway;
use crate::last_answer::LastAnswer;
use crate::router;
use crate::state::AppState;

/// Connections at a time; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 4096;
/// The length of that queue; the system may make it shorter.
const BACKLOG: u32 = 4096;
/// What is read of a head at most, in bytes and in fields. The router refuses less than this, as a SCIM error.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEAD_FIELDS: usize = 256;
/// How long requests in flight may take once the listener is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(55);
/// After a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections and the end of the process take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// How long a connection may be idle between two requests.
    pub(super) idle_timeout: Duration,
    /// How long connections are still accepted once a signal asked to stop.
    pub(super) drain_delay: Duration,
}

/// Listens with a long queue: many clients connect at once after an outage.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait for the connections of the process before it.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until a signal. Then it is not ready, so that load balancers look elsewhere, and goes on accepting for a while,
/// because they take time to see it; then it lets requests in flight finish. A second signal ends that at once.
pub(super) async fn serve(listener: TcpListener, state: AppState, timing: Timing) -> io::Result<()> {
    let mut signals = Signals::listen()?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (gateway, health) = (Arc::clone(&state.gateway), Arc::clone(&state.health));
    let within = Within { app: router::app(state), gateway: Arc::clone(&gateway), idle_timeout: timing.idle_timeout };
    let door = Door { listener, within, places, graceful: GracefulShutdown::new() };
    tokio::select! {
        () = door.accept_all() => {}
        () = signals.next() => {}
    }
    health.draining.store(true, Ordering::Relaxed);
    tracing::info!("not ready any more: accepting connections for another {:?}", timing.drain_delay);
    let stops_now = tokio::select! {
        () = door.accept_all() => false,
        () = tokio::time::sleep(timing.drain_delay) => false,
        () = signals.next() => true,
    };
    if stops_now {
        tracing::warn!("stopped with requests in flight: told so twice");
        return Ok(());
    }
    let graceful = door.close();
    tracing::info!("stopping: finishing {} connections", graceful.count());
    tokio::select! {
        () = graceful.shutdown() => tracing::info!("stopped"),
        () = tokio::time::sleep(DRAIN_TIMEOUT) => tracing::warn!("stopped with requests in flight: they took too long"),
        () = signals.next() => tracing::warn!("stopped with requests in flight: told so twice"),
    }
    gateway.report_answers().await;
    Ok(())
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    within: Within,
    places: Arc<Semaphore>,
    graceful: GracefulShutdown,
}

impl Door {
    /// Accepts for ever.
    async fn accept_all(&self) {
        while let Ok(place) = Arc::clone(&self.places).acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => self.serve(stream, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts nothing more, but for those that the system has accepted already: they would be reset.
    fn close(self) -> GracefulShutdown {
        while let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
            && let Some(Ok((stream, _))) = self.listener.accept().now_or_never()
        {
            self.serve(stream, place);
        }
        self.graceful
    }

    fn serve(&self, stream: TcpStream, place: OwnedSemaphorePermit) {
        tokio::spawn(connection(stream, self.within.clone(), self.graceful.watcher(), place));
    }
}

/// What serving one connection needs.
#[derive(Clone)]
struct Within {
    app: Router,
    gateway: Arc<dyn Gateway>,
    idle_timeout: Duration,
}

async fn connection(stream: TcpStream, door: Within, watcher: Watcher, place: OwnedSemaphorePermit) {
    // Answers are small and whole: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended at once");
    }
    let bytes = Bytes::default();
    let mut http = http1::Builder::new();
    http.timer(HeadTimer::new(bytes.clone(), door.idle_timeout)).header_read_timeout(HEAD_TIMEOUT);
    http.max_headers(MAX_HEAD_FIELDS).max_header_size(MAX_HEAD_BYTES);
    let last = LastAnswer::default();
    let stream = TokioIo::new(WriteTimeout::new(stream, bytes, last.clone()));
    let (app, noted) = (door.app, last.clone());
    let app = MapRequest::new(app, move |mut request: Request<Incoming>| {
        // Who sends another request has read the answer to the one before.
        noted.is(Vec::new());
        request.extensions_mut().insert(noted.clone());
        request
    });
    let served = watcher.watch(http.serve_connection(stream, TowerToHyperService::new(app))).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
    for create in last.not_taken() {
        door.gateway.not_taken(create);
    }
    drop(place);
}
