//! Publishes the commands of replays. Ingresses publish what clients and the product ask for; replays are published here,
//! because what they are made of is in SQL, which ingresses do not know. No other code publishes commands.
//!
//! A worker publishes for a replay while it has the lease on it, which it takes in SQL and renews. The lease only saves work:
//! that each dead letter is applied once is decided by the ledger, which takes each replay of an operation once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::client::Request;
use futures::future::join_all;
use protocol::id::OperationId;
use protocol::message::attempt::ReplayAttemptId;
use protocol::message::header;
use protocol::message::lane::Lane;
use protocol::message::operator::ActedBy;
use protocol::message::subject::CommandSubject;
use protocol::replay::{ReplayEnd, ReplayState, may_publish};
use runtime::clock::Clock;
use runtime::ids;
use runtime::publish_ack::{self, PublishResult};
use runtime::telemetry::error_chain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::letter;
use crate::log::{Found, Log};
use crate::store::audit::{self, Act};
use crate::store::entity::{dead_letter, operation, replay, replay_item};
use crate::store::{
    Store, StoreError, commit, dead_letters, ledger, replayed, replays, sequence, to_u64, with_timeout,
};

/// Between two turns while there is a replay to publish, and while there is none.
const TURN: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_millis(500);
/// How long a lease holds unless it is renewed: after that, another worker takes over from one that was killed.
const LEASE: Duration = Duration::from_secs(4);
/// How long a published command may be unsettled before it is looked after.
const OVERDUE: Duration = Duration::from_secs(5);
/// Until when the log may store a copy. Long, because a late copy does no harm here, and this is not the broker's clock.
const VALIDITY: Duration = Duration::from_mins(1);
/// How long the broker's answer to a publish is waited for.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a publish is tried until it is left to a later turn.
const MAX_TRIES: usize = 20;
/// How many overdue items are looked after in one turn.
const MAX_OVERDUE: u64 = 64;

/// Publishes replays, as one of many workers.
pub(crate) struct Publisher {
    log: Log,
    store: Store,
    clock: Clock,
    holder: String,
    /// Up to when the rate of each replay is used up.
    used_up: HashMap<Uuid, Instant>,
}

impl Publisher {
    /// On this log.
    pub(crate) fn new(log: Log, store: Store) -> Self {
        Self { log, store, clock: Clock::System, holder: ids::batch(), used_up: HashMap::new() }
    }

