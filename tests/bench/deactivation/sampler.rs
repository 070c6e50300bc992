//! Deactivates one user after the other and waits until a GET shows it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rosterd::client::Request;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use super::super::load::Caller;
use super::super::people;
use super::background::Count;

/// Deactivations that are not measured: the first requests open connections.
pub(super) const WARM_UP: usize = 10;
/// How long a GET may go on showing what was before.
const VISIBLE_TIMEOUT: Duration = Duration::from_mins(1);

/// How long one deactivation took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Until the PATCH was answered.
    pub(super) patch: Duration,
    /// From then until a GET had shown it.
    pub(super) get: Duration,
    /// GETs that showed what was before.
    pub(super) repeated: u32,
}

/// Who deactivates, and how often.
#[derive(Debug)]
pub(super) struct Sampler {
    pub(super) caller: Caller,
    /// Active users.
    pub(super) ids: Vec<String>,
    /// How many are deactivated in any case.
    pub(super) at_least: usize,
    /// What has to be complete before the last sample.
    pub(super) load: Arc<Count>,
    /// When it ends in any case.
    pub(super) until: Instant,
}

impl Sampler {
    /// Takes the samples on a thread of its own, so that the load's requests are not waited for in this process.
    pub(super) async fn run(self) -> anyhow::Result<Vec<Sample>> {
        let sampling = move || {
            let runtime = Builder::new_current_thread().enable_all().build().context("starting a runtime")?;
            runtime.block_on(self.take())
        };
        tokio::task::spawn_blocking(sampling).await.context("taking samples")?
    }

    async fn take(self) -> anyhow::Result<Vec<Sample>> {
        let mut samples = Vec::with_capacity(self.ids.len());
        for (number, id) in self.ids.iter().enumerate() {
            let enough = samples.len() >= self.at_least + WARM_UP && self.load.is_complete();
            if enough || Instant::now() >= self.until {
                break;
            }
            sleep(pause(number)).await;
            samples.push(deactivate(&self.caller, number, id).await?);
        }
        Ok(samples.split_off(WARM_UP.min(samples.len())))
    }
}

/// From 0 to 49 ms, so that samples keep no time with the workers' batches.
const fn pause(number: usize) -> Duration {
    Duration::from_millis((number * 7919 % 50) as u64)
}

/// Changes at one ingress, reads at the other.
async fn deactivate(caller: &Caller, number: usize, id: &str) -> anyhow::Result<Sample> {
    let user = format!("/Users/{id}");
    let began = Instant::now();
    caller.send(number, people::patch(user.clone(), "replace", "active", &json!(false))).await?;
    let patch = began.elapsed();
    let mut repeated = 0;
    while is_active(&caller.send(number + 1, Request::get(user.clone())).await?)? {
        repeated += 1;
        if began.elapsed() > VISIBLE_TIMEOUT {
            bail!("a user whose deactivation was answered is still active after {VISIBLE_TIMEOUT:?}");
        }
    }
    Ok(Sample { patch, get: began.elapsed().saturating_sub(patch), repeated })
}

fn is_active(user: &Value) -> anyhow::Result<bool> {
    user.get("active").and_then(Value::as_bool).context("a user without `active`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_differ_and_are_short() {
        let pauses: std::collections::BTreeSet<Duration> = (0..50).map(pause).collect();
        assert_eq!((pauses.len(), pauses.last()), (50, Some(&Duration::from_millis(49))));
    }

    #[test]
    fn a_user_without_active_is_no_answer() {
        assert!(!is_active(&json!({ "active": false })).unwrap());
        assert!(is_active(&json!({})).is_err());
    }
}
