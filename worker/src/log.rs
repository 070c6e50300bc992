//! The log in the broker: declared, compared with SQL, pulled lane by lane, read, kept alive, acknowledged.

pub(crate) mod acknowledge;
pub(crate) mod consistency;
pub(crate) mod declare;
pub(crate) mod delivery;
pub(crate) mod leftovers;
pub(crate) mod progress;
pub(crate) mod pull;
#[cfg(test)]
pub(crate) mod testing;
