//! Which lanes an operator has paused, as the bucket says.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::kv::{self, Operation};
use futures::StreamExt;
use protocol::message::lane::Lane;
use protocol::message::status::LanePause;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The lanes from which nothing is pulled now.
pub(crate) type PausedLanes = BTreeSet<Lane>;

/// A watch is opened anew this often, in case it went silent.
const WATCH_FOR: Duration = Duration::from_mins(1);
/// How long until a watch that failed is opened again.
const RETRY: Duration = Duration::from_millis(500);

/// The lanes that are paused now. Read before the first pull.
pub(crate) async fn read(bucket: &kv::Store) -> Result<PausedLanes, kv::EntryError> {
    let mut paused = PausedLanes::new();
    for lane in [Lane::Interactive, Lane::Bulk] {
        let entry = bucket.entry(LanePause::key(lane)).await?;
        if entry.is_some_and(|entry| entry.operation == Operation::Put) {
            paused.insert(lane);
        }
    }
    Ok(paused)
}

/// Keeps `paused` as the bucket says, until `stop`. What was known stays while the broker is away.
pub(crate) async fn follow(bucket: kv::Store, paused: watch::Sender<PausedLanes>, stop: CancellationToken) {
    let mut complained = false;
    loop {
        let following = timeout(WATCH_FOR, follow_once(&bucket, &paused));
        match stop.run_until_cancelled(following).await {
            None => return,
            // It is time to open it anew.
            Some(Err(_)) => complained = false,
            Some(Ok(error)) => {
                if !std::mem::replace(&mut complained, true) {
                    warn!(error, "it cannot be followed which lanes are paused, trying again");
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Follows until the watch ends; why it did.
async fn follow_once(bucket: &kv::Store, paused: &watch::Sender<PausedLanes>) -> String {
    let mut entries = match bucket.watch_with_history(format!("{}*", LanePause::KEY_PREFIX)).await {
        Ok(entries) => entries,
        Err(error) => return error.to_string(),
    };
    while let Some(entry) = entries.next().await {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => return error.to_string(),
        };
        let lane = entry.key.strip_prefix(LanePause::KEY_PREFIX).and_then(|lane| lane.parse::<Lane>().ok());
        // What takes access away is never held up.
        let Some(lane) = lane.filter(|lane| *lane != Lane::Urgent) else { continue };
        let is_paused = entry.operation == Operation::Put;
        let changed = paused.send_if_modified(|lanes| if is_paused { lanes.insert(lane) } else { lanes.remove(&lane) });
        if changed {
            info!(%lane, is_paused, "lane {lane} is {}", if is_paused { "paused" } else { "not paused any more" });
        }
    }
    "the watch ended".to_owned()
}
