//! What travels through the broker: commands in envelopes, their outcomes, queries and their answers, and the names of
//! every subject, stream, consumer and header.

pub mod answered;
pub mod attempt;
pub mod command;
pub mod envelope;
pub mod header;
pub mod lane;
pub mod operator;
pub mod outcome;
pub mod pending;
pub mod query;
pub mod status;
pub mod subject;
