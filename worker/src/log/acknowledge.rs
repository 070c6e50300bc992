//! What happens to a message: the one function that turns an ending into an acknowledgement.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use protocol::failpoint::Failpoint;
use runtime::failpoint;
use tracing::{debug, warn};

use crate::log::Log;
use crate::log::delivery::{AckHandle, Delivery};
use crate::metrics::METRICS;

/// How the work on one delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// Its outcome is committed, now or by an earlier copy. A refusal is an outcome, too.
    Settled,
    /// It is committed as a dead letter.
    Dead,
    /// A newer worker can read it.
    TooNew,
    /// The database is away: an outage never dead-letters anything.
    Outage,
    /// This worker holds more than it may while waiting for predecessors.
    Crowded,
}

/// How long a message waits for a worker that can read it.
pub(crate) const NEWER_WORKER: Duration = Duration::from_secs(5);
/// How long a message waits while its worker has no database.
pub(crate) const DATABASE_AWAY: Duration = Duration::from_secs(1);
/// How long a message waits when its worker holds too many.
pub(crate) const HELD_TOO_MANY: Duration = Duration::from_millis(250);

impl Log {
    /// Settles a delivery. The only place that acknowledges. Only on the connection of the delivery: a broker that came
    /// back without its newest messages would take it for another message's. What is not acknowledged comes again and
    /// finds the ledger.
    pub(crate) async fn settle(&self, ack: AckHandle, ending: Settlement) {
        if ack.generation != self.connection.generation() || !self.connection.is_up() {
            return debug!(?ending, "not acknowledged: the connection is another one now");
        }
        if matches!(ending, Settlement::Settled | Settlement::Dead) {
            METRICS.settled.add_one([ack.lane.as_str()]);
        }
        failpoint::hit(Failpoint::WorkerAckBefore).await;
        if let Err(error) = self.connection.client().publish(ack.reply.clone(), disposition(ending).into()).await {
            warn!(?ending, %error, "an acknowledgement was not sent; the message will come again and find the ledger");
        }
        failpoint::hit(Failpoint::WorkerAckAfter).await;
    }

    /// Gives deliveries back to the broker.
    pub(crate) async fn hand_back(&self, deliveries: Vec<Delivery>, ending: Settlement) {
        for ack in deliveries.into_iter().filter_map(|delivery| delivery.ack) {
            self.settle(ack, ending).await;
        }
    }

    /// The same in a task of its own.
    pub(crate) fn hand_back_soon(&self, deliveries: Vec<Delivery>, ending: Settlement) {
        let log = self.clone();
        tokio::spawn(async move { log.hand_back(deliveries, ending).await });
    }
}

/// The acknowledgement for an ending (ARCHITECTURE, "Failure classes").
const fn disposition(ending: Settlement) -> AckKind {
    match ending {
        Settlement::Settled => AckKind::Ack,
        Settlement::Dead => AckKind::Term,
        Settlement::TooNew => AckKind::Nak(Some(NEWER_WORKER)),
        Settlement::Outage => AckKind::Nak(Some(DATABASE_AWAY)),
        Settlement::Crowded => AckKind::Nak(Some(HELD_TOO_MANY)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_committed_leaves_the_log() {
        for (ending, leaves) in [
            (Settlement::Settled, true),
            (Settlement::Dead, true),
            (Settlement::TooNew, false),
            (Settlement::Outage, false),
            (Settlement::Crowded, false),
        ] {
            assert_eq!(matches!(disposition(ending), AckKind::Ack | AckKind::Term), leaves, "{ending:?}");
        }
    }
}
