//! Whose word on a user's access counts: the rule of [`protocol::access`], asked of the working set.

use protocol::access::{Access, Standing, Verdict, verdict};
use protocol::replay::superseded_by;
use protocol::scim::resource_type::ResourceType;

use tracing::info;

use super::working::WorkingSet;
use crate::accepted::Accepted;
use crate::store::stored_resource::Key;

impl WorkingSet {
    /// Whether the command's word on access counts. One that says nothing of it changes nothing of it.
    pub(super) fn verdict(&self, key: &Key, accepted: &Accepted) -> Verdict {
        match said(accepted) {
            Some(said) => {
                let Accepted { accepted_at, arrival, .. } = accepted;
                let (standing, held) = (self.standing(key), *arrival);
                let verdict = verdict(said, accepted.place(), *accepted_at, held, standing);
                if verdict == Verdict::Yields {
                    let operation = accepted.envelope.operation;
                    info!(%operation, accepted = %accepted_at, arrived = %held.at, error = ?held.error, ?standing, "operation {operation} was held, and its word on access yields to a newer one");
                }
                verdict
            }
            None => Verdict::Counts,
        }
    }

    /// Whose word counts once the command is carried out.
    pub(super) fn standing_after(&self, key: &Key, verdict: Verdict, accepted: &Accepted) -> Standing {
        match said(accepted) {
            Some(said) if verdict == Verdict::Counts => {
                Standing { sequence: accepted.place(), arrived: Some(accepted.arrival.bound(said)) }
            }
            Some(_) | None => self.standing(key),
        }
    }

    /// Nothing changes, but it is said later than before whether the user is active.
    pub(super) fn confirm_active(&mut self, key: &Key, verdict: Verdict, accepted: &Accepted) {
        if said(accepted).is_some() && verdict == Verdict::Counts {
            let standing = self.standing_after(key, verdict, accepted);
            self.stand(key, standing, accepted);
        }
    }

    /// A create that repeats the one of an active user says again that access is given.
    pub(super) fn give_access_again(&mut self, key: &Key, accepted: &Accepted) {
        let is_active =
            self.current(ResourceType::User, key).and_then(|image| image.resource.attributes.user().active());
        if said(accepted) == Some(Access::Given) && is_active == Some(true) {
            self.confirm_active(key, self.verdict(key, accepted), accepted);
        }
    }

    /// A command has ended: no user is kept out any more by the fence that it, or an earlier one, has left.
    pub(super) fn lift_fence(&mut self, key: &Key, accepted: &Accepted) {
        if accepted.envelope.resource_type != ResourceType::User {
            return;
        }
        let Some(entry) = self.users.get_mut(key) else { return };
        entry.fence_lifted |= entry.fence.is_some_and(|fence| fence.standing.sequence <= accepted.place());
    }

    /// The later operation that supersedes a replayed command, if there is one.
    pub(super) fn superseded_by(&self, accepted: &Accepted) -> Option<u64> {
        let key = Key::of_command(accepted);
        let changed = self.current(accepted.envelope.resource_type, &key).map_or(0, |image| image.last_sequence);
        let stands = said(accepted).map(|_| self.standing(&key).sequence);
        superseded_by(accepted.replayed?, changed, stands)
    }

    fn stand(&mut self, key: &Key, standing: Standing, accepted: &Accepted) {
        if let Some(image) = self.users.get_mut(key).and_then(|entry| entry.now.as_mut()) {
            image.standing = standing;
            image.extensions = accepted.envelope.extensions.clone();
        }
    }

    /// Whose word counts so far: on the user, or on who is not there yet.
    pub(super) fn standing(&self, key: &Key) -> Standing {
        let Some(entry) = self.users.get(key) else { return Standing::default() };
        let fence = entry.fence.filter(|_| !entry.fence_lifted);
        let of_fence = || fence.map(|fence| fence.standing).unwrap_or_default();
        entry.now.as_ref().map_or_else(of_fence, |image| image.standing)
    }
}

/// What a command says of access. Groups have none.
fn said(accepted: &Accepted) -> Option<Access> {
    match accepted.envelope.resource_type {
        ResourceType::User => accepted.envelope.body.access(),
        ResourceType::Group => None,
    }
}
