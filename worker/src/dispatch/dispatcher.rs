//! Takes deliveries from the lanes, forms batches by the schedule, and holds what waits for a predecessor.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::message::lane::Lane;
use protocol::message::pending::{Waits, WhyWaits};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::apply::Parked;
use crate::dispatch::batch_runner::{BatchResult, BatchRunner};
use crate::dispatch::held::Held;
use crate::dispatch::queues::Queues;
use crate::dispatch::schedule::{FreeSlots, Schedule, Waiting};
use crate::log::acknowledge::Settlement;
use crate::log::delivery::Delivery;
use crate::metrics::METRICS;

/// How many commands are enough to bring along together: with their predecessors they are many more, and what just came
/// in waits for their transaction where the database has one writer.
const CHAINS_BATCH: usize = 64;
/// From how many commands on that wait, a batch of them is begun beside one that is running: fewer are cheaper in the next
/// one, and reach the database no later.
const ENOUGH_BESIDE: usize = 64;
/// After how long a running batch has no batches wait for it any more.
const SLOW_BATCH: Duration = Duration::from_millis(20);
/// How often the database is tried while it is away.
const PROBE: Duration = Duration::from_millis(250);

/// Forms batches and follows them.
pub(crate) struct Dispatcher {
    work: Arc<BatchRunner>,
    schedule: Schedule,
    queues: Queues,
    held: Held,
    running: JoinSet<BatchResult>,
    in_work: HashSet<u64>,
    /// What each running task has taken, also should it fail.
    taken: HashMap<Id, Taken>,
    slots: usize,
    /// Whether due chains go before what waits in the lanes.
    chains_turn: bool,
    /// Since when batches run that were not counted as busy time yet.
    busy_since: Option<Instant>,
    open: watch::Sender<bool>,
    renumbered: CancellationToken,
    /// Operators' questions what there is.
    questions: mpsc::Receiver<oneshot::Sender<Vec<Waits>>>,
}

/// What a running task has taken.
struct Taken {
    sequences: Vec<u64>,
    /// It brings predecessors along.
    brings: bool,
    /// It takes no slot from others.
    urgent: bool,
    /// Since when it runs, if it is a batch of a lane that is not urgent.
    lane_since: Option<Instant>,
}

impl Dispatcher {
    /// With `slots` transactions at once, and one more for what is urgent. `open` stops the lanes while it is false;
    /// `renumbered` drops what was not begun.
    pub(crate) fn new(
        work: Arc<BatchRunner>,
        slots: usize,
        open: watch::Sender<bool>,
        renumbered: CancellationToken,
        questions: mpsc::Receiver<oneshot::Sender<Vec<Waits>>>,
    ) -> Self {
        let (schedule, queues, held, running) = Default::default();
        let (in_work, taken, chains_turn, busy_since) = (HashSet::new(), HashMap::new(), true, None);
        Self {
            work,
            schedule,
            queues,
            held,
            running,
            in_work,
            taken,
            slots,
            chains_turn,
            busy_since,
            open,
            renumbered,
            questions,
        }
    }

    /// Works until all lanes have ended and everything that they delivered is settled or handed back.
    pub(crate) async fn run(mut self, mut deliveries: mpsc::Receiver<Delivery>) {
        let mut lanes_open = true;
        while lanes_open || self.has_work() {
            let wake = self.wake_at();
            tokio::select! {
                delivery = deliveries.recv(), if lanes_open => match delivery {
                    Some(delivery) => self.enqueue_ready(delivery, &mut deliveries),
                    None => lanes_open = false,
                },
                Some(end) = self.running.join_next_with_id() => match end {
                    Ok((task, end)) => {
                        self.forget(task);
                        self.finished(end);
                    }
                    Err(failure) => {
                        self.forget(failure.id());
                        error!(%failure, "a batch task failed; its messages will be delivered again");
                    }
                },
                Some(question) = self.questions.recv() => drop(question.send(self.waits())),
                () = sleep_until(wake) => {}
            }
            self.start_batches();
            self.tell();
        }
        // What waits for a predecessor that cannot be had now would wait here for ever.
        let held = self.held.take_all();
        info!(handed_back = held.len(), "all deliveries are settled or handed back");
        self.tell();
        self.work.log.hand_back(held, Settlement::Crowded).await;
    }

    /// What there is, and why it waits.
    fn waits(&self) -> Vec<Waits> {
        let running = self.in_work.iter().map(|sequence| Waits { sequence: *sequence, why: WhyWaits::Running });
        let queued = self.queues.all().map(|one| Waits { sequence: one.sequence, why: WhyWaits::Queued });
        running.chain(queued).chain(self.held.waits()).collect()
    }

