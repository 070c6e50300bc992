//! What goes between this worker and the ingresses and operators beside the log: queries, calls, outcomes, reports of
//! answered creates, and the projection of credentials.

pub(crate) mod answered;
pub(crate) mod balance;
pub(crate) mod credential_projection;
pub(crate) mod fate;
pub(crate) mod lanes;
pub mod operator;
pub(crate) mod outcomes;
pub(crate) mod pending;
pub(crate) mod queries;
