//! Replay of dead letters: what they say, how replays of them would end, and the one place outside the ingresses that
//! publishes commands.

pub(crate) mod letter;
pub(crate) mod plan;
pub(crate) mod publisher;
