//! The HTTP edge of rosterd: speaks SCIM, authenticates, validates, appends to the log, waits for the outcome, answers.
//!
//! It knows no database: what it cannot answer from memory it asks a worker. One request's way through the files:
//! [`router`] → `auth` → `extract` → `resources` → [`gateway`] ⇒ log and worker ⇒ `gateway::underway` → `response`.

mod auth;
mod bulk;
pub mod config;
pub mod credentials;
mod discovery;
mod drain_body;
mod error;
mod extract;
pub mod gate;
pub mod gateway;
pub mod health;
mod last_answer;
mod member_stream;
mod metrics;
mod probes;
mod process;
mod product_calls;
pub mod pulse;
mod request;
mod resources;
mod response;
pub mod router;
mod serve;
pub mod state;

pub use config::Config;
pub use serve::{RunError, run};
