//! What was asked, how often, and how long the answers took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// What one call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The look-up before a create.
    Probe,
    /// POST of a person.
    CreateUser,
    /// POST of a group.
    CreateGroup,
    /// PATCH that adds up to 100 members.
    AddMembers,
    /// PATCH that takes one member out.
    RemoveMember,
    /// PUT or PATCH of a person's values.
    UpdateUser,
    /// PATCH of `active` to false.
    Deactivate,
    /// PATCH of `active` to true.
    Reactivate,
    /// DELETE of a person.
    DeleteUser,
    /// A GET by id.
    Read,
    /// One page of a list.
    List,
}

impl Operation {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::CreateUser => "create user",
            Self::CreateGroup => "create group",
            Self::AddMembers => "add members",
            Self::RemoveMember => "remove member",
            Self::UpdateUser => "update user",
            Self::Deactivate => "deactivate",
            Self::Reactivate => "reactivate",
            Self::DeleteUser => "delete user",
            Self::Read => "read",
            Self::List => "list page",
        }
    }
}

/// The figures of one kind of operation. Latency is what the provider waits from sending the request: all tries together,
/// without the time for which `--rate` held them back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measurement {
    /// Which kind.
    pub operation: Operation,
    /// How many there were.
    pub count: usize,
    /// How many failed for good.
    pub errors: usize,
    /// How many tries beyond the first there were in all.
    pub retries: u64,
    /// The median, in milliseconds.
    pub p50_ms: f64,
    /// What 99 of 100 stay below, in milliseconds.
    pub p99_ms: f64,
    /// The slowest, in milliseconds.
    pub max_ms: f64,
    /// Operations per second while this kind was under way.
    pub rate: f64,
}

/// Collects samples from all tasks.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: Mutex<BTreeMap<Operation, Samples>>,
}

#[derive(Debug, Default)]
struct Samples {
    latencies: Vec<Duration>,
    errors: usize,
    retries: u64,
    /// From the start of the run to the first start and to the last end.
    span: Option<(Duration, Duration)>,
}

/// One operation that has ended; times since the start of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) began: Duration,
    pub(super) ended: Duration,
    /// How long it waited for its turn, because of the rate that was asked for.
    pub(super) paced: Duration,
    pub(super) retries: u64,
    pub(super) failed: bool,
}

impl Meter {
    pub(super) fn record(&self, operation: Operation, sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = samples.entry(operation).or_default();
        entry.latencies.push(sample.ended.saturating_sub(sample.began).saturating_sub(sample.paced));
        entry.errors += usize::from(sample.failed);
        entry.retries += sample.retries;
        let (first, last) = entry.span.unwrap_or((sample.began, sample.ended));
        entry.span = Some((first.min(sample.began), last.max(sample.ended)));
    }

    pub(super) fn measurements(&self) -> Vec<Measurement> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().map(|(operation, samples)| samples.measurement(*operation)).collect()
    }
}

impl Samples {
    fn measurement(&self, operation: Operation) -> Measurement {
        let mut latencies = self.latencies.clone();
        latencies.sort_unstable();
        let (first, last) = self.span.unwrap_or_default();
        let seconds = last.saturating_sub(first).as_secs_f64();
        let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
        Measurement {
            operation,
            count: latencies.len(),
            errors: self.errors,
            retries: self.retries,
            p50_ms: percentile(&latencies, 50),
            p99_ms: percentile(&latencies, 99),
            max_ms: percentile(&latencies, 100),
            rate: if seconds > 0.0 { f64::from(count) / seconds } else { 0.0 },
        }
    }
}

/// The nearest-rank percentile of sorted latencies, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |latency| (latency.as_secs_f64() * 1e5).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(began: u64, ended: u64) -> Sample {
        let (began, ended) = (Duration::from_millis(began), Duration::from_millis(ended));
        Sample { began, ended, paced: Duration::ZERO, retries: 1, failed: false }
    }

    #[test]
    fn a_percentile_is_a_value_that_occurred() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50).to_string(), "100");
        assert_eq!(percentile(&sorted, 99).to_string(), "198");
        assert_eq!(percentile(&sorted, 100).to_string(), "200");
        assert_eq!(percentile(&sorted[..1], 99).to_string(), "1");
        assert_eq!(percentile(&[], 99).to_string(), "0");
    }

    #[test]
    fn the_rate_counts_from_the_first_start_to_the_last_end() {
        let meter = Meter::default();
        for (began, ended) in [(1_000, 1_500), (1_200, 2_000), (1_900, 3_000)] {
            meter.record(Operation::CreateUser, sample(began, ended));
        }
        let measurements = meter.measurements();
        assert_eq!(measurements.len(), 1);
        assert_eq!((measurements[0].count, measurements[0].retries), (3, 3));
        assert_eq!(measurements[0].rate.to_string(), "1.5");
    }
}
