//! Who acts, and why: what the audit log keeps of a command.

use protocol::message::operator::ActedBy;

/// Options of every command that the audit log records.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Acting {
    /// Who acts, for the audit log [default: the user of this machine].
    #[arg(long = "as", env = "ROSTERD_ACTOR", value_name = "NAME")]
    actor: Option<String>,

    /// Why, for the audit log.
    #[arg(long)]
    reason: Option<String>,
}

impl Acting {
    /// Who, and why.
    #[expect(clippy::disallowed_methods, reason = "who works on this machine is no setting of a program")]
    pub(super) fn by(self) -> ActedBy {
        let user = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let actor = self.actor.or_else(user).filter(|name| !name.is_empty());
        ActedBy { actor: actor.unwrap_or_else(|| "unknown".to_owned()), reason: self.reason }
    }
}
