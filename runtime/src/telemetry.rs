//! Logs: text for people on a terminal, JSON for machines. Never bodies, names or tokens.

use std::error::Error;
use std::io::{IsTerminal, Write, stderr};
use std::process::ExitCode;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise.
const FILTER: &str = "info,async_nats=warn,sea_orm_migration=warn,sqlx=warn";

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error; `RUST_LOG` chooses what. Does nothing if the process logs already.
pub fn start(format: Option<LogFormat>) {
    let format = format.unwrap_or_else(|| if stderr().is_terminal() { LogFormat::Text } else { LogFormat::Json });
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    let started = match format {
        LogFormat::Text => logs.try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

/// How a process ends that has come to this result: an error is one line on standard error.
pub fn exit<E: Error + 'static>(result: Result<(), E>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Without standard error there is no place to say it.
    drop(writeln!(stderr(), "error: {}", error_chain(&error)));
    ExitCode::FAILURE
}

/// An error with its causes in one line. A cause that its error has printed itself, as async-nats does, is said once.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes
        .map(ToString::to_string)
        .fold(error.to_string(), |said, cause| if said.ends_with(&cause) { said } else { format!("{said}: {cause}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failure {
        #[error("reading")]
        Silent(#[source] std::io::Error),
        #[error("reading: {0}")]
        Printed(#[source] std::io::Error),
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = || std::io::Error::other("connection refused");
        for failure in [Failure::Silent(refused()), Failure::Printed(refused())] {
            assert_eq!(error_chain(&failure), "reading: connection refused");
        }
    }
}
