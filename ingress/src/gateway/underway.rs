//! A command on its way: appended in its turn, followed until it is settled, and counted also when its client has gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::id::OperationId;
use protocol::message::lane::Lane;
use protocol::message::outcome::Outcome;
use protocol::message::query::{Answer, Fate, Query};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument;

use super::GatewayError;
use super::admission::{Permit, Queued};
use super::outgoing::OutgoingCommand;
use super::pending_outcomes::{Notice, Notices};
use super::shared::Shared;
use super::turns::Turn;

/// Outcomes can be lost on the way, so while waiting a worker is asked this often.
const ASK_INTERVAL: Duration = Duration::from_secs(2);
/// How soon it is asked again on a new connection where no worker answers yet.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// How long an operation that outlived its request still counts as one in the log, unless it is settled or gone before.
const LINGER_TIMEOUT: Duration = Duration::from_mins(10);
/// How often such an operation is asked for.
const LINGER_ASK_INTERVAL: Duration = Duration::from_secs(10);

/// A command on its way. Dropped before it is settled, it is counted on in a task of its own.
#[derive(Debug)]
pub(super) struct Underway {
    inner: Arc<Shared>,
    /// Taken when another task follows it.
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    command: OutgoingCommand,
    notices: Notices,
    permit: Option<Permit>,
    /// The sequence in the stream that the broker acknowledged last.
    sequence: Option<u64>,
    /// A worker has read it as valid, on the present connection: it will be applied.
    is_queued: bool,
}

/// Why a command is not worked on any more, for its client.
enum Stopped {
    /// The log does not have it, and will not.
    NotInLog(GatewayError),
    /// It keeps its place in the log until more is known.
    MayBeInLog(GatewayError),
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
    /// Starts to wait for the outcome of a command; before it is published.
    pub(super) fn new(inner: Arc<Shared>, command: OutgoingCommand) -> Self {
        let notices = inner.pending.wait_for(command.operation);
        let parts = Parts { command, notices, permit: None, sequence: None, is_queued: false };
        Self { inner, parts: Some(parts) }
    }

    /// A place in the log that was taken for it beforehand.
    pub(super) fn admit(&mut self, permit: Permit) {
        if let Some(parts) = &mut self.parts {
            parts.permit = Some(permit);
        }
    }

    /// The command, for appending it together with others.
    pub(super) const fn command(&mut self) -> Option<&mut OutgoingCommand> {
        match &mut self.parts {
            Some(parts) => Some(&mut parts.command),
            None => None,
        }
    }

    /// The log has it under this sequence.
    pub(super) const fn was_stored(&mut self, sequence: u64) {
        if let Some(parts) = &mut self.parts {
            parts.sequence = Some(sequence);
        }
    }

    /// Appends the command in its turn, unless the log has it, and waits for its outcome, whichever way it comes.
    pub(super) async fn outcome(mut self, turn: Option<Turn>, queued: Option<Queued>) -> Result<Outcome, GatewayError> {
        let Some(parts) = &mut self.parts else { return Err(GatewayError::Timeout { queued: None }) };
        match parts.run(&self.inner, turn, queued).await {
            Ok(outcome) => {
                self.parts = None;
                Ok(outcome)
            }
            Err(Stopped::NotInLog(failure)) => {
                self.parts = None;
                Err(failure)
            }
            Err(Stopped::MayBeInLog(failure)) => Err(failure),
        }
    }
}

impl Drop for Underway {
    /// Its client has gone, or was told that there is no outcome yet. It keeps its place in the log, so that retries of a
    /// provider cannot pile up in there while no worker runs.
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take()
            && parts.command.was_sent()
        {
            tokio::spawn(parts.linger(Arc::clone(&self.inner)).in_current_span());
        }
    }
}

impl Parts {
    fn is_urgent(&self) -> bool {
        self.command.lane == Lane::Urgent
    }

    async fn run(
        &mut self,
        inner: &Arc<Shared>,
        turn: Option<Turn>,
        queued: Option<Queued>,
    ) -> Result<Outcome, Stopped> {
        let mut way = turn.map(|turn| (turn, queued));
        loop {
            if let Some((turn, queued)) = way.take() {
                match self.append(inner, turn, queued).await {
                    Ok(None) => {}
                    Ok(Some(outcome)) => return Ok(outcome),
                    // It may have been stored all the same.
                    Err(failure) if self.command.was_sent() && failure.leaves_open() => {
                        return self.last_chance(inner, failure).await;
                    }
                    Err(failure) => return Err(Stopped::NotInLog(failure)),
                }
            }
            match self.follow(inner, ASK_INTERVAL, self.command.timing.answer_by).await {
                Followed::Ended(outcome) => return Ok(outcome),
                Followed::Lost if Instant::now() < self.command.timing.publish_by => {
                    tracing::info!(operation = %self.command.operation, "an attempt was late or lost, appending another");
                    self.command.end_attempt();
                    inner.observed.clock.measure_again().await;
                    way = Some((inner.turns.join(&self.command.all_lanes, self.is_urgent()), None));
                }
                Followed::Lost => return Err(Stopped::NotInLog(GatewayError::Timeout { queued: None })),
                Followed::Expired => return Err(Stopped::MayBeInLog(self.expired())),
            }
        }
    }

    /// Nothing is published any more, and nothing was acknowledged: an outcome can still be heard.
    async fn last_chance(&mut self, inner: &Shared, failure: GatewayError) -> Result<Outcome, Stopped> {
        match self.follow(inner, ASK_INTERVAL, self.command.timing.answer_by).await {
            Followed::Ended(outcome) => Ok(outcome),
            Followed::Lost | Followed::Expired => Err(Stopped::MayBeInLog(failure)),
        }
    }