    /// Says what there is to do, for operators.
    fn tell(&mut self) {
        let Waiting { urgent, interactive, bulk } = self.queues.waiting();
        let metrics = &METRICS.dispatch;
        metrics.queued.set_count(urgent + interactive + bulk);
        metrics.in_flight.set_count(self.in_work.len());
        metrics.held.set_count(self.held.count());
        metrics.batches.set_count(self.running.len());
        metrics.turned(self.held.parked());
        let now = Instant::now();
        if let Some(since) = self.busy_since {
            metrics.busy.add(u64::try_from(now.duration_since(since).as_micros()).unwrap_or(0));
        }
        self.busy_since = (!self.running.is_empty()).then_some(now);
    }

    fn has_work(&self) -> bool {
        let Waiting { urgent, interactive, bulk } = self.queues.waiting();
        urgent + interactive + bulk + self.running.len() > 0
    }

    /// Everything that is ready goes into the next batch; nothing waits to fill one.
    fn enqueue_ready(&mut self, first: Delivery, deliveries: &mut mpsc::Receiver<Delivery>) {
        let mut next = Some(first);
        while let Some(delivery) = next {
            self.enqueue(delivery);
            next = deliveries.try_recv().ok();
        }
    }

    fn enqueue(&mut self, delivery: Delivery) {
        // Delivered again, or a later one of the same resource: neither is tried before its time.
        if self.held.is_parked(&delivery) {
            if delivery.lane() == Some(Lane::Urgent) {
                // Tried once more, it gets its first effect.
                self.held.hurry(&delivery, Instant::now());
            }
            return self.hold_back(delivery, Instant::now());
        }
        if let Some(lane) = delivery.lane() {
            self.queues.of(lane).push_back(delivery);
        }
    }

    fn start_batches(&mut self) {
        if self.renumbered.is_cancelled() {
            self.abandon();
        }
        loop {
            // Turn by turn: however many chains are due, what just came in is not kept waiting by them.
            let chains_first = self.chains_turn;
            let slots = self.free_slots();
            let started = (chains_first && self.start_chains(slots))
                || self.start_lane(slots)
                || (!chains_first && self.start_chains(slots));
            if !started {
                return;
            }
        }
    }

    /// Of one slot more than there are for all, only what is urgent may take the last.
    fn free_slots(&self) -> FreeSlots {
        let urgent = (self.slots + 1).saturating_sub(self.running.len());
        let others = self.running.len() - self.taken.values().filter(|taken| taken.urgent).count();
        FreeSlots { urgent, ordinary: self.slots.saturating_sub(others).min(urgent) }
    }

    fn start_chains(&mut self, free: FreeSlots) -> bool {
        self.chains_turn = false;
        if free.urgent == 0 {
            return false;
        }
        let (admitted, in_work) = (self.admitted_chains(free), &self.in_work);
        let enough = self.work.batch.min(CHAINS_BATCH);
        let due = self.held.take_due(Instant::now(), enough, admitted, |sequence| in_work.contains(&sequence));
        if due.is_empty() {
            return false;
        }
        let span = info_span!("chain", commands = due.len());
        span.in_scope(|| debug!("bringing predecessors along"));
        let (sequences, urgent) = (due.iter().map(|delivery| delivery.sequence).collect(), free.ordinary == 0);
        let task = self.running.spawn(Arc::clone(&self.work).chain(due).instrument(span)).id();
        self.take(task, Taken { sequences, brings: true, urgent, lane_since: None });
        true
    }

    /// The lanes whose chains may start now.
    fn admitted_chains(&self, free: FreeSlots) -> impl Fn(Lane) -> bool + use<> {
        let bringing = self.taken.values().filter(|taken| taken.brings).count();
        let (slots, urgent_waits) = (self.slots, !self.queues.urgent.is_empty());
        move |lane| free.admit_chain(lane, bringing, slots, urgent_waits)
    }

    fn start_lane(&mut self, free: FreeSlots) -> bool {
        self.chains_turn = true;
        let waiting = self.queues.waiting();
        if waiting.urgent == 0 && !self.is_worth_a_batch(waiting, free, Instant::now()) {
            return false;
        }
        let Some(lane) = self.schedule.next(waiting, free) else { return false };
        let batch = self.queues.take_batch(lane, self.work.batch);
        let span = info_span!("batch", %lane, commands = batch.len());
        let sequences = batch.iter().map(|delivery| delivery.sequence).collect();
        let task = self.running.spawn(Arc::clone(&self.work).batch(batch).instrument(span)).id();
        let lane_since = (lane != Lane::Urgent).then(Instant::now);
        self.take(task, Taken { sequences, brings: false, urgent: lane == Lane::Urgent, lane_since });
        true
    }

