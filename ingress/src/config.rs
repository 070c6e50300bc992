//! Configuration: one struct, every setting documented on its field.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Parser;
use runtime::operations::OperationsSettings;
use runtime::settings::BrokerSettings;
use runtime::telemetry::LogFormat;

const EXAMPLE: &str = "\
Example:
  ROSTERD_NATS_URL=nats://broker:4222 ROSTERD_PUBLIC_URL=https://scim.example.com \\
    rosterd ingress --listen 0.0.0.0:8080";

/// Speaks SCIM over HTTP and appends every change to the log.
///
/// The broker is found through `ROSTERD_NATS_URL` (or `NATS_URL`), for example `nats://user:password@host:4222`, several
/// servers separated by commas. It may hold a password, so there is no flag for it; `ROSTERD_NATS_URL_FILE` names a
/// file that holds it. Without any: `nats://127.0.0.1:4222`. `RUST_LOG` chooses what is logged.
#[derive(Debug, Clone, Parser)]
#[command(name = "ingress", version, after_help = EXAMPLE)]
pub struct Config {
    /// Address and port to serve HTTP on; port 0 takes a free one.
    #[arg(long, env = "ROSTERD_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// What every location in an answer begins with, as providers reach this server [default: `http://` and the address].
    #[arg(long, env = "ROSTERD_PUBLIC_URL", value_parser = public_url)]
    pub public_url: Option<String>,

    /// Where probes and metrics are served.
    #[command(flatten)]
    pub operations: OperationsSettings,

    /// Where the broker is.
    #[command(flatten)]
    pub broker: BrokerSettings,

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
    #[arg(long, env = "ROSTERD_ANSWER_DEADLINE", default_value = "50", value_parser = seconds(ANSWER_DEADLINE))]
    pub answer_deadline: Duration,

    /// How long a connection may be idle between two requests, in seconds; longer than the load balancer in front keeps
    /// its connections, which loses a request where this side closes first. The head of a request has 10 seconds.
    #[arg(long, env = "ROSTERD_IDLE_TIMEOUT", default_value = "75", value_name = "SECONDS", value_parser = seconds(1..=3600))]
    pub idle_timeout: Duration,

    /// How long the process goes on accepting connections after SIGTERM, in seconds, while `/readyz` says that it is not
    /// ready and answers say `Connection: close`; longer than the load balancer in front takes to see that. Then it
    /// finishes what is in flight, for up to 55 seconds. A second signal ends it at once.
    #[arg(long, env = "ROSTERD_DRAIN_DELAY", default_value = "5", value_name = "SECONDS", value_parser = seconds(0..=300))]
    pub drain_delay: Duration,

    /// How logs look [default: text on a terminal, else json].
    #[arg(long = "log", env = "ROSTERD_LOG", value_enum)]
    pub log: Option<LogFormat>,
}

fn public_url(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let parsed: http::Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
    match (parsed.scheme_str(), parsed.query()) {
        (Some("http" | "https"), None) => Ok(url.to_owned()),
        _ => Err("must begin with http:// or https:// and have no query".to_owned()),
    }
}

/// Nothing is published in the last 5 seconds before the deadline, and providers give up after 60.
const ANSWER_DEADLINE: RangeInclusive<u64> = 6..=55;

fn seconds(allowed: RangeInclusive<u64>) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(seconds) if allowed.contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("must be {} to {} seconds", allowed.start(), allowed.end())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_loses_its_trailing_slash_and_must_be_http() {
        assert_eq!(public_url("https://scim.example.com/base/"), Ok("https://scim.example.com/base".to_owned()));
        assert!(public_url("scim.example.com").is_err());
        assert!(public_url("https://scim.example.com/?a=b").is_err());
    }

    #[test]
    fn the_answer_deadline_stays_below_the_providers_timeout() {
        let answer_deadline = seconds(ANSWER_DEADLINE);
        assert_eq!(answer_deadline("50"), Ok(Duration::from_secs(50)));
        assert!(answer_deadline("60").is_err() && answer_deadline("5").is_err() && answer_deadline("x").is_err());
    }
}
