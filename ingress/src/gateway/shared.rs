//! What all commands of a gateway share.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::Namespace;
use runtime::connection::Connection;

use super::admission::Admission;
use super::answered_creates::AnsweredCreates;
use super::append::Appender;
use super::dialect_reports::DialectReports;
use super::observer::Observed;
use super::pending_outcomes::PendingOutcomes;
use super::query_client::QueryClient;
use super::turns::Turns;

/// The parts of a [`JetStream`](super::JetStream).
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) namespace: Namespace,
    pub(super) connection: Connection,
    pub(super) appender: Appender,
    pub(super) pending: PendingOutcomes,
    pub(super) asking: QueryClient,
    pub(super) admission: Admission,
    pub(super) turns: Turns,
    pub(super) observed: Arc<Observed>,
    pub(super) creates: AnsweredCreates,
    pub(super) reports: DialectReports,
    /// How long a read is held.
    pub(super) answer_within: Duration,
}
