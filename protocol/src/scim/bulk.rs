//! Many operations in one request (RFC 7644 §3.7): what it asks, in which order that is done, and what is answered.

mod operation;
mod plan;
mod reference;
mod request;
mod response;

pub use operation::{Action, Body, BulkOperation, NameClaim, ResourceRef, Target};
pub use plan::{Plan, Ready, Settled};
pub use reference::resolve;
pub use request::BulkRequest;
pub use response::{BulkResponse, BulkResult};

/// The URN of a request.
pub const BULK_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// The URN of an answer.
pub const BULK_RESPONSE_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// What one request may hold (`bulk` in `ServiceProviderConfig`). Beyond it: 413, which names the limit (RFC 7644 §3.7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkLimits {
    /// `maxOperations`.
    pub operations: usize,
    /// `maxPayloadSize`, in bytes.
    pub bytes: usize,
}
