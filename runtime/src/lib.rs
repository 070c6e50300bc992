//! What every rosterd process has: settings and secrets, logs, the clock and ids, the connection to the broker, what the
//! broker says to a publish, delays between attempts, signals, failpoints, and what operators ask of it: status, probes,
//! metrics. It knows no SCIM over HTTP and no SQL.

pub mod backoff;
pub mod clock;
pub mod connection;
pub mod failpoint;
pub mod ids;
pub mod lock;
pub mod log_status;
pub mod metrics;
pub mod operations;
pub mod publish_ack;
pub mod reply_parts;
pub mod settings;
pub mod signals;
pub mod snapshot;
pub mod status;
pub mod telemetry;
