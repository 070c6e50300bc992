//! What every rosterd process has: settings and secrets, logs, the clock and ids, the connection to the broker, what the
//! broker says to a publish, delays between attempts, signals, failpoints. It knows neither HTTP nor SQL.

pub mod backoff;
pub mod clock;
pub mod connection;
pub mod failpoint;
pub mod ids;
pub mod lock;
pub mod publish_ack;
pub mod settings;
pub mod signals;
pub mod telemetry;
