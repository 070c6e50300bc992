//! The router in process, with a gateway that records instead of a broker.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails is what a panic is for")]

mod authentication;
mod health;
mod recording;
mod refusals;
mod requests;
mod streamed;
