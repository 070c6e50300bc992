//! The audit log: read.

use protocol::message::operator::{AuditLog, AuditRecord};
use protocol::time::Timestamp;

use super::Failure;
use crate::store::{Store, audit};

/// Acts, newest first.
pub(super) async fn log(store: &Store, asked: &AuditLog, _: Timestamp) -> Result<Vec<AuditRecord>, Failure> {
    Ok(audit::read(store, asked).await?)
}
