//! A create that is answered with what the same request created before.

use protocol::decide::claimed_names;
use protocol::message::command::Command;
use protocol::message::outcome::Outcome;

use super::working::WorkingSet;
use crate::accepted::Accepted;
use crate::store::stored_resource::Key;

impl WorkingSet {
    /// The outcome of a create whose name is taken, if it was taken by the same request and no command of the provider has
    /// changed the resource since: what was created then, as it is now.
    pub(super) fn duplicate(&mut self, accepted: &Accepted) -> Option<Outcome> {
        let envelope = &accepted.envelope;
        let Command::Create { members, .. } = &envelope.body else { return None };
        let name = claimed_names(envelope.resource_type, &envelope.body).pop()?;
        let holder = *self.holders.get(&(envelope.workspace.clone(), envelope.resource_type, name))?;
        let holder = Key { workspace: envelope.workspace.clone(), id: holder };
        let image = self.current(envelope.resource_type, &holder)?;
        let original = self.creates.original(accepted, image.created_by?)?;
        if image.provider_sequence != original.sequence {
            return None;
        }
        let (operation, ingress) = (original.operation, original.ingress.clone()?);
        let resource = Box::new(self.shown(&holder.workspace, image, members));
        self.give_access_again(&holder, accepted);
        Some(Outcome::Duplicate { operation, ingress, resource })
    }
}
