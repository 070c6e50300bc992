//! nats-server and PostgreSQL for development, the demo and tests: found on this machine or fetched, and started under
//! a guard.

mod fetch;
pub mod guard;
pub mod nats;
pub mod postgres;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use fetch::FetchError;
use guard::GuardError;
use runtime::telemetry::error_chain;

/// Why a server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It is not on this machine and could not be fetched.
    #[error("no {program} can be had: {why}\nAny of these helps:\n{advice}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Why it was not fetched.
        why: String,
        /// The ways to get one, a line each.
        advice: String,
    },
    /// A folder or file of the server cannot be made.
    #[error("preparing {path}")]
    Prepare {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No free port on the loopback interface.
    #[error("looking for a free port")]
    Port(#[source] std::io::Error),
    /// The process cannot be started.
    #[error("starting {program}")]
    Start {
        /// The program.
        program: &'static str,
        /// Why.
        #[source]
        source: GuardError,
    },
    /// The process runs or ran, but never accepted a connection.
    #[error("{program} did not become ready; the end of its log, {path}:\n{log}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// Its log.
        path: PathBuf,
        /// The last lines of it.
        log: String,
    },
    /// A tool of the server failed.
    #[error("{doing} failed:\n{output}")]
    Tool {
        /// What was being done.
        doing: &'static str,
        /// What the tool said.
        output: String,
    },
}

impl ServerError {
    fn missing(program: &'static str, why: &FetchError, advice: impl Into<String>) -> Self {
        Self::Missing { program, why: error_chain(why).trim_end().to_owned(), advice: advice.into() }
    }
}

fn preparing<T>(path: &Path, result: std::io::Result<T>) -> Result<T, ServerError> {
    result.map_err(|source| ServerError::Prepare { path: path.to_owned(), source })
}

/// A port of the loopback interface that is free now. Another process may be faster: its user must be ready to try again.
///
/// It lies below those that systems give to outgoing connections: while a server is away, none of the clients that try
/// to reach it can be given its port, and it comes back on the same one.
pub fn free_port() -> Result<u16, ServerError> {
    let mut last = None;
    for _ in 0..100 {
        match std::net::TcpListener::bind(("127.0.0.1", rand::random_range(10_000..32_000))) {
            Ok(listener) => return Ok(listener.local_addr().map_err(ServerError::Port)?.port()),
            Err(error) => last = Some(error),
        }
    }
    Err(ServerError::Port(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into())))
}

/// The first program of this name in the folders of `PATH`.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = environment("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
