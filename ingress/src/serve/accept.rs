//! Connections: how many, how fast their heads arrive, and how they end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::patience::Patient;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at a time; more wait in the system's queue.
const CONNECTIONS: usize = 4096;
/// How long a request's head may take, and how long a connection may be idle.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// What is read of a head at most, in bytes and in fields. The router refuses less than this, as a SCIM error.
const HEAD_BYTES: usize = 64 * 1024;
const HEAD_FIELDS: usize = 256;
/// How long requests in flight may take once a signal asked to stop.
const DRAIN_WITHIN: Duration = Duration::from_secs(55);
/// After a failure to accept, such as too many open files.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Serves until a signal, then lets requests in flight finish; a second signal ends that, too.
pub(super) async fn serve(listener: TcpListener, app: Router) -> io::Result<()> {
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        tokio::select! {
            accepted = accept(&listener, &places) => {
                if let Some((stream, place)) = accepted {
                    tokio::spawn(connection(stream, app.clone(), graceful.watcher(), place));
                }
            }
            () = signals.next() => break,
        }
    }
    drop(listener);
    tracing::info!("stopping: finishing {} connections", graceful.count());
    tokio::select! {
        () = graceful.shutdown() => tracing::info!("stopped"),
        () = tokio::time::sleep(DRAIN_WITHIN) => tracing::warn!("stopped with requests in flight: they took too long"),
        () = signals.next() => tracing::warn!("stopped with requests in flight: told so twice"),
    }
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, app: Router, watcher: Watcher, place: OwnedSemaphorePermit) {
    // Answers are small and whole: waiting to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection ended at once");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_headers(HEAD_FIELDS).max_header_size(HEAD_BYTES);
    let served =
        watcher.watch(http.serve_connection(TokioIo::new(Patient::new(stream)), TowerToHyperService::new(app))).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
}
