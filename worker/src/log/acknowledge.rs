//! What happens to a message: the one function that turns an ending into an acknowledgement.

use std::time::Duration;

use async_nats::jetstream::AckKind;
use protocol::failpoint::Failpoint;
use runtime::connection::Connection;
use runtime::failpoint;
use tracing::{debug, warn};

use crate::log::delivery::Ticket;

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

/// Settles a delivery. The only place that acknowledges. Only on the connection of the delivery: a broker that came back
/// without its newest messages would take it for another message's. What is not acknowledged comes again and finds the
/// ledger.
pub(crate) async fn settle(connection: &Connection, ticket: Ticket, ending: Settlement) {
    if ticket.generation != connection.generation() || !connection.is_up() {
        return debug!(?ending, "not acknowledged: the connection is another one now");
    }
    failpoint::hit(Failpoint::WorkerAckBefore).await;
    if let Err(error) = connection.client().publish(ticket.reply.clone(), disposition(ending).into()).await {
        warn!(?ending, %error, "an acknowledgement was not sent; the message will come again and find the ledger");
    }
    failpoint::hit(Failpoint::WorkerAckAfter).await;
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