    /// Whether what waits in the lanes need not wait for the batches that are running.
    fn is_worth_a_batch(&self, waiting: Waiting, free: FreeSlots, now: Instant) -> bool {
        // Bulk may not take the last slot.
        let bulk = if free.ordinary > 1 { waiting.bulk } else { 0 };
        waiting.interactive + bulk >= ENOUGH_BESIDE
            || self.lanes_running().all(|since| now.duration_since(since) >= SLOW_BATCH)
    }

    /// Since when the batches of the lanes run that are not urgent.
    fn lanes_running(&self) -> impl Iterator<Item = Instant> {
        self.taken.values().filter_map(|taken| taken.lane_since)
    }

    fn take(&mut self, task: Id, taken: Taken) {
        self.in_work.extend(&taken.sequences);
        self.taken.insert(task, taken);
    }

    fn forget(&mut self, task: Id) {
        for sequence in self.taken.remove(&task).into_iter().flat_map(|taken| taken.sequences) {
            self.in_work.remove(&sequence);
        }
    }

    fn finished(&mut self, end: BatchResult) {
        let now = Instant::now();
        let told = |(delivery, parked): &&(Delivery, Parked)| delivery.parkings == tell_from(parked);
        let commands = end.parked.iter().filter(told).count();
        if let Some((delivery, reason)) = end.parked.iter().find(told) {
            warn!(commands, first = delivery.sequence, ?reason, "commands are parked, the lanes stay open");
        }
        for (delivery, parked) in end.parked {
            if let Some(delivery) = self.held.park(delivery, &parked, now) {
                self.work.log.hand_back_soon(vec![delivery], Settlement::Crowded);
            }
        }
        for (delivery, due) in end.held {
            self.hold(delivery, due);
        }
        for sequence in end.settled {
            for delivery in self.held.release(sequence) {
                self.enqueue(delivery);
            }
        }
        if end.outage {
            self.hand_back();
        }
    }

    /// A predecessor may have been settled while the batch that found it missing was on its way.
    fn hold(&mut self, delivery: Delivery, due: Instant) {
        if self.work.settled.contains(delivery.predecessor) {
            return self.enqueue(delivery);
        }
        self.hold_back(delivery, due);
    }

    fn hold_back(&mut self, delivery: Delivery, due: Instant) {
        if let Some(delivery) = self.held.hold(delivery, due) {
            self.work.log.hand_back_soon(vec![delivery], Settlement::Crowded);
        }
    }

    /// The database is away: everything goes back to the broker, and the lanes stay closed until it answers again.
    fn hand_back(&mut self) {
        let mut deliveries = self.held.take_all();
        deliveries.extend(self.queues.take_all());
        if self.open.send_replace(false) {
            warn!(handed_back = deliveries.len(), "the database is away, pulling nothing until it answers");
            tokio::spawn(reopen(Arc::clone(&self.work), self.open.clone()));
        }
        self.work.log.hand_back_soon(deliveries, Settlement::Outage);
    }

    /// The log was renumbered: what was not begun comes again from it, or was lost with it and is sent again by the
    /// ingress that waits.
    fn abandon(&mut self) {
        drop((self.held.take_all(), std::mem::take(&mut self.queues)));
    }

    fn wake_at(&self) -> Option<Instant> {
        // A due command whose predecessor is in work here stays due: look again shortly, not at once.
        let soon = Instant::now() + Duration::from_millis(5);
        // What no slot is free for waits for the end of a task, not for a time.
        let chain = self.held.next_due(self.admitted_chains(self.free_slots())).map(|due| due.max(soon));
        let waits = !self.queues.interactive.is_empty() || !self.queues.bulk.is_empty();
        let newest = self.lanes_running().max().map(|since| since + SLOW_BATCH);
        let batch = newest.filter(|slow| waits && *slow > Instant::now());
        chain.into_iter().chain(batch).min()
    }
}

/// From which parking in a row on a parked command is worth a line: that others are faster for a moment is ordinary.
const fn tell_from(parked: &Parked) -> u32 {
    match parked {
        Parked::Locked => 4,
        Parked::Failed(_) | Parked::Waiting => 0,
    }
}

async fn reopen(work: Arc<BatchRunner>, open: watch::Sender<bool>) {
    while work.store.probe().await.is_err() {
        tokio::time::sleep(PROBE).await;
    }
    info!("the database answers again, pulling");
    open.send_replace(true);
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
