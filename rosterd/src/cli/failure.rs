//! What a command that failed says, and what it exits with.

use async_nats::ConnectErrorKind;
use protocol::message::operator::OperatorError;

use crate::cli::confirm::Unconfirmed;
use crate::cli::management::CallError;
use crate::servers::ServerError;

const FAILED: u8 = 1;
const WRONG_USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const UNREACHABLE: u8 = 4;

/// The exit code of a command that ended with this error.
pub(super) fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<CallError>() {
        return of_call(error);
    }
    if error.is::<Unconfirmed>() {
        return WRONG_USAGE;
    }
    let is_missing = matches!(error.downcast_ref::<ServerError>(), Some(ServerError::Missing { .. }));
    if is_missing || error.is::<async_nats::ConnectError>() {
        return UNREACHABLE;
    }
    match error.downcast_ref::<migrations::MigrateError>() {
        Some(error) if error.is_unavailable() => UNREACHABLE,
        Some(_) | None => FAILED,
    }
}

fn of_call(error: &CallError) -> u8 {
    match error {
        CallError::Connect { source } => match source.kind() {
            ConnectErrorKind::ServerParse => WRONG_USAGE,
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => FAILED,
            ConnectErrorKind::Dns
            | ConnectErrorKind::TimedOut
            | ConnectErrorKind::Tls
            | ConnectErrorKind::Io
            | ConnectErrorKind::MaxReconnects => UNREACHABLE,
        },
        CallError::Unanswered { .. }
        | CallError::NoProcess { .. }
        | CallError::Refused(OperatorError::Unavailable { .. }) => UNREACHABLE,
        CallError::Refused(OperatorError::NotFound { .. }) => NOT_FOUND,
        CallError::Refused(OperatorError::Conflict { .. } | OperatorError::Invalid { .. })
        | CallError::Settings(_)
        | CallError::Parts(_)
        | CallError::Message { .. } => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use protocol::message::operator::Process;
    use runtime::telemetry::error_chain;

    use super::*;

    fn code(error: CallError) -> u8 {
        exit_code(&error.into())
    }

    #[test]
    fn a_refusal_tells_what_is_missing_from_what_is_wrong() {
        let text = String::new;
        assert_eq!(code(CallError::Refused(OperatorError::Conflict { detail: text() })), 1);
        assert_eq!(code(CallError::Refused(OperatorError::Invalid { detail: text() })), 1);
        assert_eq!(code(CallError::Refused(OperatorError::NotFound { what: text() })), 3);
        assert_eq!(code(CallError::Refused(OperatorError::Unavailable { detail: text() })), 4);
        assert_eq!(code(CallError::Unanswered { process: Process::Worker, namespace: "rosterd".parse().unwrap() }), 4);
        assert_eq!(exit_code(&anyhow::anyhow!("anything else")), 1);
    }

    #[test]
    fn context_does_not_hide_what_happened() {
        let error =
            anyhow::Error::from(CallError::Refused(OperatorError::NotFound { what: "workspace acme".to_owned() }));
        assert_eq!(exit_code(&error.context("showing a workspace")), 3);
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = || std::io::Error::other("connection refused");
        let source = async_nats::ConnectError::with_source(ConnectErrorKind::Io, refused());
        let said = error_chain(&CallError::Connect { source });
        assert_eq!(said, "connecting to the broker (ROSTERD_NATS_URL): IO error: connection refused");
        assert_eq!(error_chain(&*anyhow::Error::from(refused()).context("reading")), "reading: connection refused");
    }
}
