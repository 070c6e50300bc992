//! What a worker is told at start: one struct, each field a flag and an environment variable.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use protocol::id::Namespace;

/// Applies the log to SQL, each operation exactly once and in order, and answers what is read.
///
/// The database is found through `ROSTERD_DATABASE_URL` (or `DATABASE_URL`), `postgres://user@host/name` or
/// `sqlite://path`; the broker through `ROSTERD_NATS_URL` (or `NATS_URL`), several servers separated by commas, without
/// any `nats://127.0.0.1:4222`. Both may hold passwords, so there is no flag for them; `…_FILE` names a file that holds
/// the value.
#[derive(Clone, clap::Args)]
pub struct Config {
    /// File that holds the broker's URL.
    #[arg(long, env = "ROSTERD_NATS_URL_FILE")]
    pub nats_url_file: Option<PathBuf>,

    /// File that holds the database's URL.
    #[arg(long, env = "ROSTERD_DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,

    /// What all subjects, streams and buckets of this installation begin with.
    #[arg(long, env = "ROSTERD_NAMESPACE", default_value = "rosterd")]
    pub namespace: Namespace,

    /// Bring the database's schema up to date before the start.
    #[arg(long, env = "ROSTERD_MIGRATE")]
    pub migrate: bool,

    /// The most commands in one transaction; 1 commits each on its own.
    #[arg(long, env = "ROSTERD_BATCH", default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub batch: u16,

    /// How many transactions may run at once; 2 on SQLite, which has one writer, and 4 on PostgreSQL if not set. One more
    /// is kept for what takes access away. On PostgreSQL a worker holds at most two connections more than slots for
    /// transactions, and four for queries: ten if not set.
    #[arg(long, env = "ROSTERD_SLOTS", value_parser = clap::value_parser!(u16).range(2..=64))]
    pub slots: Option<u16>,

    /// How long a command has to fail by itself, while others are applied, before it becomes a dead letter, in seconds.
    #[arg(long, env = "ROSTERD_DEAD_LETTER_AFTER", default_value_t = 600)]
    pub dead_letter_after: u64,

    /// How many servers of the broker keep the log: 1, or an odd number up to 5; 3 survives the loss of one.
    #[arg(long, env = "ROSTERD_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,

    /// How large the log may grow before it refuses what is new, in bytes.
    #[arg(long, env = "ROSTERD_LOG_MAX_BYTES", default_value_t = 4 * 1024 * 1024 * 1024)]
    pub log_max_bytes: u64,

    /// End the process when none of its tasks has made progress for this many seconds, so that others take over what it
    /// holds and a supervisor starts it again; 0 never does. A process that was only stopped and continued is not ended.
    #[arg(long, env = "ROSTERD_WATCHDOG", default_value = "20", value_name = "SECONDS", value_parser = seconds)]
    pub watchdog: Duration,

    /// How logs look [default: text on a terminal, else json]; `RUST_LOG` chooses what is logged.
    #[arg(long = "log", env = "ROSTERD_LOG", value_enum)]
    pub log: Option<LogFormat>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one object a line.
    Json,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The database is not named.
    #[error("no database: set ROSTERD_DATABASE_URL or ROSTERD_DATABASE_URL_FILE")]
    NoDatabase,
    /// A file that holds a URL cannot be read.
    #[error("reading a URL from {path}")]
    UrlFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Config {
    /// The broker's servers: from the file, the environment, or the local default.
    pub fn nats_urls(&self) -> Result<Vec<String>, ConfigError> {
        let given = match &self.nats_url_file {
            Some(path) => Some(read(path)?),
            None => ["ROSTERD_NATS_URL", "NATS_URL"].into_iter().find_map(environment),
        };
        let urls = given.unwrap_or_else(|| "nats://127.0.0.1:4222".to_owned());
        Ok(urls.split(',').map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()).collect())
    }

    /// The database's URL: from the file or the environment.
    pub fn database_url(&self) -> Result<String, ConfigError> {
        match &self.database_url_file {
            Some(path) => read(path),
            None => ["ROSTERD_DATABASE_URL", "DATABASE_URL"]
                .into_iter()
                .find_map(environment)
                .ok_or(ConfigError::NoDatabase),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(|seconds: u32| Duration::from_secs(seconds.into()))
}

fn read(path: &PathBuf) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path);
    text.map(|text| text.trim().to_owned()).map_err(|source| ConfigError::UrlFile { path: path.clone(), source })
}

#[expect(clippy::disallowed_methods, reason = "a secret must not be an argument, so it is no clap field")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// URLs can hold passwords: they are never printed.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("namespace", &self.namespace)
            .field("migrate", &self.migrate)
            .field("batch", &self.batch)
            .field("slots", &self.slots)
            .field("dead_letter_after", &self.dead_letter_after)
            .field("replicas", &self.replicas)
            .field("log_max_bytes", &self.log_max_bytes)
            .finish_non_exhaustive()
    }
}
