//! What a worker is told at start: one struct, each field a flag and an environment variable.

use std::time::Duration;

use runtime::operations::OperationsSettings;
use runtime::settings::{BrokerSettings, DatabaseSettings};
use runtime::telemetry::LogFormat;

const EXAMPLE: &str = "\
Example:
  ROSTERD_NATS_URL=nats://broker:4222 ROSTERD_DATABASE_URL=postgres://me@host/rosterd \\
    rosterd worker --migrate";

/// Applies the log to SQL and answers what is read.
///
/// Each operation is applied exactly once and in order. The database is found through `ROSTERD_DATABASE_URL` (or `DATABASE_URL`), `postgres://user@host/name` or
/// `sqlite://path`; the broker through `ROSTERD_NATS_URL` (or `NATS_URL`), several servers separated by commas, without
/// any `nats://127.0.0.1:4222`. Both may hold passwords, so there is no flag for them; `…_FILE` names a file that holds
/// the value.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Config {
    /// Where the broker is.
    #[command(flatten)]
    pub broker: BrokerSettings,

    /// Where probes and metrics are served.
    #[command(flatten)]
    pub operations: OperationsSettings,

    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseSettings,

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

    /// How many servers of the broker keep the log, from 1 to 5; 3 survive the loss of one.
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

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(|seconds: u32| Duration::from_secs(seconds.into()))
}
