//! Tells workers which dialect a workspace's requests speak, once for each change, and not too often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::Client;
use protocol::id::{Namespace, WorkspaceId};
use protocol::message::operator::{DialectSeen, OperatorError, Workspace};
use protocol::scim::dialect::Dialect;
use runtime::lock::locked;
use tokio::time::Instant;

/// How long a worker may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that changes the dialect with each request makes workers write no more often than this.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// How many workspaces are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// What was told. Nothing depends on it but what operators are shown.
#[derive(Debug, Clone, Default)]
pub(super) struct DialectReports(Arc<Mutex<HashMap<WorkspaceId, (Dialect, Instant)>>>);

impl DialectReports {
    /// Tells of a dialect, unless it was the last one told of this workspace.
    pub(super) fn tell(&self, client: &Client, namespace: &Namespace, workspace: &WorkspaceId, dialect: Dialect) {
        if !self.is_news(workspace, dialect) {
            return;
        }
        let call = DialectSeen { workspace: workspace.clone(), dialect };
        let (client, subject, reports) = (client.clone(), namespace.operator_call::<DialectSeen>(), self.clone());
        tokio::spawn(async move {
            let Ok(payload) = serde_json::to_vec(&call) else { return };
            let asked = tokio::time::timeout(ANSWER_TIMEOUT, client.request(subject, payload.into())).await;
            let told = asked.ok().and_then(Result::ok).is_some_and(|reply| {
                let result = serde_json::from_slice::<Result<Workspace, OperatorError>>(&reply.payload);
                result.is_ok_and(|result| result.is_ok())
            });
            if !told {
                locked(&reports.0).remove(&call.workspace);
            }
        });
    }

    fn is_news(&self, workspace: &WorkspaceId, dialect: Dialect) -> bool {
        let mut told = locked(&self.0);
        let is_news = match told.get(workspace) {
            Some((last, at)) => *last != dialect && at.elapsed() >= REPORT_INTERVAL,
            None => told.len() < MAX_REMEMBERED,
        };
        if is_news {
            told.insert(workspace.clone(), (dialect, Instant::now()));
        }
        is_news
    }
}
