//! What is harmed, how, for how long: all of it from one seed.

use std::fmt;
use std::time::Duration;

use protocol::failpoint::Failpoint;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

/// A process or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Ingress(usize),
    Worker(usize),
    Broker,
    Database,
}

/// The way from a process to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Link {
    IngressToBroker(usize),
    WorkerToBroker(usize),
    WorkerToDatabase(usize),
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// SIGKILL.
    Kill,
    /// SIGTERM; a fast shutdown of PostgreSQL.
    Terminate,
}

/// What goes on for a time, while other things happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lasting {
    /// SIGSTOP, then SIGCONT.
    Freeze(Target),
    /// Connections are closed, new ones at once.
    Cut(Link),
    /// Every chunk of bytes waits so long, each way.
    Delay(Link, Duration),
    /// Everything is held back, and arrives afterwards.
    Stall(Link),
    /// Everything that is sent is lost, and the connections end afterwards.
    HalfOpen(Link),
    /// A transaction of somebody else holds the row of one user.
    LockRow,
    /// The broker's clock is so many seconds ahead for everybody.
    Clock(i64),
}

/// One step of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Begins first and ends last.
    pub(crate) lasting: Option<(Lasting, Duration)>,
    /// Who ends, one right after the other; all are started again after `away`.
    pub(crate) endings: Vec<(Target, Ending)>,
    pub(crate) away: Duration,
    /// Where the first that is started again will die by itself, at which hit, if it is a process of rosterd.
    pub(crate) failpoint: Option<(Failpoint, u32)>,
    /// Before the next step, once everything is ready again.
    pub(crate) rest: Duration,
}

/// An endless schedule.
pub(crate) struct Schedule {
    rng: StdRng,
    ingresses: usize,
    workers: usize,
    steps: usize,
}

impl Schedule {
    pub(crate) fn new(seed: u64, ingresses: usize, workers: usize) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), ingresses, workers, steps: 0 }
    }

    /// Ingress, worker, broker, database in turn; which ingress or worker is chance.
    fn in_turn(&mut self) -> Target {
        let turn = self.steps % 4;
        self.steps += 1;
        self.of_kind(turn)
    }

    fn of_kind(&mut self, kind: usize) -> Target {
        match kind {
            0 => Target::Ingress(self.rng.random_range(0..self.ingresses)),
            1 => Target::Worker(self.rng.random_range(0..self.workers)),
            2 => Target::Broker,
            _ => Target::Database,
        }
    }

    fn anybody_but(&mut self, others: &[(Target, Ending)]) -> Target {
        loop {
            let kind = self.rng.random_range(0..4);
            let target = self.of_kind(kind);
            if others.iter().all(|(other, _)| *other != target) {
                return target;
            }
        }
    }

    fn link(&mut self) -> Link {
        match self.rng.random_range(0..3) {
            0 => Link::IngressToBroker(self.rng.random_range(0..self.ingresses)),
            1 => Link::WorkerToBroker(self.rng.random_range(0..self.workers)),
            _ => Link::WorkerToDatabase(self.rng.random_range(0..self.workers)),
        }
    }

    fn lasting(&mut self, endings: &[(Target, Ending)]) -> Lasting {
        let link = self.link();
        match self.rng.random_range(0..14) {
            0..=3 => Lasting::Freeze(self.anybody_but(endings)),
            4 => Lasting::Cut(link),
            5 => Lasting::Delay(link, self.milliseconds(2, 100)),
            6 => Lasting::Stall(link),
            7 | 8 => Lasting::Stall(Link::IngressToBroker(self.rng.random_range(0..self.ingresses))),
            9 => Lasting::HalfOpen(link),
            10 | 11 => Lasting::LockRow,
            12 => Lasting::Clock(if self.rng.random_bool(0.5) { 60 } else { -60 }),
            _ => Lasting::Cut(Link::IngressToBroker(self.rng.random_range(0..self.ingresses))),
        }
    }

    /// What clients give up while it lasts has to last longer than they wait; a worker may stand still for long.
    fn time(&mut self, lasting: Lasting) -> Duration {
        match lasting {
            Lasting::Stall(Link::IngressToBroker(_)) | Lasting::Cut(Link::IngressToBroker(_)) => {
                self.milliseconds(6000, 12_000)
            }
            Lasting::Freeze(Target::Worker(_)) => self.milliseconds(1000, 12_000),
            _ => self.milliseconds(1000, 6000),
        }
    }

    fn ending(&mut self) -> Ending {
        if self.rng.random_bool(0.85) { Ending::Kill } else { Ending::Terminate }
    }

    fn milliseconds(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.random_range(from..=to))
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let mut endings = vec![(self.in_turn(), self.ending())];
        if self.rng.random_bool(0.2) {
            endings.push((self.anybody_but(&endings), self.ending()));
        }
        let lasting = self.rng.random_bool(0.4).then(|| self.lasting(&endings));
        let lasting = lasting.map(|lasting| (lasting, self.time(lasting)));
        let failpoint = self.rng.random_bool(0.4).then(|| self.failpoint(endings[0].0)).flatten();
        let (away, rest) = (self.milliseconds(0, 800), self.milliseconds(200, 1200));
        Some(Step { lasting, endings, away, failpoint, rest })
    }
}

