//! The name of every stream, consumer, bucket and subject, built and parsed in this one place.

use std::fmt;

use crate::id::{IngressId, Namespace, ResourceId, WorkspaceId};
use crate::message::lane::Lane;
use crate::message::operator::{OperatorCall, Process};
use crate::scim::resource_type::ResourceType;

impl Namespace {
    /// The work-queue stream of commands: the log.
    pub fn command_stream(&self) -> String {
        format!("{self}_CMD")
    }

    /// The subjects of the whole log.
    pub fn all_commands(&self) -> String {
        format!("{self}.cmd.>")
    }

    /// The subjects of one lane, which its consumer filters by.
    pub fn lane_commands(&self, lane: Lane) -> String {
        format!("{self}.cmd.{lane}.>")
    }

    /// The key-value bucket of what every ingress keeps in memory: credentials.
    pub fn config_bucket(&self) -> String {
        format!("{self}_config")
    }

    /// Where workers answer queries about one workspace.
    pub fn queries(&self, workspace: &WorkspaceId) -> String {
        format!("{self}.query.{workspace}")
    }

    /// Where workers answer queries about any workspace.
    pub fn all_queries(&self) -> String {
        format!("{self}.query.*")
    }

    /// Where one of the operator's calls is answered.
    pub fn operator_call<C: OperatorCall>(&self) -> String {
        match C::ANSWERED_BY {
            Process::Worker => format!("{self}.admin.{}", C::VERB),
            Process::Ingress => format!("{self}.product.{}", C::VERB),
        }
    }

    /// Where workers answer the operator's calls.
    pub fn all_operator_calls(&self) -> String {
        format!("{self}.admin.*")
    }

    /// The verb of a call to workers; none if the subject is another one.
    pub fn operator_verb<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(self.as_str())?.strip_prefix(".admin.")
    }

    /// Where every ingress and every worker says how it is.
    pub fn status(&self) -> String {
        format!("{self}.status")
    }

    /// Where one worker is told to finish what it has and to leave.
    pub fn drain(&self, worker: &str) -> String {
        format!("{self}.worker.{worker}.drain")
    }

    /// Where workers are asked to pause a lane or to let it go on.
    pub fn lanes(&self) -> String {
        format!("{self}.lanes")
    }

    /// Where any worker lists what the log holds.
    pub fn pending_lists(&self) -> String {
        format!("{self}.pending.list")
    }

    /// Where every worker says what of the log it has.
    pub fn pending_in_workers(&self) -> String {
        format!("{self}.pending.held")
    }

    /// Where one ingress hears the outcomes of the commands that it accepted.
    pub fn outcomes(&self, ingress: &IngressId) -> String {
        format!("{self}.ingress.{ingress}.outcome")
    }

    /// Where one ingress hears of its attempts that the log stored too late.
    pub fn late_copies(&self, ingress: &IngressId) -> String {
        format!("{self}.ingress.{ingress}.late")
    }

    /// Where every ingress hears the question whether a create's answer went out.
    pub fn was_answered(&self) -> String {
        format!("{self}.answered.asked")
    }

    /// Where ingresses report to any worker which creates' answers went out.
    pub fn answered_reports(&self) -> String {
        format!("{self}.answered.reported")
    }
}

/// The subject of a command: `<ns>.cmd.<lane>.<workspace>.<Users|Groups>.<resource id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSubject {
    /// The lane in which the command waits.
    pub lane: Lane,
    /// The workspace to which the resource belongs.
    pub workspace: WorkspaceId,
    /// The kind of resource.
    pub resource_type: ResourceType,
    /// The resource that the command changes.
    pub resource: ResourceId,
}

impl CommandSubject {
    /// The subject in full.
    pub fn in_namespace(&self, namespace: &Namespace) -> String {
        format!("{namespace}.cmd.{self}")
    }

    /// The subjects of this resource's commands in all lanes: what a predecessor is looked for in.
    pub fn all_lanes(&self, namespace: &Namespace) -> String {
        let Self { workspace, resource_type, resource, .. } = self;
        format!("{namespace}.cmd.*.{workspace}.{}.{resource}", resource_type.endpoint())
    }

    /// Reads a full subject back.
    pub fn parse(namespace: &Namespace, subject: &str) -> Result<Self, InvalidSubject> {
        let rest = subject.strip_prefix(namespace.as_str()).and_then(|rest| rest.strip_prefix(".cmd."));
        let mut parts = rest.ok_or(InvalidSubject)?.split('.');
        let mut next = || parts.next().ok_or(InvalidSubject);
        let parsed = Self {
            lane: next()?.parse().map_err(|_| InvalidSubject)?,
            workspace: next()?.parse().map_err(|_| InvalidSubject)?,
            resource_type: ResourceType::from_endpoint(next()?).ok_or(InvalidSubject)?,
            resource: next()?.parse().map_err(|_| InvalidSubject)?,
        };
        if parts.next().is_some() { Err(InvalidSubject) } else { Ok(parsed) }
    }
}

impl fmt::Display for CommandSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.lane, self.workspace, self.resource_type.endpoint(), self.resource)
    }
}

/// The subject is not one of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected <namespace>.cmd.<lane>.<workspace>.<Users|Groups>.<resource id>")]
pub struct InvalidSubject;

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> CommandSubject {
        CommandSubject {
            lane: Lane::Urgent,
            workspace: "acme".parse().unwrap(),
            resource_type: ResourceType::User,
            resource: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
        }
    }

    #[test]
    fn a_command_subject_is_read_back_as_written() {
        let namespace: Namespace = "rosterd".parse().unwrap();
        let text = subject().in_namespace(&namespace);
        assert_eq!(text, "rosterd.cmd.urgent.acme.Users.01900000-0000-7000-8000-000000000001");
        assert_eq!(CommandSubject::parse(&namespace, &text), Ok(subject()));
    }

    #[test]
    fn a_foreign_subject_is_refused() {
        let namespace: Namespace = "rosterd".parse().unwrap();
        let own = subject().in_namespace(&namespace);
        for text in [
            "",
            "rosterd.cmd.",
            "other.cmd.urgent.acme.Users.x",
            &format!("{own}.more"),
            &own.replace("Users", "users"),
        ] {
            assert_eq!(CommandSubject::parse(&namespace, text), Err(InvalidSubject), "{text}");
        }
    }
}