    /// Publishes until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pause = IDLE;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = match self.turn().await {
                Ok(true) => TURN,
                Ok(false) => IDLE,
                Err(error) => {
                    warn!(error = %error_chain(&error), "replays are not published now, trying again");
                    IDLE
                }
            };
        }
    }

    /// Whether there was anything to do.
    async fn turn(&mut self) -> Result<bool, StoreError> {
        let leased = with_timeout("leasing replays", self.lease()).await?;
        self.used_up.retain(|id, _| leased.iter().any(|replay| replay.id == *id));
        for replay in &leased {
            self.work_on(replay).await?;
        }
        Ok(!leased.is_empty())
    }

    async fn lease(&self) -> Result<Vec<replay::Model>, StoreError> {
        // Most of the time there is nothing: that is not worth a transaction that writes.
        if !replays::has_work(self.store.reader()).await? {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let transaction = self.store.begin().await?;
        let leased = replays::lease(&transaction, &self.holder, now, now.after(LEASE)).await?;
        commit(transaction).await?;
        Ok(leased)
    }

    async fn work_on(&mut self, replay: &replay::Model) -> Result<(), StoreError> {
        let overdue = self.clock.now().before(OVERDUE);
        for item in replays::items(self.store.reader(), replay.id, replays::SENT, Some(overdue), MAX_OVERDUE).await? {
            self.look_after(replay, item).await?;
        }
        if replays::state_of(replay)? != ReplayState::Running {
            return Ok(());
        }
        let counts = replays::counts(self.store.reader(), replay.id).await?;
        let count = |state: &str| counts.get(state).copied().unwrap_or(0);
        let failures = count(ReplayEnd::Dead.as_str()).saturating_add(count(ReplayEnd::Rejected.as_str()));
        let most = replay.max_failures.and_then(|most| u64::try_from(most).ok());
        if let Some(most) = most.filter(|most| failures >= *most && count(replays::WAITING) > 0) {
            let note = format!("{failures} of its dead letters failed, and {most} are allowed");
            return self.end(replay, ReplayState::Stopped, Some(note)).await;
        }
        if count(replays::WAITING) == 0 && count(replays::SENT) == 0 {
            return self.end(replay, ReplayState::Done, None).await;
        }
        let in_log = u32::try_from(count(replays::SENT)).unwrap_or(u32::MAX);
        let room = self.earned(replay, in_log);
        if room > 0 && count(replays::WAITING) > 0 && self.log_has_room().await {
            let items = replays::items(self.store.reader(), replay.id, replays::WAITING, None, u64::from(room)).await?;
            self.use_up(replay, items.len());
            let items = with_timeout("reserving dead letters", self.reserve(items)).await?;
            self.publish(replay, items).await?;
        }
        Ok(())
    }

    /// How many may be published now.
    fn earned(&mut self, replay: &replay::Model, in_log: u32) -> u32 {
        let now = Instant::now();
        let since = *self.used_up.entry(replay.id).or_insert(now);
        let millis = u64::try_from(now.duration_since(since).as_millis()).unwrap_or(u64::MAX);
        may_publish(in_log, replay.rate.and_then(|rate| u32::try_from(rate).ok()), millis)
    }

    fn use_up(&mut self, replay: &replay::Model, items: usize) {
        let Some(rate) = replay.rate.and_then(|rate| u64::try_from(rate).ok()).filter(|rate| *rate > 0) else { return };
        let spent = Duration::from_millis(to_u64(items).saturating_mul(1_000) / rate);
        let earliest = Instant::now().checked_sub(Duration::from_secs(1));
        if let Some(used_up) = self.used_up.get_mut(&replay.id) {
            *used_up = earliest.map_or(*used_up, |earliest| earliest.max(*used_up)) + spent;
        }
    }

    /// Whether bulk may append: it leaves room for what clients wait for.
    async fn log_has_room(&self) -> bool {
        let Ok(info) = self.log.stream.get_info().await else { return false };
        let capacity = u64::try_from(info.config.max_bytes).ok().filter(|capacity| *capacity > 0);
        capacity.is_none_or(|capacity| info.state.bytes <= capacity / 100 * Lane::Bulk.share_of_log())
    }

    /// Reserves dead letters for this replay, in one transaction; those that can be published.
    async fn reserve(&self, items: Vec<replay_item::Model>) -> Result<Vec<replay_item::Model>, StoreError> {
        let now = self.clock.now();
        let transaction = self.store.begin().await?;
        let mut reserved = Vec::with_capacity(items.len());
        for item in items {
            match replays::reserve(&transaction, &item).await? {
                Ok(()) => {
                    replays::sending(&transaction, &item, now).await?;
                    reserved.push(being_sent(item));
                }
                Err(why) => replays::skip(&transaction, &item, why).await?,
            }
        }
        commit(transaction).await?;
        Ok(reserved)
    }

    /// Publishes items: those of one resource one after the other, in the order in which the log accepted them first.
    async fn publish(&self, replay: &replay::Model, items: Vec<replay_item::Model>) -> Result<(), StoreError> {
        let mut waiting = Vec::with_capacity(items.len());
        for item in items {
            let row = dead_letters::whole(self.store.reader(), sequence(item.letter)).await?;
            waiting.extend(row.map(|row| (item, row)));
        }
        while !waiting.is_empty() {
            let mut resources = HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|(_, row)| resources.insert(row.resource));
            let sent = join_all(now.iter().map(|(item, row)| self.append(replay, item, row))).await;
            for ((item, _), appended) in now.iter().zip(sent) {
                match appended {
                    Appended::At(number) => replays::sent(self.store.writer(), item, number).await?,
                    Appended::Unknown => {}
                    Appended::Never(why) => replays::skip(self.store.writer(), item, why.to_owned()).await?,
                }
            }
            waiting = later;
        }
        Ok(())
    }

    /// Appends one command after its predecessor.
    async fn append(&self, replay: &replay::Model, item: &replay_item::Model, row: &dead_letter::Model) -> Appended {
        let (Ok(subject), Some(mut headers)) =
            (CommandSubject::parse(&self.log.namespace, &row.subject), self.headers(replay, item, row))
        else {
            return Appended::Never("its subject or its operation cannot be read");
        };
        let subject = CommandSubject { lane: Lane::Bulk, ..subject };
        headers.insert(header::PREDECESSOR_SUBJECT, subject.all_lanes(&self.log.namespace));
        let payload = letter::bytes(row).to_vec();
        let mut predecessor = 0;
        for _ in 0..MAX_TRIES {
            headers.insert(header::PREDECESSOR, predecessor.to_string());
            let request = Request::new().headers(headers.clone()).payload(payload.clone().into());
            let request = request.timeout(Some(PUBLISH_TIMEOUT));
            let client = self.log.connection.client();
            let said = match client.send_request(subject.in_namespace(&self.log.namespace), request).await {
                Ok(message) => publish_ack::read(&message.payload),
                Err(error) => publish_ack::failed(error.kind()),
            };
            match said {
                PublishResult::Stored { sequence, .. } => return Appended::At(self.log.numbering.number(sequence)),
                PublishResult::Pending(sequence) => predecessor = sequence,
                PublishResult::InFlight => tokio::time::sleep(Duration::from_millis(4)).await,
                PublishResult::TooLarge => {
                    return Appended::Never("it is larger than the log takes; edit or export it");
                }
                PublishResult::Full | PublishResult::NoLog | PublishResult::Unknown | PublishResult::Refused(_) => {
                    warn!(?said, letter = item.letter, "a dead letter was not published, trying again later");
                    return Appended::Unknown;
                }
            }
        }
        Appended::Unknown
    }

    /// The headers of the first message, with those of the replay instead of the attempt's.
    fn headers(
        &self,
        replay: &replay::Model,
        item: &replay_item::Model,
        row: &dead_letter::Model,
    ) -> Option<HeaderMap> {
        let kept = [header::ARRIVED, header::SENT, header::AGE, header::ARRIVED_ERROR];
        let mut headers = HeaderMap::new();
        for (name, value) in dead_letters::headers(&row.headers) {
            if kept.iter().any(|kept| name.eq_ignore_ascii_case(kept)) {
                headers.insert(name, value);
            }
        }
        let id = ReplayAttemptId {
            operation: OperationId(item.operation?),
            replay: u32::try_from(item.number).ok()?,
            number: u32::try_from(item.attempt).ok()?,
        };
        headers.insert(header::MESSAGE_ID, id.to_string());
        headers.insert(header::VALID_UNTIL, self.clock.now().after(VALIDITY).as_millis().to_string());
        headers.insert(header::REPLAY, item.number.to_string());
        headers.insert(header::ORIGINAL_SEQUENCE, item.letter.to_string());
        if let Some(accepted) = row.accepted_at {
            headers.insert(header::ORIGINAL_ACCEPTED, accepted.to_string());
        }
        if replay.forced {
            headers.insert(header::FORCED, "true");
        }
        Some(headers)
    }

    /// An item was published some time ago and has not ended: it waits in the log, or it ended by another copy, or the log
    /// does not have it.
    async fn look_after(&self, replay: &replay::Model, item: replay_item::Model) -> Result<(), StoreError> {
        let operation = item.operation.into_iter().collect::<Vec<_>>();
        let row: Option<operation::Model> = ledger::find(self.store.reader(), &operation).await?.pop();
        let Some(row) = row.filter(|row| row.replay < item.number) else {
            return self.ended_otherwise(&item, &operation).await;
        };
        tracing::debug!(state = row.state, letter = item.letter, "a replayed command is not settled yet");
        let found = match item.sequence {
            Some(number) => self.log.get_verified(sequence(number)).await,
            None => Found::Gone,
        };
        match found {
            Found::Pending(_) => replays::seen(self.store.writer(), &item, self.clock.now()).await,
            Found::Unknown => Ok(()),
            // Who paused or stopped the replay wants nothing more to be published.
            Found::Gone if replays::state_of(replay)? != ReplayState::Running => {
                replays::wait_again(self.store.writer(), &item).await
            }
            Found::Gone => {
                replays::sending(self.store.writer(), &item, self.clock.now()).await?;
                self.publish(replay, vec![being_sent(item)]).await
            }
        }
    }

    /// The ledger knows how it ended; only this item does not.
    async fn ended_otherwise(&self, item: &replay_item::Model, operation: &[Uuid]) -> Result<(), StoreError> {
        let why = match ledger::find(self.store.reader(), operation).await?.pop() {
            Some(row) => format!("another replay has ended it: {}", replayed::end_of(&row)?.0.as_str()),
            None => "its operation is not known any more".to_owned(),
        };
        replays::skip(self.store.writer(), item, why).await
    }

    /// Ends a replay, with its counts in the audit log.
    async fn end(&self, replay: &replay::Model, state: ReplayState, note: Option<String>) -> Result<(), StoreError> {
        with_timeout("ending a replay", async {
            let now = self.clock.now();
            let transaction = self.store.begin().await?;
            if replays::end(&transaction, replay.id, state, note.clone(), now).await? {
                let counts = replays::counts(&transaction, replay.id).await?;
                let counts: Vec<(&str, u64)> = counts.iter().map(|(state, count)| (state.as_str(), *count)).collect();
                let by = ActedBy { actor: replay.actor.clone(), reason: note.or_else(|| replay.reason.clone()) };
                let (verb, target) = (end_verb(state), replay.id.to_string());
                let act = Act { by: &by, verb, workspace: None, target: &target, counts: &counts };
                audit::record(&transaction, act, now).await?;
                info!(replay = %replay.id, ?counts, "replay {} is {}", replay.id, state.as_str());
            }
            commit(transaction).await
        })
        .await
    }
}

/// What became of a command that was to be appended.
enum Appended {
    /// The log has it under this number.
    At(u64),
    /// That is not known now: it is looked after later.
    Unknown,
    /// The log will never have it, and why.
    Never(&'static str),
}

/// An item as it is once [`replays::sending`] was noted.
fn being_sent(item: replay_item::Model) -> replay_item::Model {
    let state = replays::SENT.to_owned();
    replay_item::Model { attempt: item.attempt.saturating_add(1), state, sequence: None, ..item }
}

const fn end_verb(state: ReplayState) -> &'static str {
    match state {
        ReplayState::Done => "replay-done",
        ReplayState::Planned | ReplayState::Running | ReplayState::Paused | ReplayState::Stopped => "replay-stop",
    }
}
