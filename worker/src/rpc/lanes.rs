//! Pauses lanes and lets them go on, for operators; and ends this worker, when it is told to.

use async_nats::jetstream::kv;
use async_nats::{Client, SubscribeError};
use futures::StreamExt;
use protocol::id::Namespace;
use protocol::message::lane::Lane;
use protocol::message::status::{LanePause, SetLane};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Workers share these calls.
const QUEUE: &str = "worker";

/// Answers calls for lanes until `end`. A reply is JSON: nothing, or why not.
pub(crate) async fn answer(
    client: Client,
    namespace: Namespace,
    bucket: kv::Store,
    end: CancellationToken,
) -> Result<(), SubscribeError> {
    let mut calls = client.queue_subscribe(namespace.lanes(), QUEUE.to_owned()).await?;
    tokio::spawn(async move {
        while let Some(Some(call)) = end.run_until_cancelled(calls.next()).await {
            let done = match serde_json::from_slice(&call.payload) {
                Ok(call) => set(&bucket, call).await,
                Err(error) => Err(format!("the call cannot be read: {error}")),
            };
            let (Some(inbox), Ok(payload)) = (call.reply, serde_json::to_vec(&done)) else { continue };
            if let Err(error) = client.publish(inbox, payload.into()).await {
                warn!(%error, "a reply was not sent; the caller will ask again");
            }
        }
    });
    Ok(())
}

async fn set(bucket: &kv::Store, SetLane { lane, pause }: SetLane) -> Result<(), String> {
    if lane == Lane::Urgent {
        return Err("the urgent lane takes access away and cannot be paused".to_owned());
    }
    let key = LanePause::key(lane);
    match pause {
        Some(pause) => {
            let value = serde_json::to_vec(&pause).map_err(|error| error.to_string())?;
            bucket.put(&key, value.into()).await.map_err(|error| error.to_string())?;
        }
        None => bucket.delete(&key).await.map_err(|error| error.to_string())?,
    }
    Ok(())
}

/// Drains this worker when it is told to, which is answered before.
pub(crate) async fn drain_when_told(
    client: Client,
    namespace: &Namespace,
    instance: &str,
    stop: CancellationToken,
) -> Result<(), SubscribeError> {
    let mut calls = client.subscribe(namespace.drain(instance)).await?;
    tokio::spawn(async move {
        let Some(Some(call)) = stop.run_until_cancelled(calls.next()).await else { return };
        if let Some(inbox) = call.reply {
            drop(client.publish(inbox, "null".into()).await);
            drop(client.flush().await);
        }
        info!("draining: an operator said so");
        stop.cancel();
    });
    Ok(())
}