    /// Waits for its turn, for a place and for room in the log, then appends. An outcome, if one is heard meanwhile.
    async fn append(
        &mut self,
        inner: &Arc<Shared>,
        mut turn: Turn,
        queued: Option<Queued>,
    ) -> Result<Option<Outcome>, GatewayError> {
        let (publish_by, command, permit) = (self.command.timing.publish_by, &mut self.command, &mut self.permit);
        let appending = async {
            let admitted = async {
                turn.comes().await;
                if permit.is_none() {
                    *permit = admit(inner, command, &mut turn).await?;
                }
                Ok(())
            };
            let admitted: Result<Result<(), GatewayError>, _> = timeout_at(publish_by, admitted).await;
            drop(queued);
            admitted.unwrap_or_else(|_| Err(inner.not_admitted(command)))?;
            inner.appender.append(command).await
        };
        let appended = tokio::select! {
            biased;
            outcome = self.notices.outcome() => return Ok(Some(outcome)),
            appended = appending => appended?,
        };
        // Who comes next need not wait for what became of this one.
        drop(turn);
        self.sequence = Some(appended.sequence);
        if appended.duplicate
            && let Some(Fate::Ended(outcome)) = self.ask(inner).await
        {
            return Ok(Some(outcome));
        }
        Ok(None)
    }

    /// Waits for the outcome, and asks a worker every so often and on every new connection: the log may have come back
    /// without it.
    async fn follow(&mut self, inner: &Shared, interval: Duration, until: Instant) -> Followed {
        let mut generation = inner.connection.generation();
        if self.notices.has_heard_late(|attempt| self.command.is_newest(attempt)) {
            return Followed::Lost;
        }
        loop {
            let question = async {
                let newer = tokio::select! {
                    () = sleep(interval) => generation,
                    newer = inner.connection.reconnected(generation) => newer,
                };
                (newer, ask(inner, &self.command, self.sequence).await)
            };
            let (newer, fate) = tokio::select! {
                biased;
                notice = self.notices.next() => match notice {
                    Notice::Outcome(outcome) => return Followed::Ended(outcome),
                    Notice::Late { attempt } if self.command.is_newest(attempt) => return Followed::Lost,
                    Notice::Late { .. } => continue,
                },
                answered = question => answered,
                () = sleep_until(until) => return Followed::Expired,
            };
            let is_silent = fate.is_none();
            match fate {
                Some(Fate::Ended(outcome)) => return Followed::Ended(outcome),
                Some(Fate::Gone) => return Followed::Lost,
                Some(Fate::Queued) => self.is_queued = true,
                // What was read on an earlier connection may be lost since.
                Some(Fate::Unknown) | None => self.is_queued &= newer == generation,
            }
            if is_silent && newer != generation {
                // On a new connection the answer matters at once.
                sleep(RETRY_INTERVAL).await;
                continue;
            }
            generation = newer;
        }
    }

    async fn ask(&self, inner: &Shared) -> Option<Fate> {
        ask(inner, &self.command, self.sequence).await
    }

    /// "Queued" is said only of what a worker has read as valid.
    fn expired(&self) -> GatewayError {
        let (operation, workspace) = (self.command.operation, &self.command.workspace);
        if self.is_queued {
            tracing::warn!(%operation, %workspace, "no outcome in time: operation {operation} stays in the log");
        } else {
            tracing::warn!(%operation, %workspace, "no outcome in time: it is unknown whether the log has operation {operation}");
        }
        GatewayError::Timeout { queued: self.is_queued.then_some(operation) }
    }

    async fn linger(mut self, inner: Arc<Shared>) {
        let operation = self.command.operation;
        // It may be large, and is not published any more.
        self.command.payload = Bytes::new();
        // Whether the log has it is not known: its attempts end soon, and then there is nothing to wait for.
        let limit = if self.sequence.is_some() { LINGER_TIMEOUT } else { LINGER_ASK_INTERVAL };
        if let Followed::Expired = self.follow(&inner, LINGER_ASK_INTERVAL, Instant::now() + limit).await {
            tracing::debug!(%operation, "an operation was not settled for long; it counts no more");
        }
    }
}

/// Waits for a place in the log and for room in it. What stands before something urgent needs no place of its own: no more
/// than are waiting can come so, and they must not take the places of what is urgent.
async fn admit(inner: &Shared, command: &OutgoingCommand, turn: &mut Turn) -> Result<Option<Permit>, GatewayError> {
    let (workspace, size, lane) = (&command.workspace, command.size(), command.lane);
    let entering = async {
        let permit = inner.admission.enter(workspace, lane).await?;
        inner.observed.fill.room(lane, size).await;
        Ok(Some(permit))
    };
    tokio::select! {
        permit = entering => permit,
        () = turn.is_hurried(), if lane != Lane::Urgent => {
            inner.observed.fill.room(Lane::Urgent, size).await;
            Ok(None)
        }
    }
}

async fn ask(inner: &Shared, command: &OutgoingCommand, sequence: Option<u64>) -> Option<Fate> {
    let operation: OperationId = command.operation;
    match inner.asking.once(&command.workspace, &Query::Fate { operation, sequence }).await {
        Ok(Answer::Fate { fate }) => Some(fate),
        Ok(_) | Err(_) => None,
    }
}
