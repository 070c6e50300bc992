//! Carries out a schedule of faults on a system, and brings back what it harmed.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use futures::join;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbErr, TransactionTrait};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::harness::proxy::{Proxy, Towards};
use crate::harness::{Part, System};
use crate::schedule::{Ending, Lasting, Link, Schedule, Step, Target};

/// A system, and what was done to it.
pub(crate) struct Nemesis<'a> {
    system: &'a System,
    /// The parts that are armed to die by themselves, by target.
    armed: Vec<Target>,
    /// Holds a row of a user while it lives.
    lock: Mutex<Option<AbortOnDropHandle<()>>>,
    began: Instant,
    pub(crate) record: Record,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) steps: Vec<Done>,
    /// Parts that died at the failpoint for which they were armed.
    pub(crate) aborted: Vec<Target>,
    /// Parts that died and should not have.
    pub(crate) unexpected: Vec<String>,
}

impl Record {
    /// When the broker's clock went forth and back, in microseconds since the beginning.
    pub(crate) fn clock_steps(&self) -> Vec<u64> {
        let is_step = |lasting: Lasting| matches!(lasting, Lasting::Clock(_));
        self.lasting(is_step).flat_map(|(from, to)| [from, to]).collect()
    }

    /// From when to when an ingress was frozen, in microseconds since the beginning.
    pub(crate) fn standstills(&self) -> Vec<(u64, u64)> {
        self.lasting(|lasting| matches!(lasting, Lasting::Freeze(Target::Ingress(_)))).collect()
    }

    fn lasting(&self, is: impl Fn(Lasting) -> bool) -> impl Iterator<Item = (u64, u64)> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap();
        self.steps.iter().filter_map(move |done| {
            let (_, time) = done.step.lasting.filter(|(lasting, _)| is(*lasting))?;
            Some((micros(done.began), micros(done.began + time)))
        })
    }
}

