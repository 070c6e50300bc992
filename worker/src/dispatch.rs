//! What was delivered becomes batches: in which order, with which predecessors, and what becomes of each command.

pub(crate) mod ahead;
pub(crate) mod batch_runner;
pub(crate) mod dispatcher;
pub(crate) mod failures;
pub(crate) mod first_effect;
pub(crate) mod held;
pub(crate) mod predecessors;
mod queues;
pub(crate) mod recent_sequences;
pub(crate) mod schedule;
pub(crate) mod segment;
