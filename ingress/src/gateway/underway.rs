//! A command on its way: appended in its turn, followed until it is settled, and counted also when its client has gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::id::Namespace;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Fate, GetFate, TypedQuery};
use runtime::connection::Connection;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument;

use super::GatewayError;
use super::answered_creates::AnsweredCreates;
use super::append::Appender;
use super::observer::Observed;
use super::outgoing::OutgoingCommand;
use super::pending_outcomes::{PendingOutcome, PendingOutcomes};
use super::query_client::QueryClient;
use super::turns::{Turn, Turns};
use crate::gate::{Permit, Waiting};
use crate::metrics::METRICS;

/// Outcomes can be lost on the way, so while waiting a worker is asked this often.
const ASK_INTERVAL: Duration = Duration::from_secs(2);
/// How soon it is asked again on a new connection where no worker answers yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// How long an operation that outlived its request still counts as one in the log, unless it is settled or gone before.
const LINGER_TIMEOUT: Duration = Duration::from_mins(10);
/// How often such an operation is asked for.
const LINGER_ASK_INTERVAL: Duration = Duration::from_secs(10);

/// What commands on their way share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) namespace: Namespace,
    pub(super) connection: Connection,
    pub(super) appender: Appender,
    pub(super) pending: PendingOutcomes,
    pub(super) asking: QueryClient,
    pub(super) turns: Turns,
    pub(super) observed: Arc<Observed>,
    pub(super) creates: AnsweredCreates,
}

/// A command on its way. Dropped before it is settled, it is counted on in a task of its own.
#[derive(Debug)]
pub(super) struct Underway {
    /// Taken when that task follows it.
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    shared: Arc<Shared>,
    command: OutgoingCommand,
    pending: PendingOutcome,
    permit: Option<Permit>,
    /// The sequence in the stream that the broker acknowledged last.
    sequence: Option<u64>,
    /// An earlier publish had been stored: its outcome may have been sent before.
    may_be_settled: bool,
    /// A worker has read it as valid, on the present connection: it will be applied.
    is_queued: bool,
    /// Why it is not appended any more, though nothing was acknowledged: an outcome can still be heard.
    given_up: Option<GatewayError>,
}

/// How far following a command came.
enum Followed {
    Ended(Outcome),
    /// Its newest attempt was late, or the log has lost it.
    Lost,
    /// Nothing is known in time.
    Expired,
}

impl Underway {
    /// Starts to wait for the outcome of a command; before it is published. It may have a place in the log already.
    pub(super) fn new(shared: Arc<Shared>, command: OutgoingCommand, permit: Option<Permit>) -> Self {
        let pending = shared.pending.wait_for(command.operation);
        let (sequence, may_be_settled, is_queued, given_up) = (None, false, false, None);
        let parts = Parts { shared, command, pending, permit, sequence, may_be_settled, is_queued, given_up };
        Self { parts: Some(parts) }
    }

    /// The command, for appending it together with others.
    pub(super) fn command(&mut self) -> Option<&mut OutgoingCommand> {
        self.parts.as_mut().map(|parts| &mut parts.command)
    }

    /// The log has it under this sequence.
    pub(super) const fn was_stored(&mut self, sequence: u64) {
        if let Some(parts) = &mut self.parts {
            parts.sequence = Some(sequence);
        }
    }

    /// Appends the command in its turn, once there is a place for it. An error says that the log does not have it.
    pub(super) async fn append(mut self, turn: Turn, waiting: Option<Waiting>) -> Result<Self, GatewayError> {
        match &mut self.parts {
            Some(parts) => parts.append(turn, waiting).await.map(|()| self),
            None => Ok(self),
        }
    }

    /// Waits for the outcome, whichever way it comes, and appends the command again where it was late or lost.
    pub(super) async fn outcome(mut self) -> Result<Outcome, GatewayError> {
        match &mut self.parts {
            Some(parts) => parts.outcome().await,
            None => Err(GatewayError::Timeout { queued: None }),
        }
    }
}

impl Drop for Underway {
    /// Its client has gone, or was told that there is no outcome yet. It keeps its place in the log, so that retries of a
    /// provider cannot pile up in there while no worker runs.
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take()
            && parts.command.may_be_stored()
        {
            tokio::spawn(parts.linger().in_current_span());
        }
    }
}

impl Parts {
    async fn append(&mut self, mut turn: Turn, waiting: Option<Waiting>) -> Result<(), GatewayError> {
        let Self { shared, command, pending, permit, .. } = self;
        let appending = async {
            let admitted = async {
                turn.comes().await;
                if let Some(waiting) = waiting {
                    *permit = admit(shared, command, &mut turn, &waiting).await;
                }
            };
            if timeout_at(command.timing.publish_by, admitted).await.is_err() {
                let is_full = shared.observed.fill.is_full_for(command.lane, command.size());
                return Err(if is_full { GatewayError::LogFull } else { GatewayError::Timeout { queued: None } });
            }
            shared.appender.append(command).await.map(Some)
        };
        let appended = tokio::select! {
            biased;
            () = pending.comes() => Ok(None),
            appended = appending => appended,
        };
        match appended {
            Ok(Some(appended)) => {
                self.sequence = Some(appended.sequence);
                self.may_be_settled = appended.duplicate;
            }
            Ok(None) => {}
            // It may have been stored all the same.
            Err(failure) if self.command.may_be_stored() && failure.leaves_open() => self.given_up = Some(failure),
            Err(failure) => return Err(self.not_in_log(failure)),
        }
        Ok(())
    }

