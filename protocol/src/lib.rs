//! What rosterd says and decides: SCIM 2.0 as types, the messages that travel through the log, and the pure function
//! [`decide`](decide::decide) that turns a command into a change.
//!
//! Nothing here does I/O, reads a clock or draws randomness: time and ids come in as parameters. `ingress` speaks these
//! types over HTTP, `worker` applies them to SQL, and both agree because they share this crate.
//!
//! Read in this order: [`scim`] (the standard), [`message`] (what travels), [`ownership`], [`access`] and [`decide`] (the rules),
//! [`credential`] (who may ask).

pub mod access;
pub mod credential;
pub mod decide;
pub mod failpoint;
pub mod id;
pub mod message;
pub mod ownership;
pub mod profile;
pub mod replay;
pub mod scim;
pub mod time;
