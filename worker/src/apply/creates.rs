//! Creates that say what an earlier one said: a retry of a client that never heard the answer, or a copy that was held on
//! its way while its client sent it again.

use std::collections::HashMap;
use std::time::Duration;

use protocol::id::{IngressId, OperationId};
use protocol::message::command::Command;
use protocol::ownership::Source;
use protocol::time::Timestamp;

use crate::accepted::Accepted;
use crate::store::entity::operation;
use crate::store::ledger::State;
use crate::store::sequence;

/// How long after a create another one is taken for its retry.
const RETRY_WINDOW: Duration = Duration::from_hours(24);

/// What makes two commands the same request: who asks, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Request {
    workspace: String,
    token: String,
    fingerprint: String,
}

/// A create that has ended.
#[derive(Debug, Clone)]
pub(super) struct Create {
    pub(super) operation: OperationId,
    pub(super) sequence: u64,
    accepted_at: Timestamp,
    /// The ingress that accepted it, if that is known.
    pub(super) ingress: Option<IngressId>,
    /// Its answer went out.
    answered: bool,
}

/// Creates that have ended, before the batch or in it, as far as those of the batch may repeat them.
#[derive(Debug, Default)]
pub(super) struct Creates(HashMap<Request, Vec<Create>>);

impl Request {
    /// The request of a command. None for the product's own, which are never sent again.
    pub(super) fn of(accepted: &Accepted) -> Option<Self> {
        let envelope = &accepted.envelope;
        let token = envelope.token.as_ref().filter(|_| envelope.source == Source::IdentityProvider)?.to_string();
        let (workspace, fingerprint) = (envelope.workspace.to_string(), envelope.fingerprint.0.clone());
        Some(Self { workspace, token, fingerprint })
    }

    /// The request that a ledger row remembers.
    pub(super) fn of_row(row: &operation::Model) -> Option<Self> {
        let (workspace, token, fingerprint) = (row.workspace.clone(), row.token.clone()?, row.fingerprint.clone());
        Some(Self { workspace, token, fingerprint })
    }
}

/// The request of a create, if it is one.
pub(super) fn created(accepted: &Accepted) -> Option<Request> {
    if matches!(accepted.envelope.body, Command::Create { .. }) { Request::of(accepted) } else { None }
}

impl Creates {
    /// Remembers a ledger row, if it is that of a create that was heard.
    pub(super) fn remember(&mut self, row: &operation::Model) {
        if row.kind != "create" || !matches!(State::of(row), Ok(State::Applied | State::Rejected)) {
            return;
        }
        let Some(request) = Request::of_row(row) else { return };
        let create = Create {
            operation: OperationId(row.operation),
            sequence: sequence(row.sequence),
            accepted_at: Timestamp::from_millis(row.accepted_at),
            ingress: row.ingress.clone().and_then(|ingress| IngressId::try_from(ingress).ok()),
            answered: false,
        };
        let same = self.0.entry(request).or_default();
        if same.iter().all(|known| known.operation != create.operation) {
            same.push(create);
        }
    }

    /// The answer of a create went out.
    pub(super) fn answered(&mut self, operation: OperationId) {
        for create in self.0.values_mut().flatten().filter(|create| create.operation == operation) {
            create.answered = true;
        }
    }

    /// Whether the command is a create that was held while the same one was accepted under another id: that one is the
    /// newer word, whatever has become of it since.
    pub(super) fn has_superseded(&self, accepted: &Accepted) -> bool {
        if !is_held(accepted) {
            return false;
        }
        let Some(same) = Request::of(accepted).and_then(|request| self.0.get(&request)) else { return false };
        let arrived = accepted.arrival.at.before(accepted.arrival.error);
        let other = |create: &&Create| create.operation != accepted.envelope.operation;
        same.iter().filter(other).any(|create| create.accepted_at >= arrived)
    }

    /// The create of that operation, if the command repeats it and it was not answered.
    pub(super) fn original(&self, accepted: &Accepted, operation: OperationId) -> Option<&Create> {
        let create = self.0.get(&created(accepted)?)?.iter().find(|create| create.operation == operation)?;
        let apart = accepted.accepted_at.since(create.accepted_at).max(create.accepted_at.since(accepted.accepted_at));
        (!create.answered && apart <= RETRY_WINDOW).then_some(create)
    }
}

/// Whether the command was held on its way, or comes again as a replay that is not forced.
pub(super) fn is_held(accepted: &Accepted) -> bool {
    accepted.arrival.was_held(accepted.accepted_at) || accepted.replayed.is_some_and(|replayed| !replayed.forced)
}
