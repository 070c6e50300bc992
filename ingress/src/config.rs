//! Configuration: one struct, every setting documented on its field.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use protocol::id::Namespace;

/// Speaks SCIM over HTTP and appends every change to the log.
///
/// The broker is found through `ROSTERD_NATS_URL` (or `NATS_URL`), for example `nats://user:password@host:4222`, several
/// servers separated by commas. It may hold a password, so there is no flag for it; `ROSTERD_NATS_URL_FILE` names a
/// file that holds it. Without any: `nats://127.0.0.1:4222`. `RUST_LOG` chooses what is logged.
#[derive(Debug, Clone, Parser)]
#[command(name = "ingress", version)]
pub struct Config {
    /// Address and port to serve HTTP on; port 0 takes a free one.
    #[arg(long, env = "ROSTERD_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// What every location in an answer begins with, as providers reach this server [default: `http://` and the address].
    #[arg(long, env = "ROSTERD_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// File that holds the broker's URL.
    #[arg(long, env = "ROSTERD_NATS_URL_FILE")]
    pub nats_url_file: Option<PathBuf>,

    /// The broker's URL, when the caller knows it; never an argument.
    #[arg(skip)]
    pub nats_url: Option<NatsUrl>,

    /// What all subjects, streams and buckets of this installation begin with.
    #[arg(long, env = "ROSTERD_NAMESPACE", default_value = "rosterd")]
    pub namespace: Namespace,

    /// The largest body of a request on a user, in bytes.
    #[arg(long, env = "ROSTERD_MAX_BODY", default_value_t = 1024 * 1024)]
    pub max_body: usize,

    /// The largest body of a request on a group, in bytes; the broker's `max_payload` caps both.
    #[arg(long, env = "ROSTERD_MAX_GROUP_BODY", default_value_t = 8 * 1024 * 1024)]
    pub max_group_body: usize,

    /// The largest body of a bulk request, in bytes.
    #[arg(long, env = "ROSTERD_MAX_BULK_BODY", default_value_t = 8 * 1024 * 1024)]
    pub max_bulk_body: usize,

    /// The most operations of a bulk request.
    #[arg(long, env = "ROSTERD_MAX_BULK_OPERATIONS", default_value_t = 2_000)]
    pub max_bulk_operations: usize,

    /// How long a request may wait for its outcome or its answer, in seconds; providers give up after 60.
    #[arg(long, env = "ROSTERD_ANSWER_DEADLINE", default_value = "50", value_parser = answer_deadline)]
    pub answer_deadline: Duration,

    /// How long a connection may be idle between two requests, in seconds; longer than the load balancer in front keeps
    /// its connections, which loses a request where this side closes first. The head of a request has 10 seconds.
    #[arg(long, env = "ROSTERD_IDLE_TIMEOUT", default_value = "75", value_name = "SECONDS", value_parser = idle_timeout)]
    pub idle_timeout: Duration,

    /// How long the process goes on accepting connections after SIGTERM, in seconds, while `/readyz` says that it is not
    /// ready and answers say `Connection: close`; longer than the load balancer in front takes to see that. Then it
    /// finishes what is in flight, for up to 55 seconds. A second signal ends it at once.
    #[arg(long, env = "ROSTERD_DRAIN_DELAY", default_value = "5", value_name = "SECONDS", value_parser = drain_delay)]
    pub drain_delay: Duration,

    /// How logs look [default: text on a terminal, else json].
    #[arg(long = "log", env = "ROSTERD_LOG", value_enum)]
    pub log: Option<LogFormat>,
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named by `ROSTERD_NATS_URL_FILE` cannot be read.
    #[error("reading the broker's URL from {path}")]
    NatsUrlFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The broker's URL, which may hold a password: it prints without one.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsUrl(String);

impl NatsUrl {
    /// Takes a URL, or several separated by commas.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The servers' URLs, secrets included.
    pub fn reveal(&self) -> Vec<String> {
        self.0.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect()
    }
}

impl fmt::Debug for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NatsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, url) in self.reveal().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
            let shown = rest.rsplit_once('@').map_or_else(|| rest.to_owned(), |(_, host)| format!("***@{host}"));
            write!(f, "{comma}{scheme}://{shown}")?;
        }
        Ok(())
    }
}

impl Config {
    /// The broker's URL: the caller's, the file's, the environment's, or the local default.
    pub fn broker(&self) -> Result<NatsUrl, ConfigError> {
        if let Some(url) = &self.nats_url {
            return Ok(url.clone());
        }
        if let Some(path) = &self.nats_url_file {
            let read = std::fs::read_to_string(path);
            let text = read.map_err(|source| ConfigError::NatsUrlFile { path: path.clone(), source })?;
            return Ok(NatsUrl::new(text.trim()));
        }
        let named = ["ROSTERD_NATS_URL", "NATS_URL"].into_iter().find_map(environment);
        Ok(NatsUrl::new(named.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned())))
    }
}

#[expect(clippy::disallowed_methods, reason = "a secret must not be an argument, so it is no clap field")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let parsed: http::Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
    match (parsed.scheme_str(), parsed.query()) {
        (Some("http" | "https"), None) => Ok(url.to_owned()),
        _ => Err("must begin with http:// or https:// and have no query".to_owned()),
    }
}

fn answer_deadline(text: &str) -> Result<Duration, String> {
    match text.parse() {
        // Nothing is published in the last 5 seconds before the deadline.
        Ok(seconds @ 6..=55) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be 6 to 55 seconds".to_owned()),
    }
}

fn idle_timeout(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be 1 to 3600 seconds".to_owned()),
    }
}

fn drain_delay(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 0..=300) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be 0 to 300 seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_url_prints_without_its_password() {
        let url = NatsUrl::new("nats://alice:s3cret@one:4222, tls://t0ken@two:4222,nats://three:4222");
        assert_eq!(format!("{url:?}"), "nats://***@one:4222,tls://***@two:4222,nats://three:4222");
    }

    #[test]
    fn a_public_url_loses_its_trailing_slash_and_must_be_http() {
        assert_eq!(public_url("https://scim.example.com/base/"), Ok("https://scim.example.com/base".to_owned()));
        assert!(public_url("scim.example.com").is_err());
        assert!(public_url("https://scim.example.com/?a=b").is_err());
    }

    #[test]
    fn the_answer_deadline_stays_below_the_providers_timeout() {
        assert_eq!(answer_deadline("50"), Ok(Duration::from_secs(50)));
        assert!(answer_deadline("60").is_err() && answer_deadline("5").is_err() && answer_deadline("x").is_err());
    }
}
