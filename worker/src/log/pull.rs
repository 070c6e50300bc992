//! Pulls deliveries of one lane, never more than there is room for.

mod stall;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use protocol::failpoint::Failpoint;
use protocol::message::lane::Lane;
use runtime::backoff;
use runtime::failpoint;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::stall::{Seen, Stall};
use crate::log::Log;
use crate::log::declare::LaneConsumer;
use crate::log::delivery::Delivery;
use crate::log::keep_alive::KeepAlive;
use crate::log::lane_pauses::PausedLanes;

/// How long one pull waits. Short, so that a drain loses no message that is on its way here: the last pull ends by
/// itself.
const PULL_EXPIRES: Duration = Duration::from_secs(1);
/// How much later than that the broker may say so. A later end is the client's own: the broker that kept the log is gone.
const SILENCE: Duration = Duration::from_secs(2);
/// The most messages of one pull.
const PULL_AT_MOST: usize = 256;
/// How many failed pulls in a row mean that the consumer itself is gone.
const FAILURES_UNTIL_LOST: u32 = 8;

/// The pull loop of one lane.
pub(crate) struct LanePull {
    pub(crate) lane: Lane,
    pub(crate) consumer: LaneConsumer,
    pub(crate) log: Log,
    pub(crate) keep_alive: KeepAlive,
    /// Room for deliveries that are neither settled nor held.
    pub(crate) room: Arc<Semaphore>,
    /// Closed while the database is away.
    pub(crate) open: watch::Receiver<bool>,
    /// What operators have paused.
    pub(crate) paused: watch::Receiver<PausedLanes>,
    pub(crate) deliveries: mpsc::Sender<Delivery>,
}

impl LanePull {
    /// Pulls until `stop` (the last pull ends by itself) or until the consumer is lost.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        let pauses = || backoff::delays(Duration::from_millis(50), Duration::from_secs(1));
        let mut delays = pauses();
        let mut stall = Stall::new(Instant::now());
        while !stop.is_cancelled() && failures < FAILURES_UNTIL_LOST {
            let may_pull = tokio::select! {
                () = stop.cancelled() => false,
                open = self.opens(&mut stall) => open,
            };
            let Some(room) = self.room(&stop).await.filter(|_| may_pull) else { return };
            let Some(generation) = self.log.verified(&stop).await else { return };
            if let Err(error) = self.pull(room, generation, &mut stall).await {
                failures += 1;
                self.log.connection.doubt();
                warn!(lane = %self.lane, failures, error, "pulling from lane {} failed, trying again", self.lane);
                tokio::time::sleep(delays.next().unwrap_or(PULL_EXPIRES)).await;
            } else {
                failures = 0;
                delays = pauses();
            }
            if self.is_stalled(&mut stall).await {
                warn!(lane = %self.lane, "messages wait in lane {} and none is delivered, connecting anew", self.lane);
                drop(self.log.connection.client().force_reconnect().await);
                return;
            }
        }
    }

    /// Waits until the lane may be pulled; false if that will not be.
    async fn opens(&mut self, stall: &mut Stall) -> bool {
        let lane = self.lane;
        if self.paused.borrow().contains(&lane) {
            if self.paused.wait_for(|paused| !paused.contains(&lane)).await.is_err() {
                return false;
            }
            // What waited meanwhile was not to be delivered.
            *stall = Stall::new(Instant::now());
        }
        self.open.wait_for(|open| *open).await.is_ok()
    }

    /// Whether messages wait in the lane that the broker delivers to no worker.
    async fn is_stalled(&self, stall: &mut Stall) -> bool {
        if !stall.is_due(Instant::now()) {
            return false;
        }
        // A broker that does not answer is no reason to leave it: its pulls fail, too.
        let Ok(info) = self.consumer.get_info().await else { return false };
        stall.is_stalled(Seen::of(&info), Instant::now())
    }

    /// Waits for room for one delivery, and takes what else there is.
    async fn room(&self, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
        let mut room = tokio::select! {
            () = stop.cancelled() => return None,
            room = Arc::clone(&self.room).acquire_owned() => room.ok()?,
        };
        let more = self.room.available_permits().min(PULL_AT_MOST - 1);
        if let Some(more) = u32::try_from(more).ok().and_then(|n| Arc::clone(&self.room).try_acquire_many_owned(n).ok())
        {
            room.merge(more);
        }
        Some(room)
    }

    async fn pull(&mut self, mut room: OwnedSemaphorePermit, generation: u64, stall: &mut Stall) -> Result<(), String> {
        let began = Instant::now();
        let batch = self.consumer.batch().max_messages(room.num_permits()).expires(PULL_EXPIRES).messages().await;
        let mut messages = batch.map_err(|error| error.to_string())?;
        loop {
            let message = tokio::select! {
                biased;
                // The broker that had this pull is gone, and its successor knows nothing of it.
                () = self.log.connection.later_than(generation) => break,
                message = messages.next() => message,
            };
            let Some(message) = message else {
                let silent = began.elapsed() > PULL_EXPIRES + SILENCE;
                return if silent { Err("the broker did not end the pull".to_owned()) } else { Ok(()) };
            };
            let message = message.map_err(|error| error.to_string())?;
            stall.delivered(Instant::now());
            let Some(own_room) = room.split(1) else { break };
            let delivery = self.log.delivered(message, self.lane, generation, &self.keep_alive, own_room);
            let Some(delivery) = delivery else { continue };
            failpoint::hit(Failpoint::WorkerDelivered).await;
            if self.deliveries.send(delivery).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}
