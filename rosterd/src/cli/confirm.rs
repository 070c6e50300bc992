//! Asks before something that stops a provider.

use std::io::{BufRead, IsTerminal, Write, stderr, stdin};

/// The answer was not yes, or there is no terminal to ask on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconfirmed {
    /// Nothing was asked.
    #[error("{question} There is no terminal to ask on: give --yes if it shall be done")]
    NoTerminal {
        /// What would have been asked.
        question: String,
    },
    /// The answer was something else.
    #[error("nothing was changed")]
    Declined,
}

/// Asks on the terminal, unless the command line has answered already.
pub(super) fn confirm(yes: bool, question: &str) -> Result<(), Unconfirmed> {
    if yes {
        return Ok(());
    }
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Err(Unconfirmed::NoTerminal { question: question.to_owned() });
    }
    let mut answer = String::new();
    let asked = write!(stderr(), "{question} Go on? [y/N] ").and_then(|()| stdin().lock().read_line(&mut answer));
    let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if asked.is_ok() && is_yes { Ok(()) } else { Err(Unconfirmed::Declined) }
}
