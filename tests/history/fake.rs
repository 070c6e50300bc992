//! A small SCIM server in memory, right or with one planted flaw, over real HTTP: what the judge is proven with.

mod directory;
mod flaw;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use directory::{Asked, Directory, Reply};
pub(super) use flaw::Flaw;

/// The server; it ends with this value.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) base_url: String,
    server: Arc<Server>,
    listening: JoinHandle<()>,
}

#[derive(Debug)]
struct Server {
    directory: Mutex<Directory>,
    random: Mutex<StdRng>,
    noisy: bool,
    quiet: AtomicBool,
}

/// What a bad line does to a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    /// A 503, or a broken connection.
    Lost {
        broken: bool,
        effect: Effect,
    },
}

#[derive(Debug, Clone, Copy)]
enum Effect {
    Never,
    Before,
    /// So many requests later.
    Later(u32),
}

impl Fake {
    /// Starts on a free port. A noisy one answers 503 or breaks the connection now and then, with no effect, with one
    /// before that, or with one after it.
    pub(super) async fn start(flaw: Option<Flaw>, noisy: bool, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/scim/v2/fake", listener.local_addr().unwrap());
        let random = Mutex::new(StdRng::seed_from_u64(seed));
        let directory = Mutex::new(Directory::new(flaw));
        let server = Arc::new(Server { directory, random, noisy, quiet: AtomicBool::new(false) });
        let listening = tokio::spawn(accept(listener, Arc::clone(&server)));
        Self { base_url, server, listening }
    }

    /// How many requests it was asked.
    pub(super) fn requests(&self) -> u32 {
        self.server.directory.lock().unwrap().requests()
    }

    /// How many users are active because of a reactivation that came late.
    pub(super) fn revived(&self) -> u32 {
        self.server.directory.lock().unwrap().revived()
    }

    /// Makes everything happen that is still to happen; from now on the line is good.
    pub(super) fn come_to_rest(&self) {
        self.server.quiet.store(true, Ordering::Relaxed);
        self.server.directory.lock().unwrap().catch_up();
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&server)));
    }
}

async fn serve(stream: TcpStream, server: Arc<Server>) {
    let service = service_fn(|request| answer(request, &server));
    // A service that fails breaks the connection: that is what it is for here.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, server: &Server) -> io::Result<Response<Full<Bytes>>> {
    let asked = read(request).await;
    sleep(server.pause()).await;
    let reply = match server.fate() {
        Fate::Answered => server.act(&asked),
        Fate::Lost { broken, effect } => {
            match effect {
                Effect::Never => {}
                Effect::Before => drop(server.act(&asked)),
                Effect::Later(requests) => server.directory.lock().unwrap().handle_later(asked, requests),
            }
            if broken {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Reply::status(503)
        }
    };
    if reply.status == 0 {
        return std::future::pending().await;
    }
    sleep(server.pause()).await;
    let body = reply.body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    Ok(Response::builder().status(reply.status).body(Full::new(body)).unwrap())
}

async fn read(request: Request<Incoming>) -> Asked {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    let path = parts.uri.path().trim_start_matches("/scim/v2/fake/").to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    Asked { method: parts.method, path, query, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

impl Server {
    fn act(&self, asked: &Asked) -> Reply {
        self.directory.lock().unwrap().handle(asked)
    }

    fn pause(&self) -> Duration {
        Duration::from_micros(self.random.lock().unwrap().random_range(0..1500))
    }

    fn fate(&self) -> Fate {
        if !self.noisy || self.quiet.load(Ordering::Relaxed) {
            return Fate::Answered;
        }
        let mut random = self.random.lock().unwrap();
        let later = random.random_range(1..200);
        let effect = match random.random_range(0..100) {
            0..4 => Effect::Never,
            4..8 => Effect::Before,
            8..14 => Effect::Later(later),
            _ => return Fate::Answered,
        };
        Fate::Lost { broken: random.random(), effect }
    }
}
