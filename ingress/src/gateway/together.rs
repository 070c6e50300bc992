//! Several commands of one request: new resources all at once, changes of one resource one after the other.

use std::sync::Arc;

use futures::future::join_all;
use protocol::message::command::Command;
use protocol::message::envelope::Envelope;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout_at;

use super::GatewayError;
use super::chain::Outgoing;
use super::jetstream::{Deadlines, Inner, Pending, Stage};
use crate::clock;

type Settled = Result<Outcome, GatewayError>;

/// The outcomes of commands, each known or on its way.
enum Coming {
    Known(Settled),
    Settling(JoinHandle<Settled>),
}

impl Inner {
    /// Creates new resources: one write of the log for all of them, or one for each.
    pub(super) async fn create_together(self: Arc<Self>, creates: Vec<Envelope<Command>>) -> Vec<Settled> {
        let Some(first) = creates.first() else { return Vec::new() };
        let deadlines = Deadlines::of(first.deadline, clock::now());
        let entering = self.admission.enter_together(&first.workspace, Lane::Bulk, creates.len());
        let mut permits = match timeout_at(deadlines.publish, entering).await {
            Ok(Ok(permits)) => permits.into_iter(),
            Ok(Err(_)) => return refused(creates.len(), || GatewayError::Crowded),
            Err(_) => return refused(creates.len(), || GatewayError::Unanswered { in_log: None }),
        };
        let pending = creates.iter().map(|envelope| {
            let command = Outgoing::new(&self.namespace, envelope, Lane::Bulk)?;
            let permit = permits.next().ok_or(GatewayError::Crowded)?;
            Ok(self.pending(command, permit))
        });
        let pending: Vec<Result<Pending, GatewayError>> = pending.collect();
        drop(creates);
        // A task of its own: a client that hangs up must not leave commands in the log that nobody counts.
        let settling = tokio::spawn(async move {
            let generation = self.link.connected().await;
            let commands: Vec<&Outgoing> = pending.iter().flatten().map(|pending| &pending.command).collect();
            let stored = commands.len() > 1
                && timeout_at(deadlines.publish, self.chain.append_together(&commands)).await.unwrap_or(false);
            let settling = pending.into_iter().map(|pending| {
                let inner = Arc::clone(&self);
                async move {
                    let stage = if stored { Stage::InLog { generation } } else { Stage::New { appended: None } };
                    inner.settle(pending?, deadlines, stage).await
                }
            });
            join_all(settling).await
        });
        settling.await.unwrap_or_default()
    }

    /// Appends commands on one resource in their order; their outcomes are waited for together.
    pub(super) async fn settle_in_order(self: Arc<Self>, commands: Vec<(Envelope<Command>, Lane)>) -> Vec<Settled> {
        let mut coming = Vec::with_capacity(commands.len());
        for (envelope, lane) in commands {
            coming.push(match Arc::clone(&self).begin(envelope, lane).await {
                Ok(settling) => Coming::Settling(settling),
                Err(error) => Coming::Known(Err(error)),
            });
        }
        join_all(coming.into_iter().map(Coming::settled)).await
    }

    /// Appends a command; returns when the log has it, or never will.
    async fn begin(
        self: Arc<Self>,
        envelope: Envelope<Command>,
        lane: Lane,
    ) -> Result<JoinHandle<Settled>, GatewayError> {
        let deadlines = Deadlines::of(envelope.deadline, clock::now());
        let entering = timeout_at(deadlines.publish, self.admission.enter(&envelope.workspace, lane)).await;
        let permit = entering.unwrap_or(Err(GatewayError::Unanswered { in_log: None }))?;
        let pending = self.pending(Outgoing::new(&self.namespace, &envelope, lane)?, permit);
        let (told, appended) = oneshot::channel();
        let settling = tokio::spawn(self.settle(pending, deadlines, Stage::New { appended: Some(told) }));
        // An error says the same: the sender is dropped when the append has ended.
        let _ = appended.await;
        Ok(settling)
    }
}

impl Coming {
    async fn settled(self) -> Settled {
        match self {
            Self::Known(settled) => settled,
            Self::Settling(settling) => settling.await.unwrap_or(Err(GatewayError::Unanswered { in_log: None })),
        }
    }
}

fn refused(count: usize, error: impl Fn() -> GatewayError) -> Vec<Settled> {
    std::iter::repeat_with(|| Err(error())).take(count).collect()
}
