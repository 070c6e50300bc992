//! What every request handler shares.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{IngressId, WorkspaceId};
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::scim::bulk::BulkLimits;
use protocol::scim::resource_type::ResourceType;
use protocol::time::Timestamp;
use runtime::clock;
use tokio::time::Instant;

use crate::credentials::Credentials;
use crate::gate::{Gate, Waiting, Work};
use crate::gateway::{Gateway, GatewayError, NewCommand, Timing};
use crate::health::Health;
use crate::pulse::Pulse;

/// The state of the router; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The way to the log and to the workers.
    pub gateway: Arc<dyn Gateway>,
    /// Who may ask.
    pub credentials: Arc<Credentials>,
    /// Whether this process can serve.
    pub health: Arc<Health>,
    /// How much is worked on at a time.
    pub gate: Arc<Gate>,
    /// Whether this process was standing still.
    pub pulse: Pulse,
    /// What the configuration says.
    pub settings: Arc<Settings>,
}

impl AppState {
    /// A place for a command among those of its workspace and lane that wait.
    pub(crate) fn wait(&self, workspace: &WorkspaceId, lane: Lane) -> Result<Waiting, GatewayError> {
        self.gate.queue(Work::Command(lane), workspace).ok_or(GatewayError::TooManyRequests)
    }

    /// Has a command applied: appends it, then waits for its outcome.
    pub(crate) async fn apply(
        &self,
        envelope: Envelope<Command>,
        lane: Lane,
        timing: Timing,
    ) -> Result<Outcome, GatewayError> {
        let waiting = self.wait(&envelope.workspace, lane)?;
        self.gateway.append(NewCommand { envelope, lane, timing, waiting }).await?.outcome().await
    }
}

/// On which terms requests are served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What every location begins with, without a trailing slash.
    pub public_url: String,
    /// This process.
    pub ingress: IngressId,
    /// How long a request may wait for its outcome.
    pub answer_within: Duration,
    /// The largest body of a request on a user, in bytes.
    pub max_user_body: usize,
    /// The largest body of a request on a group, in bytes.
    pub max_group_body: usize,
    /// The largest bulk request.
    pub bulk: BulkLimits,
}

impl Settings {
    /// Nothing is published in this span before the answer's deadline: a copy that the log stores late must still be
    /// answered, or refused, before the provider gives up.
    pub const PUBLISH_MARGIN: Duration = Duration::from_secs(5);

    /// The deadlines of a request whose head was read at `began` and that was complete at `complete`.
    pub fn timing(&self, began: Instant, complete: Instant) -> Timing {
        let answer_by = began + self.answer_within;
        let publish_by = answer_by - Self::PUBLISH_MARGIN.min(self.answer_within);
        Timing { complete, doubt: Duration::ZERO, publish_by, answer_by }
    }

    /// The same as a time of day, for a message whose attempts do not say until when they are valid.
    pub fn publish_deadline(&self, began: Instant) -> Timestamp {
        let left = self.timing(began, began).publish_by.saturating_duration_since(Instant::now());
        clock::now().after(left)
    }

    /// The Base URL that providers have for a workspace; locations begin with it.
    pub fn base_url(&self, workspace: &WorkspaceId) -> String {
        format!("{}/scim/v2/{workspace}", self.public_url)
    }

    /// The largest body for a kind of resource, in bytes, given the largest message that the broker takes.
    pub fn body_limit(&self, resource_type: ResourceType, max_payload: usize) -> usize {
        let limit = match resource_type {
            ResourceType::User => self.max_user_body,
            ResourceType::Group => self.max_group_body,
        };
        limit.min(max_payload)
    }
}
