//! Which dead letters a command is about, from its words.

use protocol::message::operator::{DeadLetterFilter, OperatorError};

use super::management::CallError;

/// The filter of an act; one that means all has to be meant.
pub(super) fn chosen(words: &[String], all: bool) -> anyhow::Result<DeadLetterFilter> {
    let filter = parsed(words)?;
    if filter.is_empty() && !all {
        let detail = "say which dead letters: give a filter, or --all".to_owned();
        return Err(CallError::Refused(OperatorError::Invalid { detail }).into());
    }
    Ok(filter)
}

/// The filter of a list; no words mean all.
pub(super) fn parsed(words: &[String]) -> anyhow::Result<DeadLetterFilter> {
    Ok(words.join(" ").parse()?)
}
