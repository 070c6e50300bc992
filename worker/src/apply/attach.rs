//! A request that is sent again while the first attempt is still pending shares the first one's end: the predecessor that
//! the broker keeps with a message says that it was pending when the message was accepted.

use std::collections::{HashMap, HashSet};

use protocol::access::Verdict;
use protocol::message::command::Command;
use protocol::message::outcome::Outcome;
use protocol::scim::resource::Version;
use protocol::scim::resource_type::ResourceType;

use super::creates::Request;
use super::working::WorkingSet;
use crate::accepted::Accepted;
use crate::store::entity::operation;
use crate::store::ledger::{State, error_of};
use crate::store::stored_resource::Key;
use crate::store::{column, sequence};

/// How the predecessors of commands ended, as far as the same request can come again.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    awaited: HashSet<u64>,
    ended: HashMap<u64, operation::Model>,
}

impl Attempts {
    /// What the commands of a batch may share.
    pub(super) fn awaited_by(batch: &[&Accepted]) -> Self {
        let may_share = |accepted: &&&Accepted| {
            let is_create = matches!(accepted.envelope.body, Command::Create { .. });
            accepted.predecessor != 0 && !is_create && Request::of(accepted).is_some()
        };
        let awaited = batch.iter().filter(may_share).map(|accepted| accepted.predecessor).collect();
        Self { awaited, ended: HashMap::new() }
    }

    /// The sequences that the ledger has to be asked for, because they are not in the batch.
    pub(super) fn unread(&self, batch: &[&Accepted]) -> Vec<i64> {
        let own: HashSet<u64> = batch.iter().map(|accepted| accepted.sequence).collect();
        let mut unread: Vec<i64> = self.awaited.difference(&own).copied().map(column).collect();
        unread.sort_unstable();
        unread
    }

    /// Remembers how a command ended, if it is awaited.
    pub(super) fn remember(&mut self, row: &operation::Model) {
        let number = sequence(row.sequence);
        if self.awaited.contains(&number) {
            self.ended.insert(number, row.clone());
        }
    }

    /// It did not end so: its effects were rolled back.
    pub(super) fn forget(&mut self, number: u64) {
        self.ended.remove(&number);
    }

    /// The command's predecessor, if that was the same request.
    pub(super) fn before(&self, accepted: &Accepted) -> Option<&operation::Model> {
        let row = self.ended.get(&accepted.predecessor)?;
        let envelope = &accepted.envelope;
        let same_resource = row.resource == envelope.resource.0 && row.resource_type == envelope.resource_type.name();
        let same_request = Request::of(accepted).is_some_and(|request| Request::of_row(row) == Some(request));
        (same_resource && same_request).then_some(row)
    }
}

impl WorkingSet {
    /// The end of an earlier attempt, with the resource as it is now. None if that attempt was not applied as it asked: the
    /// command is decided on its own then.
    pub(super) fn attached(
        &mut self,
        key: &Key,
        verdict: Verdict,
        accepted: &Accepted,
        attempt: &operation::Model,
    ) -> Option<Outcome> {
        if self.has_changed_since(accepted.envelope.resource_type, key, attempt) {
            return None;
        }
        match State::of(attempt).ok()? {
            State::Applied if !attempt.yielded => {}
            State::Rejected => return Some(Outcome::Rejected { error: error_of(attempt) }),
            State::Applied | State::Superseded | State::Dead => return None,
        }
        let is_there = self.current(accepted.envelope.resource_type, key).is_some();
        if is_there == matches!(accepted.envelope.body, Command::Delete { .. }) {
            return None;
        }
        // What is said again counts from when it was said again.
        self.confirm_active(key, verdict, accepted);
        match (attempt.status, attempt.version) {
            (204, Some(version)) => Some(Outcome::UpdatedWithoutBody { version: Version::from_number(version) }),
            _ => Some(self.outcome(key, accepted)),
        }
    }

    /// Whether something came between the attempt and its repetition. A predecessor is the last message of its resource
    /// that the log still has: later ones may have been settled and removed before it, as where its worker has died.
    fn has_changed_since(&self, resource_type: ResourceType, key: &Key, attempt: &operation::Model) -> bool {
        let Some(image) = self.current(resource_type, key) else { return false };
        let number = sequence(attempt.sequence);
        let other_version = attempt.version.is_some_and(|version| version != image.resource.meta.version.number());
        other_version || image.last_sequence > number || image.standing.sequence > number
    }
}
