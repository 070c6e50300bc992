//! Bodies that no message holds: a group's members are asked for page by page, each page when the client has taken what
//! came before it. So a body takes the memory of a page or two, however large the group is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream::try_unfold;
use protocol::id::{ResourceId, WorkspaceId};
use protocol::message::query::{ListMembers, MemberPage};
use protocol::scim::projection::Projection;
use protocol::scim::render::{ListResponse, OpenGroup};
use protocol::scim::resource::Resource;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use crate::gate::{Gate, Work};
use crate::gateway::{Gateway, GatewayError};

/// How many member rows a page holds at most.
const PAGE: u64 = 1_000;
/// How long a page may take, the wait for its turn included.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a body may take altogether. A client that takes nothing for long loses its connection before
/// (`serve/write_timeout.rs`).
const WITHIN: Duration = Duration::from_mins(10);

/// The pieces of a body, in their order.
#[derive(Default)]
pub(crate) struct BodyParts {
    before: VecDeque<BodyPart>,
    /// The text after them.
    text: Vec<u8>,
}

/// A part of a body.
enum BodyPart {
    /// Text that is known.
    Text(Vec<u8>),
    /// A group's members, and its end.
    Members(OpenGroup),
}

impl BodyParts {
    /// Those of a list.
    pub(crate) fn of_list(list: &ListResponse<'_>) -> serde_json::Result<Self> {
        let mut parts = Self::default();
        list.open(&mut parts.text)?;
        for (index, resource) in list.resources.iter().enumerate() {
            if index > 0 {
                parts.text.push(b',');
            }
            parts = parts.resource(resource, list.base_url, list.projection)?;
        }
        parts.text.extend_from_slice(ListResponse::END);
        Ok(parts)
    }

    /// And those of a resource.
    pub(crate) fn resource(
        mut self,
        resource: &Resource,
        base_url: &str,
        projection: &Projection,
    ) -> serde_json::Result<Self> {
        if let Some(group) = resource.open(base_url, projection, &mut self.text)? {
            self.before.push_back(BodyPart::Text(std::mem::take(&mut self.text)));
            self.before.push_back(BodyPart::Members(group));
        }
        Ok(self)
    }

    /// A body that asks for the members as it is read.
    pub(crate) fn into_body(
        self,
        gateway: Arc<dyn Gateway>,
        gate: Arc<Gate>,
        workspace: WorkspaceId,
        base_url: String,
    ) -> Body {
        let Self { before: mut parts, text } = self;
        parts.push_back(BodyPart::Text(text));
        let until = Instant::now() + WITHIN;
        let rest = MemberStream { gateway, gate, workspace, base_url, parts, after: None, until };
        Body::from_stream(try_unfold(rest, MemberStream::next))
    }
}

/// Why a body ends too early. The client sees a body that is cut off, never one that seems complete.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("a page of members could not be had")]
    NoPage(#[from] GatewayError),
    #[error("a page of members could not be written as JSON")]
    Encode(#[from] serde_json::Error),
    #[error("a page of members took too long")]
    Late(#[from] Elapsed),
    #[error("the client takes it too slowly")]
    TooSlow,
}

/// What of a body is still to be written.
struct MemberStream {
    gateway: Arc<dyn Gateway>,
    gate: Arc<Gate>,
    workspace: WorkspaceId,
    base_url: String,
    parts: VecDeque<BodyPart>,
    /// The last member row of the first group that was looked at.
    after: Option<ResourceId>,
    until: Instant,
}

impl MemberStream {
    /// The next bytes, when the connection has room for them.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StreamError> {
        match self.bytes().await {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => Ok(Some((bytes, self))),
            Err(cut) => {
                let error: &dyn std::error::Error = &cut;
                let cause = error.source().map(ToString::to_string);
                tracing::warn!(workspace = %self.workspace, %cut, cause, "an answer with a large group ends too early");
                Err(cut)
            }
        }
    }

    async fn bytes(&mut self) -> Result<Option<Bytes>, StreamError> {
        let mut bytes = Vec::new();
        while bytes.is_empty() {
            match self.parts.pop_front() {
                None => return Ok(None),
                Some(BodyPart::Text(text)) => bytes = text,
                Some(BodyPart::Members(group)) => self.page(group, &mut bytes).await?,
            }
        }
        Ok(Some(bytes.into()))
    }

    async fn page(&mut self, mut group: OpenGroup, bytes: &mut Vec<u8>) -> Result<(), StreamError> {
        if Instant::now() >= self.until {
            return Err(StreamError::TooSlow);
        }
        let MemberPage { members, next } = timeout(PAGE_TIMEOUT, self.ask(&group)).await??;
        group.write(&members, &self.base_url, bytes)?;
        self.after = next;
        if next.is_some() {
            self.parts.push_front(BodyPart::Members(group));
        } else {
            group.end(bytes);
        }
        Ok(())
    }

    /// A permit is held only until the page is there, not while the client takes it.
    async fn ask(&self, group: &OpenGroup) -> Result<MemberPage, GatewayError> {
        let query = ListMembers { group: group.id, after: self.after, count: PAGE, display: group.shows_display() };
        let waiting = self.gate.queue(Work::MemberPage, &self.workspace).ok_or(GatewayError::TooManyRequests)?;
        let _permit = waiting.enter().await;
        self.gateway.ask(&self.workspace, query).await
    }
}
