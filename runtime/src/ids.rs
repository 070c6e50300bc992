//! Where ids are made: the only source of randomness for names.

use protocol::id::{IngressId, InvalidId, OperationId, ResourceId};
use rand::distr::{Alphanumeric, SampleString};

/// A new operation.
pub fn operation() -> OperationId {
    OperationId(time_ordered())
}

/// The id of a resource that is about to be created.
pub fn resource() -> ResourceId {
    ResourceId(time_ordered())
}

/// The id of a record of something that was done.
pub fn record() -> uuid::Uuid {
    time_ordered()
}

/// The name of a batch of messages, unlike all others of this server.
pub fn batch() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 22)
}

/// The name of this process, new at each start.
pub fn ingress() -> Result<IngressId, InvalidId> {
    Alphanumeric.sample_string(&mut rand::rng(), 16).parse()
}

/// The name of a worker, new at each start.
pub fn worker() -> String {
    format!("w-{}", Alphanumeric.sample_string(&mut rand::rng(), 8))
}

/// A W3C trace context for a request that came without one; its sampled flag is off.
pub fn trace_parent() -> String {
    // The specification forbids ids of zeros only.
    let (trace, span) = (rand::random::<u128>().max(1), rand::random::<u64>().max(1));
    format!("00-{trace:032x}-{span:016x}-00")
}

#[expect(clippy::disallowed_methods, reason = "the one place where ids are made")]
fn time_ordered() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}
