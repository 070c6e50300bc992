//! Named places between receiving a request and acknowledging its message, at which a test makes a process die or wait.
//!
//! Pure: this module names the places and reads what is armed; `ingress` and `worker` act, in builds with debug
//! assertions only. `ROSTERD_FAILPOINT` holds a list such as `worker.commit.after=abort,worker.locked=sleep(3000)@2`:
//! the action happens once in each process, at the first hit or at the one after `@`.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The environment variable that arms failpoints.
pub const VARIABLE: &str = "ROSTERD_FAILPOINT";

/// One list, so that no failpoint can be forgotten in [`Failpoint::ALL`].
macro_rules! failpoints {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place in the way of a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Failpoint {
            $($(#[$doc])* $point,)*
        }

        impl Failpoint {
            /// All of them, in the order in which a request meets them.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// Its name in `ROSTERD_FAILPOINT`; begins with the process that has it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

failpoints! {
    /// Ingress: the request is read and valid, nothing is published.
    IngressReceived = "ingress.received",
    /// Ingress: before each publish of a command.
    IngressPublishBefore = "ingress.publish.before",
    /// Ingress: the log has acknowledged the command.
    IngressPublishAfter = "ingress.publish.after",
    /// Worker: a message was delivered and read.
    WorkerDelivered = "worker.delivered",
    /// Worker: a predecessor was fetched from the log.
    WorkerFetched = "worker.fetched",
    /// Worker, in the transaction: the ledger was asked.
    WorkerClaimed = "worker.claimed",
    /// Worker, in the transaction: rows are locked and read.
    WorkerLocked = "worker.locked",
    /// Worker, in the transaction: all commands are decided, nothing is written.
    WorkerDecided = "worker.decided",
    /// Worker, in the transaction: ledger rows are written, effects are not.
    WorkerLedgerWritten = "worker.ledger.written",
    /// Worker: before each commit of any transaction.
    WorkerCommitBefore = "worker.commit.before",
    /// Worker: after each commit of any transaction.
    WorkerCommitAfter = "worker.commit.after",
    /// Worker: before an outcome is sent to the ingress that waits.
    WorkerAnswerBefore = "worker.answer.before",
    /// Worker: after an outcome was sent.
    WorkerAnswerAfter = "worker.answer.after",
    /// Worker: before an acknowledgement of any kind.
    WorkerAckBefore = "worker.ack.before",
    /// Worker: after an acknowledgement.
    WorkerAckAfter = "worker.ack.after",
    /// Worker: before the answer to a query.
    WorkerReplyBefore = "worker.reply.before",
    /// Worker: after the answer to a query.
    WorkerReplyAfter = "worker.reply.after",
    /// Ingress: the outcome is known, the answer is not written.
    IngressAnswerBefore = "ingress.answer.before",
    /// Ingress: the answer has gone to the socket.
    IngressAnswerAfter = "ingress.answer.after",
}

/// What happens at a failpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailpointAction {
    /// The process ends as if it had crashed.
    Abort,
    /// What was being done goes on this much later.
    Sleep(Duration),
    /// Every thread of the process's runtime stands still from then on.
    Hang,
}

/// What is armed in a process.
#[derive(Debug, Default)]
pub struct Armed {
    traps: Vec<Trap>,
}

#[derive(Debug)]
struct Trap {
    point: Failpoint,
    action: FailpointAction,
    /// The hit at which it acts, from 1.
    at: u32,
    hits: AtomicU32,
}

/// Why a list of failpoints cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no failpoint: it is NAME=abort, NAME=hang or NAME=sleep(MILLISECONDS), with @N for the N-th hit")]
pub struct FailpointError(String);

impl Armed {
    /// Counts a hit; the action if it is this one that is meant.
    pub fn hit(&self, point: Failpoint) -> Option<FailpointAction> {
        let hit = |trap: &&Trap| trap.point == point && trap.hits.fetch_add(1, Ordering::Relaxed) + 1 == trap.at;
        self.traps.iter().find(hit).map(|trap| trap.action)
    }
}

impl FromStr for Armed {
    type Err = FailpointError;

    fn from_str(text: &str) -> Result<Self, FailpointError> {
        let traps = text.split(',').map(str::trim).filter(|trap| !trap.is_empty());
        let read = |trap: &str| Trap::read(trap).ok_or_else(|| FailpointError(trap.to_owned()));
        Ok(Self { traps: traps.map(read).collect::<Result<_, _>>()? })
    }
}

impl Trap {
    fn read(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('=')?;
        let (action, at) = rest.split_once('@').unwrap_or((rest, "1"));
        let point = Failpoint::ALL.iter().copied().find(|point| point.name() == name)?;
        let action = match action.strip_prefix("sleep(").and_then(|rest| rest.strip_suffix(')')) {
            Some(milliseconds) => FailpointAction::Sleep(Duration::from_millis(milliseconds.parse().ok()?)),
            None if action == "abort" => FailpointAction::Abort,
            None if action == "hang" => FailpointAction::Hang,
            None => return None,
        };
        let at = at.parse().ok().filter(|at| *at > 0)?;
        Some(Self { point, action, at, hits: AtomicU32::new(0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_acts_once_at_its_hit() {
        let armed: Armed = "worker.locked=sleep(50)@2, ingress.received=abort".parse().unwrap();
        let hits: Vec<_> = (0..3).map(|_| armed.hit(Failpoint::WorkerLocked)).collect();
        assert_eq!(hits, [None, Some(FailpointAction::Sleep(Duration::from_millis(50))), None]);
        assert_eq!(armed.hit(Failpoint::IngressReceived), Some(FailpointAction::Abort));
        assert_eq!(armed.hit(Failpoint::WorkerAckAfter), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["worker.locked", "worker.lockd=abort", "worker.locked=die", "worker.locked=abort@0"] {
            assert!(text.parse::<Armed>().is_err(), "{text}");
        }
        assert!("".parse::<Armed>().is_ok());
    }
}
