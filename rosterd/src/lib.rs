//! The operator's command, as a library: what the binary does, and what end-to-end tests start.
//!
//! [`servers`] finds, fetches and starts nats-server and PostgreSQL; [`dev`] keeps a whole system running; [`simulate`]
//! plays a provider; [`demo`] shows both in ten seconds; [`client`] sends SCIM requests; [`cli`] is the command line.

pub mod cli;
pub mod client;
pub mod demo;
pub mod dev;
pub mod servers;
pub mod simulate;
mod terminal;

pub use terminal::say;
