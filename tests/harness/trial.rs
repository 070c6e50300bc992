//! How much a trial tries: little in `cargo test --workspace`, as much as a release needs when it is told so.

use std::time::Duration;

/// How often each case is tried: `ROSTERD_TRIAL_ROUNDS`.
pub(crate) fn rounds(few: usize) -> usize {
    environment("ROSTERD_TRIAL_ROUNDS").unwrap_or(few)
}

/// How many people an onboarding has: `ROSTERD_TRIAL_PEOPLE`.
pub(crate) fn people(few: usize) -> usize {
    environment("ROSTERD_TRIAL_PEOPLE").unwrap_or(few)
}

/// How long an outage lasts: `ROSTERD_TRIAL_OUTAGE`, in seconds.
pub(crate) fn outage(short: Duration) -> Duration {
    environment("ROSTERD_TRIAL_OUTAGE").map_or(short, Duration::from_secs)
}

/// Whether this is a run of its own, which has the machine for itself.
pub(crate) fn is_full() -> bool {
    environment::<usize>("ROSTERD_TRIAL_ROUNDS").is_some()
}

#[expect(clippy::disallowed_methods, reason = "the one place where trials read the environment")]
fn environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