    async fn outcome(&mut self) -> Result<Outcome, GatewayError> {
        loop {
            match self.follow(ASK_INTERVAL, self.command.timing.answer_by).await {
                Followed::Ended(outcome) => {
                    self.end();
                    return Ok(self.shared.creates.answer_of(self.command.operation, outcome).await);
                }
                Followed::Lost if self.given_up.is_none() => self.append_again().await?,
                Followed::Lost | Followed::Expired => return Err(self.unanswered()),
            }
        }
    }

    async fn append_again(&mut self) -> Result<(), GatewayError> {
        if Instant::now() >= self.command.timing.publish_by {
            return Err(self.not_in_log(GatewayError::Timeout { queued: None }));
        }
        tracing::info!(operation = %self.command.operation, "an attempt was late or lost, appending another");
        self.command.end_attempt();
        self.is_queued = false;
        self.shared.observed.clock.measure_again().await;
        let turn = self.shared.turns.join(&self.command.all_lanes, self.command.lane == Lane::Urgent);
        // It was admitted before.
        self.append(turn, None).await
    }

    fn not_in_log(&mut self, failure: GatewayError) -> GatewayError {
        self.end();
        failure
    }

    /// There is nothing left to follow: its place is free.
    fn end(&mut self) {
        self.command.forget_attempts();
        self.permit = None;
    }

    /// Waits for the outcome, and asks a worker every so often and on every new connection: the log may have come back
    /// without it.
    async fn follow(&mut self, interval: Duration, until: Instant) -> Followed {
        let mut generation = self.shared.connection.generation();
        let mut pause = if std::mem::take(&mut self.may_be_settled) { Duration::ZERO } else { interval };
        loop {
            let question = async {
                let newer = tokio::select! {
                    () = sleep(pause) => generation,
                    newer = self.shared.connection.reconnected(generation) => newer,
                };
                (newer, self.ask().await)
            };
            let (newer, fate) = tokio::select! {
                biased;
                heard = self.pending.heard(|attempt| self.command.is_newest(attempt)) => {
                    return heard.map_or(Followed::Lost, Followed::Ended);
                }
                answered = question => answered,
                () = sleep_until(until) => return Followed::Expired,
            };
            // On a new connection the answer matters at once.
            let is_urgent = fate.is_none() && (newer != generation || pause == RETRY_INTERVAL);
            METRICS.ledger_asked.add_one([word_of(fate.as_ref())]);
            match fate {
                Some(Fate::Ended(outcome)) => return Followed::Ended(outcome),
                Some(Fate::Gone) => return Followed::Lost,
                Some(Fate::Queued) => self.is_queued = true,
                // What was read on an earlier connection may be lost since.
                Some(Fate::Unknown) | None => self.is_queued &= newer == generation,
            }
            pause = if is_urgent { RETRY_INTERVAL } else { interval };
            generation = newer;
        }
    }

    async fn ask(&self) -> Option<Fate> {
        let query = GetFate { operation: self.command.operation, sequence: self.sequence }.into();
        let answer = self.shared.asking.once(&self.command.workspace, &query).await.ok()?;
        GetFate::reply(answer).ok()
    }

    /// "Queued" is said only of what a worker has read as valid.
    fn unanswered(&mut self) -> GatewayError {
        METRICS.unanswered.add_one([if self.is_queued { "in_log" } else { "unknown" }]);
        if let Some(failure) = self.given_up.take() {
            return failure;
        }
        let (operation, workspace) = (self.command.operation, &self.command.workspace);
        if self.is_queued {
            tracing::warn!(%operation, %workspace, "no outcome in time: operation {operation} stays in the log");
        } else {
            tracing::warn!(%operation, %workspace, "no outcome in time: it is unknown whether the log has operation {operation}");
        }
        GatewayError::Timeout { queued: self.is_queued.then_some(operation) }
    }

    async fn linger(mut self) {
        let operation = self.command.operation;
        // It may be large, and is not published any more.
        self.command.payload = Bytes::new();
        // Whether the log has it is not known: its attempts end soon, and then there is nothing to wait for.
        let limit = if self.sequence.is_some() { LINGER_TIMEOUT } else { LINGER_ASK_INTERVAL };
        if let Followed::Expired = self.follow(LINGER_ASK_INTERVAL, Instant::now() + limit).await {
            tracing::debug!(%operation, "an operation was not settled for long; it counts no more");
        }
    }
}

/// What a worker found, as a word.
const fn word_of(fate: Option<&Fate>) -> &'static str {
    match fate {
        Some(Fate::Ended(_)) => "ended",
        Some(Fate::Gone) => "gone",
        Some(Fate::Queued) => "queued",
        Some(Fate::Unknown) => "unknown",
        None => "unanswered",
    }
}

/// Waits for a place in the log and for room in it. What stands before something urgent needs no place of its own: no more
/// than are waiting can come so, and they must not take the places of what is urgent.
async fn admit(shared: &Shared, command: &OutgoingCommand, turn: &mut Turn, waiting: &Waiting) -> Option<Permit> {
    let (size, lane) = (command.size(), command.lane);
    let entering = async {
        let permit = waiting.enter().await;
        shared.observed.fill.room(lane, size).await;
        permit
    };
    tokio::select! {
        permit = entering => Some(permit),
        () = turn.is_hurried(), if lane != Lane::Urgent => {
            shared.observed.fill.room(Lane::Urgent, size).await;
            None
        }
    }
}
