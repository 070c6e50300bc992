//! Plays an identity provider over HTTP: onboards made-up people and groups as Okta and Entra do, changes some of them,
//! and verifies through the same API that everything it was told is true.
//!
//! What is to happen ([`plan`]), what must be there and how that differs from what is ([`directory`]) are pure; the
//! conversation is in `provider` (one operation), `onboarding` (all of them) and `verification`.

mod arguments;
pub mod dialect;
pub mod directory;
pub(crate) mod display;
pub mod measure;
mod onboarding;
pub mod plan;
mod provider;
pub mod report;
mod sender;
mod verification;

use std::time::Duration;

use runtime::settings::{Secret, SettingsError};
use tokio::time::Instant;

pub use arguments::SimulateArgs;
pub use report::Report;

use crate::client::ClientError;
use onboarding::{Onboarding, Stalled};
use plan::{Phase, Plan};
use provider::Provider;

/// What to play, against what.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Base URL of one workspace, as each ingress serves it; requests go to them in turn.
    pub base_urls: Vec<String>,
    /// The workspace's bearer token.
    pub token: Secret,
    /// How many people join.
    pub users: usize,
    /// How many groups there are.
    pub groups: usize,
    /// How many operations are under way at a time.
    pub concurrency: usize,
    /// The most requests per second; without it as many as are answered.
    pub rate: Option<f64>,
    /// Whether to look everybody up before creating them, as providers do.
    pub probe: bool,
    /// Give up if no write ends for so long; without it each write has its own patience.
    pub stall: Option<Duration>,
    /// Makes the names, so that runs of different seeds do not meet.
    pub seed: u64,
}

/// How far a run is; told after every write that was answered or has failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// How many of the phase are done: people created, groups created, requests that fill groups, changes.
    pub done: usize,
    /// How many of them there will be.
    pub of: usize,
    /// How many writes have ended in all.
    pub answered: usize,
    /// How many there will be.
    pub total: usize,
}

/// Why a run could not start or could not read the result. Operations that fail are in the [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The HTTP client cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No token was given.
    #[error("no token: set ROSTERD_TOKEN or give --token-file")]
    NoToken,
    /// The token's file cannot be read.
    #[error("finding the token")]
    TokenFile(#[from] SettingsError),
    /// The first request, a short list, was not answered as SCIM servers answer it.
    #[error("testing the connection: {why}")]
    Connection {
        /// What came instead.
        why: String,
    },
    /// Nothing went on any more.
    #[error("no write ended for {seconds} seconds; the last one that has to wait: {why}")]
    Stalled {
        /// For how long.
        seconds: u64,
        /// What came instead of an answer.
        why: String,
    },
    /// The result could not be written.
    #[error("writing the report")]
    Output(#[source] std::io::Error),
}

/// Plays a whole run and reads everything back. `progress` is called from one task, often: it must be quick.
pub async fn run(options: Options, progress: impl Fn(Progress)) -> Result<Report, SimulateError> {
    let began = Instant::now();
    let plan = Plan::new(options.seed, options.users, options.groups);
    let provider = Provider::new(&options)?;
    provider.test_connection().await.map_err(|why| SimulateError::Connection { why: why.to_string() })?;

    let mut onboarding = Onboarding::new(&plan, &provider, &options, &progress);
    if let Err(Stalled(limit)) = onboarding.play().await {
        let why = provider.last_trouble().unwrap_or_else(|| "no answer at all".to_owned());
        return Err(SimulateError::Stalled { seconds: limit.as_secs(), why });
    }
    let (expected, mut errors) = onboarding.finish();
    let writing = began.elapsed();

    let total = plan.writes();
    progress(Progress { phase: Phase::Verification, done: total, of: total, answered: total, total });
    let (observed, unread) = verification::observe(&plan, &provider, &expected, options.concurrency).await;
    errors.extend(unread);
    let differences = directory::compare(&expected, &observed);
    Ok(Report {
        run: plan.run,
        people: expected.records.values().filter(|record| record.kind == directory::Kind::User).count(),
        groups: expected.members.len(),
        memberships: expected.members.values().map(std::collections::BTreeSet::len).sum(),
        deleted: expected.deleted.len(),
        writing_seconds: seconds(writing),
        seconds: seconds(began.elapsed()),
        operations: provider.measurements(),
        errors,
        differences,
    })
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 100.0).round() / 100.0
}