/// A step that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) step: Step,
    /// Since the beginning.
    pub(crate) began: Duration,
    /// Until everything was ready again.
    pub(crate) took: Duration,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(system: &'a System) -> Self {
        let (armed, lock, record) = (Vec::new(), Mutex::default(), Record::default());
        Self { system, armed, lock, began: Instant::now(), record }
    }

    /// Does one step after the other for so long, and until there was a kill for every four seconds of it; in the end
    /// everything is ready and nothing is armed.
    pub(crate) async fn harm(&mut self, seed: u64, time: Duration) {
        let schedule = Schedule::new(seed, self.system.ingresses.len(), self.system.workers.len());
        for step in schedule {
            if self.began.elapsed() >= time && 4 * self.record.kills() as u64 >= time.as_secs() {
                break;
            }
            println!("{:>7.1} s  {step}", self.began.elapsed().as_secs_f64());
            self.carry_out(step).await;
        }
        for target in std::mem::take(&mut self.armed) {
            self.begin_again(target).await;
        }
    }

    async fn carry_out(&mut self, step: Step) {
        let began = Instant::now();
        self.armed.retain(|armed| step.endings.iter().all(|(target, _)| target != armed));
        if let Some((lasting, _)) = step.lasting {
            self.begin(lasting).await;
        }
        // Each by itself: an ingress that drains waits for the database that was killed with it.
        let harmed: &Self = self;
        let endings = step.endings.iter().map(|(target, ending)| harmed.end_and_launch(&step, *target, *ending));
        let lasting = async {
            if let Some((lasting, time)) = step.lasting {
                sleep_until(began + time).await;
                harmed.heal(lasting).await;
            }
        };
        join!(join_all(endings), lasting);
        if step.failpoint.is_some() && self.part(step.endings[0].0).is_some() {
            self.armed.push(step.endings[0].0);
        }
        for (target, _) in step.endings.clone() {
            self.until_ready(target).await;
        }
        let took = began.elapsed();
        sleep(step.rest).await;
        self.notice_the_dead().await;
        self.record.steps.push(Done { step, began: began - self.began, took });
    }

    async fn end_and_launch(&self, step: &Step, target: Target, ending: Ending) {
        self.end(target, ending).await;
        sleep(step.away).await;
        if let (Some((failpoint, hit)), Some(part)) = (step.failpoint, self.part(target))
            && target == step.endings[0].0
        {
            part.arm(&format!("{}=abort@{hit}", failpoint.name()));
        }
        self.launch(target).await;
    }

    async fn end(&self, target: Target, ending: Ending) {
        match (target, ending) {
            (Target::Broker, Ending::Kill) => self.system.broker().node().kill().await,
            (Target::Broker, Ending::Terminate) => self.system.broker().node().terminate().await,
            (Target::Database, Ending::Kill) => self.system.postgresql().kill().await,
            (Target::Database, Ending::Terminate) => self.system.postgresql().terminate().await,
            (Target::Ingress(_) | Target::Worker(_), _) => {
                if let Some(part) = self.part(target) {
                    self.end_part(part, ending).await;
                }
            }
        }
    }

    async fn end_part(&self, part: &Part, ending: Ending) {
        match ending {
            Ending::Kill => part.kill().await,
            Ending::Terminate => drop(part.terminate().await),
        }
        part.disarm();
    }

    async fn launch(&self, target: Target) {
        match target {
            Target::Broker => self.system.broker().node().start_again().await,
            Target::Database => self.system.postgresql().start_again().await,
            Target::Ingress(_) | Target::Worker(_) => {
                if let Some(part) = self.part(target) {
                    part.launch().await;
                }
            }
        }
    }

    /// One that is armed may die before it is ready.
    async fn until_ready(&mut self, target: Target) {
        let Some(part) = self.part(target) else { return };
        if part.is_ready().await {
            return;
        }
        if self.armed.contains(&target) && !part.is_running() {
            self.record.aborted.push(target);
            self.armed.retain(|armed| *armed != target);
        } else {
            self.record.unexpected.push(format!("{target:?} did not become ready"));
        }
        self.begin_again(target).await;
    }

    /// Starts again whoever died at a failpoint, or of something else.
    async fn notice_the_dead(&mut self) {
        let ingresses = (0..self.system.ingresses.len()).map(Target::Ingress);
        let all: Vec<Target> = ingresses.chain((0..self.system.workers.len()).map(Target::Worker)).collect();
        for target in all {
            if self.part(target).is_none_or(Part::is_running) {
                continue;
            }
            if self.armed.contains(&target) {
                self.armed.retain(|armed| *armed != target);
                self.record.aborted.push(target);
            } else {
                self.record.unexpected.push(format!("{target:?} died by itself"));
            }
            self.begin_again(target).await;
        }
    }

    async fn begin_again(&self, target: Target) {
        if let Some(part) = self.part(target) {
            part.disarm();
            part.restart().await;
        }
    }

    async fn begin(&self, lasting: Lasting) {
        match lasting {
            Lasting::Freeze(Target::Broker) => self.system.broker().node().pause(),
            Lasting::Freeze(Target::Database) => self.system.postgresql().pause().await,
            Lasting::Freeze(target) => self.part(target).into_iter().for_each(Part::pause),
            Lasting::Cut(link) => self.link(link).cut(),
            Lasting::Delay(link, each_way) => self.link(link).delay(each_way),
            Lasting::Stall(link) => self.link(link).stall(),
            Lasting::HalfOpen(link) => self.link(link).half_open(Towards::Both),
            Lasting::LockRow => {
                let url = self.system.database_url().to_owned();
                let held = async move { drop(hold_a_row(url).await) };
                *self.lock.lock().unwrap() = Some(AbortOnDropHandle::new(tokio::spawn(held)));
            }
            Lasting::Clock(seconds) => self.set_clock(seconds),
        }
    }

    /// The same for everybody.
    fn set_clock(&self, seconds: i64) {
        let parts = self.system.ingresses.iter().chain(&self.system.workers);
        parts.for_each(|part| part.broker_link().set_clock(seconds));
    }

    async fn heal(&self, lasting: Lasting) {
        match lasting {
            Lasting::Freeze(Target::Broker) => self.system.broker().node().resume(),
            Lasting::Freeze(Target::Database) => self.system.postgresql().resume().await,
            Lasting::Freeze(target) => self.part(target).into_iter().for_each(Part::resume),
            Lasting::Cut(link) | Lasting::Delay(link, _) | Lasting::Stall(link) | Lasting::HalfOpen(link) => {
                self.link(link).heal();
            }
            Lasting::LockRow => drop(self.lock.lock().unwrap().take()),
            Lasting::Clock(_) => self.set_clock(0),
        }
    }

    fn part(&self, target: Target) -> Option<&'a Part> {
        match target {
            Target::Ingress(index) => self.system.ingresses.get(index),
            Target::Worker(index) => self.system.workers.get(index),
            Target::Broker | Target::Database => None,
        }
    }

    fn link(&self, link: Link) -> &'a Proxy {
        match link {
            Link::IngressToBroker(index) => self.system.ingresses[index].broker_link(),
            Link::WorkerToBroker(index) => self.system.workers[index].broker_link(),
            Link::WorkerToDatabase(index) => self.system.workers[index].database_link(),
        }
    }
}

/// Locks the row of somebody, until this is dropped; the database may die meanwhile.
async fn hold_a_row(url: String) -> Result<(), DbErr> {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let transaction = Database::connect(options).await?.begin().await?;
    transaction.execute_unprepared("SELECT id FROM users ORDER BY random() LIMIT 1 FOR UPDATE").await?;
    std::future::pending().await
}

impl Record {
    /// How many processes and servers died without warning: killed, or at a failpoint.
    pub(crate) fn kills(&self) -> usize {
        let endings = self.steps.iter().flat_map(|done| &done.step.endings);
        endings.filter(|(_, ending)| *ending == Ending::Kill).count() + self.aborted.len()
    }
}
