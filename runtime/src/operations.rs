//! The listener for operators and their tools: `/livez`, `/readyz`, `/metrics`, `/version`. Not for providers, who reach
//! another one or none.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::message::envelope::FORMAT_VERSION;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// The commit that was built, if the build was told.
pub const COMMIT: &str = match option_env!("ROSTERD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// How long the head of a request may take, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may last in all: long enough for many scrapes, and an end for one that takes no answer.
const MAX_AGE: Duration = Duration::from_mins(2);
/// After a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where operators' tools reach a process.
#[derive(Debug, Clone, Args)]
pub struct OperationsSettings {
    /// Address and port on which probes and Prometheus are answered: `/livez`, `/readyz`, `/metrics`, `/version`. Not for
    /// providers [default: none].
    #[arg(long, env = "ROSTERD_OPERATIONS_LISTEN", value_name = "ADDRESS")]
    pub operations_listen: Option<SocketAddr>,
}

/// A process, as its operators' tools see it.
pub trait Operations: Send + Sync + 'static {
    /// Why the process should be started again; none if it makes progress.
    fn not_alive(&self) -> Option<&'static str>;

    /// Why the process is not to get work; none if it may.
    fn not_ready(&self) -> Option<&'static str>;

    /// Its metrics, in Prometheus' text format.
    fn metrics(&self) -> Pin<Box<dyn Future<Output = String> + Send + '_>>;

    /// Its version of rosterd.
    fn version(&self) -> &'static str;

    /// The newest step of the schema that it knows, if it has a database.
    fn schema(&self) -> Option<String>;
}

/// Listens, if it was asked for, for as long as the process lives.
pub async fn start(settings: &OperationsSettings, process: Arc<dyn Operations>) -> io::Result<()> {
    let Some(address) = settings.operations_listen else { return Ok(()) };
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "probes and metrics are served on http://{address}");
    tokio::spawn(accept(listener, process));
    Ok(())
}

async fn accept(listener: TcpListener, process: Arc<dyn Operations>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let process = Arc::clone(&process);
                tokio::spawn(async move {
                    serve(stream, process).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, process: Arc<dyn Operations>) {
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        let process = Arc::clone(&process);
        async move { Ok::<_, Infallible>(answer(request.method(), request.uri().path(), process.as_ref()).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    // A tool that takes nothing must not keep others from the probes.
    match tokio::time::timeout(MAX_AGE, http.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
        Err(_) => tracing::debug!("a connection was closed because of its age"),
    }
}

async fn answer(method: &Method, path: &str, process: &dyn Operations) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".to_owned());
    }
    match path {
        "/livez" => probe(process.not_alive()),
        "/readyz" => probe(process.not_ready()),
        "/metrics" => response(StatusCode::OK, METRICS, process.metrics().await),
        "/version" => {
            let (version, schema) = (process.version(), process.schema());
            let body = json!({ "version": version, "commit": COMMIT, "envelope": FORMAT_VERSION, "schema": schema });
            response(StatusCode::OK, JSON, format!("{body}\n"))
        }
        _ => response(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz, /metrics and /version\n".to_owned()),
    }
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

fn probe(ill: Option<&'static str>) -> Response<Full<Bytes>> {
    let status = if ill.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    response(status, TEXT, format!("{}\n", ill.unwrap_or("ok")))
}

fn response(status: StatusCode, kind: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
