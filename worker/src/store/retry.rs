//! Redoing what another transaction got in the way of.

use std::time::Duration;

use runtime::backoff;
use tokio::time::Instant;

use super::{Class, StoreError};
use crate::metrics::METRICS;

/// How often a transaction is redone at once.
const REDOS: usize = 8;
/// For how long.
const REDO_TIMEOUT: Duration = Duration::from_secs(3);

/// Redoes `attempt` from the start as long as others get in its way, with small pauses that differ between workers.
pub(crate) async fn retry_contended<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pauses = backoff::delays(Duration::from_millis(1), Duration::from_millis(20)).take(REDOS);
    let until = Instant::now() + REDO_TIMEOUT;
    loop {
        match attempt().await {
            Err(failure) if failure.class() == Class::Raced && Instant::now() < until => match pauses.next() {
                Some(pause) => {
                    METRICS.redone.add_one(["raced"]);
                    tokio::time::sleep(pause).await;
                }
                None => return Err(failure),
            },
            done => return done,
        }
    }
}