impl Schedule {
    fn failpoint(&mut self, target: Target) -> Option<(Failpoint, u32)> {
        let role = match target {
            Target::Ingress(_) => "ingress.",
            Target::Worker(_) => "worker.",
            Target::Broker | Target::Database => return None,
        };
        let its: Vec<Failpoint> =
            Failpoint::ALL.iter().copied().filter(|failpoint| failpoint.name().starts_with(role)).collect();
        Some((*its.choose(&mut self.rng)?, self.rng.random_range(1..=30)))
    }
}

impl Target {
    /// Its kind, as reports count.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Ingress(_) => "ingress",
            Self::Worker(_) => "worker",
            Self::Broker => "broker",
            Self::Database => "PostgreSQL",
        }
    }
}

impl Link {
    const fn kind(self) -> &'static str {
        match self {
            Self::IngressToBroker(_) => "ingress to broker",
            Self::WorkerToBroker(_) => "worker to broker",
            Self::WorkerToDatabase(_) => "worker to PostgreSQL",
        }
    }
}

impl Lasting {
    /// What is done and to what kind, as reports count.
    pub(crate) const fn kinds(self) -> (&'static str, &'static str) {
        match self {
            Self::Freeze(target) => ("SIGSTOP, SIGCONT", target.kind()),
            Self::Cut(link) => ("link cut", link.kind()),
            Self::Delay(link, _) => ("link delayed", link.kind()),
            Self::Stall(link) => ("link stalled", link.kind()),
            Self::HalfOpen(link) => ("link half open", link.kind()),
            Self::LockRow => ("row locked", "PostgreSQL"),
            Self::Clock(_) => ("clock stepped by a minute, and back", "broker"),
        }
    }
}

impl Ending {
    /// What is done, as reports count.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Kill => "SIGKILL",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (target, ending) in &self.endings {
            write!(f, "{} {target:?}, ", ending.kind())?;
        }
        write!(f, "away {:?}", self.away)?;
        if let Some((failpoint, hit)) = self.failpoint {
            write!(f, ", then armed {}=abort@{hit}", failpoint.name())?;
        }
        if let Some((lasting, time)) = self.lasting {
            write!(f, ", meanwhile for {time:?} {lasting:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reproduces_its_schedule() {
        let steps = |seed| Schedule::new(seed, 2, 3).take(200).collect::<Vec<_>>();
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn every_kind_of_target_is_killed_in_turn() {
        let steps: Vec<Step> = Schedule::new(1, 2, 3).take(80).collect();
        for (index, kind) in ["ingress", "worker", "broker", "PostgreSQL"].into_iter().enumerate() {
            assert!(steps.iter().skip(index).step_by(4).all(|step| step.endings[0].0.kind() == kind));
        }
        assert!(steps.iter().flat_map(|step| &step.endings).filter(|(_, how)| *how == Ending::Kill).count() > 60);
    }
}
