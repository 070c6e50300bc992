//! Sends what this worker has to say: outcomes to the ingresses that wait, acknowledgements to the broker.

use protocol::failpoint::Failpoint;
use protocol::id::{IngressId, Namespace, OperationId};
use protocol::message::outcome::{Outcome, OutcomeMessage};
use tracing::{debug, warn};

use crate::broker::Connection;
use crate::broker::delivery::Ticket;
use crate::disposition::{Ending, disposition};
use crate::failpoint;

/// Where outcomes and acknowledgements are sent.
#[derive(Debug, Clone)]
pub(crate) struct Replies {
    pub(crate) connection: Connection,
    pub(crate) namespace: Namespace,
}

impl Replies {
    /// Answers the ingress that waits. At most once by nature: an ingress that hears nothing asks for the ledger.
    pub(crate) async fn answer(&self, ingress: &IngressId, operation: OperationId, outcome: Outcome) {
        let payload = match serde_json::to_vec(&OutcomeMessage { operation, outcome }) {
            Ok(payload) => payload,
            Err(error) => return warn!(%operation, %error, "the outcome of {operation} cannot be written as JSON"),
        };
        if !self.connection.is_up() {
            return debug!(%operation, "not answered: the broker is away; the ingress will ask");
        }
        failpoint::hit(Failpoint::WorkerAnswerBefore).await;
        if let Err(error) = self.connection.client.publish(self.namespace.outcomes(ingress), payload.into()).await {
            warn!(%operation, %error, "the outcome of {operation} was not sent; the ingress will ask for it");
        }
        failpoint::hit(Failpoint::WorkerAnswerAfter).await;
    }

    /// Settles a delivery. The only place that acknowledges. Only on the connection of the delivery: a broker that came
    /// back without its newest messages would take it for another message's. What is not acknowledged comes again and
    /// finds the ledger.
    pub(crate) async fn settle(&self, ticket: Ticket, ending: Ending) {
        if ticket.generation != self.connection.generation() || !self.connection.is_up() {
            return debug!(?ending, "not acknowledged: the connection is another one now");
        }
        failpoint::hit(Failpoint::WorkerAckBefore).await;
        if let Err(error) = self.connection.client.publish(ticket.reply.clone(), disposition(ending).into()).await {
            warn!(?ending, %error, "an acknowledgement was not sent; the message will come again and find the ledger");
        }
        failpoint::hit(Failpoint::WorkerAckAfter).await;
    }
}
