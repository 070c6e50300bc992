//! What all processes of a system say of themselves, asked at once.

use std::time::Duration;

use futures::StreamExt;
use protocol::message::lane::Lane;
use protocol::message::status::{
    DatabaseAnswer, IngressStatus, LaneStatus, LogStatus, RoleStatus, Status, WorkerStatus,
};
use tokio::time::{Instant, timeout_at};

use super::management::{CallError, Management};

/// How long answers are waited for: processes answer within 300 ms.
const GATHER_TIMEOUT: Duration = Duration::from_millis(750);
/// How long the first one is waited for: everything may be busy.
const FIRST_TIMEOUT: Duration = Duration::from_secs(3);
/// What the broker says where there is no subscription.
const NO_RESPONDERS: u16 = 503;

/// The answers of all processes.
#[derive(Debug, Clone, Default)]
pub(super) struct Statuses(pub(super) Vec<Status>);

impl Statuses {
    /// Asks. An error if no process answers.
    pub(super) async fn gather(management: &Management) -> Result<Self, CallError> {
        let (client, namespace) = (management.client(), management.namespace());
        let unanswered = || CallError::NoProcess { namespace: namespace.clone() };
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(|_| unanswered())?;
        let asked = client.publish_with_reply(namespace.status(), inbox, "{}".into()).await;
        asked.map_err(|_| unanswered())?;
        let began = Instant::now();
        let mut answers = Vec::new();
        loop {
            let limit = if answers.is_empty() { FIRST_TIMEOUT } else { GATHER_TIMEOUT };
            match timeout_at(began + limit, replies.next()).await {
                Ok(Some(reply)) if reply.status.is_some_and(|status| status.as_u16() == NO_RESPONDERS) => break,
                // What cannot be read is of a process of another version.
                Ok(Some(reply)) => answers.extend(serde_json::from_slice::<Status>(&reply.payload).ok()),
                Ok(None) | Err(_) => break,
            }
        }
        answers.sort_by(|one: &Status, other| one.instance.cmp(&other.instance));
        if answers.is_empty() { Err(unanswered()) } else { Ok(Self(answers)) }
    }

    /// The ingresses.
    pub(super) fn ingresses(&self) -> impl Iterator<Item = (&Status, &IngressStatus)> {
        self.0.iter().filter_map(|status| match &status.role {
            RoleStatus::Ingress(own) => Some((status, own)),
            RoleStatus::Worker(_) => None,
        })
    }

    /// The workers.
    pub(super) fn workers(&self) -> impl Iterator<Item = (&Status, &WorkerStatus)> {
        self.0.iter().filter_map(|status| match &status.role {
            RoleStatus::Worker(own) => Some((status, own)),
            RoleStatus::Ingress(_) => None,
        })
    }

    /// The log, as the process saw it that saw the most of it.
    pub(super) fn log(&self) -> Option<&LogStatus> {
        self.0.iter().filter_map(|status| status.log.as_ref()).max_by_key(|log| log.last_sequence)
    }

    /// A lane of the log.
    pub(super) fn lane(&self, lane: Lane) -> Option<&LaneStatus> {
        self.log()?.lanes.iter().find(|known| known.lane == lane)
    }

    /// The database, as a worker saw it that got an answer.
    pub(super) fn database(&self) -> Option<&DatabaseAnswer> {
        // Of all workers the one that has drawn the balance last.
        let answers = self.workers().filter_map(|(_, own)| own.database.answered.as_ref());
        answers.max_by_key(|answer| answer.balance.as_ref().map(|balance| balance.drawn_at))
    }

    /// How many commands of a lane wait in ingresses.
    pub(super) fn waiting(&self, lane: Lane) -> u64 {
        let lanes = self.ingresses().flat_map(|(_, own)| &own.lanes);
        lanes.filter(|own| own.lane == lane).map(|own| own.waiting).sum()
    }

    /// How many messages of a lane are settled in a second.
    pub(super) fn per_second(&self, lane: Lane) -> f64 {
        let lanes = self.workers().flat_map(|(_, own)| &own.settled);
        lanes.filter(|own| own.lane == lane).map(|own| own.per_second).sum()
    }
}
