//! What keeps the old request from the log while its client gives up.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::harness::System;

/// When the ingress is stopped that waits for the broker: the requests have come by then.
const STOPPED_AT: Duration = Duration::from_millis(400);

/// What happens to the first ingress, or to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// Its connection to the broker ends, and no new one comes about.
    LinkCut,
    /// What it sends lies in the socket and arrives later.
    LinkStalled,
    /// The broker is killed and comes back.
    BrokerRestarted,
    /// SIGSTOP while it waits for the broker: it reads the hang-up late.
    Frozen,
    /// SIGSTOP before the request comes: it reads the request late, and the hang-up with it.
    FrozenBefore,
}

impl Outage {
    /// Whether the other ingress goes on.
    pub(super) fn spares_the_other(self) -> bool {
        self != Self::BrokerRestarted
    }

    pub(super) async fn begin(self, system: &System) {
        let first = &system.ingresses[0];
        match self {
            Self::LinkCut | Self::Frozen => first.broker_link().cut(),
            Self::LinkStalled => first.broker_link().stall(),
            Self::BrokerRestarted => system.broker().node().kill().await,
            Self::FrozenBefore => first.pause(),
        }
    }

    /// What happens while the old requests wait.
    pub(super) async fn go_on(self, system: &System, began: Instant) {
        if self == Self::Frozen {
            sleep_until(began + STOPPED_AT).await;
            system.ingresses[0].pause();
        }
    }

    pub(super) async fn end(self, system: &System) {
        let first = &system.ingresses[0];
        match self {
            Self::LinkCut | Self::LinkStalled => first.broker_link().heal(),
            Self::BrokerRestarted => system.broker().node().start_again().await,
            Self::Frozen => {
                first.broker_link().heal();
                first.resume();
            }
            Self::FrozenBefore => first.resume(),
        }
    }
}
