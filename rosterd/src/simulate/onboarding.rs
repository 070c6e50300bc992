//! The writes of a run, phase by phase, many at a time; remembers what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::time::timeout;

use super::directory::{Expected, Record};
use super::plan::{Change, Phase, Plan, Team};
use super::provider::{Failure, Provider};
use super::report::OperationError;
use super::{Options, Progress};

/// After so many failures nothing new is begun: the server is not well, and each further failure takes its time.
const MAX_FAILURES: usize = 100;

/// For so long no write ended.
pub(super) struct Stalled(pub(super) Duration);

/// A run under way.
pub(super) struct Onboarding<'a, P> {
    plan: &'a Plan,
    provider: &'a Provider,
    concurrency: usize,
    stall: Option<Duration>,
    progress: &'a P,
    /// The ids that creates were answered with, by index in the plan.
    people: BTreeMap<usize, String>,
    teams: BTreeMap<usize, String>,
    expected: Expected,
    errors: Vec<OperationError>,
    answered: usize,
    /// What is going on, and how much of it is done.
    phase: (Phase, usize),
}

/// What one task of a phase did: whose it was, what it was, and how it ended.
struct Done<T> {
    external_id: String,
    what: String,
    result: Result<T, Failure>,
}

impl<'a, P: Fn(Progress)> Onboarding<'a, P> {
    pub(super) fn new(plan: &'a Plan, provider: &'a Provider, options: &Options, progress: &'a P) -> Self {
        Self {
            plan,
            provider,
            concurrency: options.concurrency.max(1),
            stall: options.stall,
            progress,
            people: BTreeMap::new(),
            teams: BTreeMap::new(),
            expected: Expected::default(),
            errors: Vec::new(),
            answered: 0,
            phase: (Phase::People, 0),
        }
    }

    pub(super) async fn play(&mut self) -> Result<(), Stalled> {
        self.create_people().await?;
        self.create_groups().await?;
        self.fill_groups().await?;
        self.change_people().await?;
        self.leave_groups().await
    }

    /// What must be there now, and what failed.
    pub(super) fn finish(self) -> (Expected, Vec<OperationError>) {
        (self.expected, self.errors)
    }

    async fn create_people(&mut self) -> Result<(), Stalled> {
        let (plan, provider) = (self.plan, self.provider);
        let tasks = plan.joiners.iter().enumerate().map(async |(index, joiner)| {
            let result = provider.create_user(&joiner.person).await.map(|id| (index, id));
            Done { external_id: joiner.person.external_id.clone(), what: "create user".to_owned(), result }
        });
        self.phase(Phase::People, tasks, |own, (index, id)| {
            own.expected.created(id.clone(), Record::of_person(&plan.joiners.get(index)?.person));
            own.people.insert(index, id)
        })
        .await
    }

    async fn create_groups(&mut self) -> Result<(), Stalled> {
        let (plan, provider) = (self.plan, self.provider);
        let tasks = plan.teams.iter().enumerate().map(async |(index, team)| {
            let result = provider.create_group(team).await.map(|id| (index, id));
            Done { external_id: team.external_id.clone(), what: "create group".to_owned(), result }
        });
        self.phase(Phase::Groups, tasks, |own, (index, id)| {
            own.expected.created(id.clone(), Record::of_team(plan.teams.get(index)?));
            own.teams.insert(index, id)
        })
        .await
    }

    /// All chunks of all groups at once: several requests are under way on one group, as Okta sends them.
    async fn fill_groups(&mut self) -> Result<(), Stalled> {
        let (people, provider) = (self.people.clone(), self.provider);
        let known = |member: &usize| people.get(member).map(String::as_str);
        let chunks: Vec<(&Team, String, Vec<&str>)> = self
            .known_teams()
            .flat_map(|(team, id)| team.chunks().map(move |chunk| (team, id, chunk)))
            .map(|(team, id, chunk)| (team, id.to_owned(), chunk.iter().filter_map(known).collect()))
            .collect();
        let tasks = chunks.into_iter().map(async |(team, group, members)| {
            let added = provider.add_members(team.dialect, &group, &members).await;
            let result = added.map(|()| (group, members));
            Done { external_id: team.external_id.clone(), what: "add members".to_owned(), result }
        });
        self.phase(Phase::Members, tasks, |own, (group, members)| {
            own.expected.members.entry(group).or_default().extend(members.into_iter().map(str::to_owned));
            None
        })
        .await
    }

    /// Each person's changes one after the other, different people's at once.
    async fn change_people(&mut self) -> Result<(), Stalled> {
        let (plan, people, provider) = (self.plan, self.people.clone(), self.provider);
        let rounds = plan.joiners.iter().map(|joiner| joiner.changes.len()).max().unwrap_or(0);
        for round in 0..rounds {
            let due = plan.joiners.iter().enumerate();
            let due = due.filter_map(|(index, joiner)| Some((joiner, people.get(&index)?, joiner.changes.get(round)?)));
            let due: Vec<_> =
                due.filter(|(joiner, ..)| !self.expected.unsure.contains(&joiner.person.external_id)).collect();
            let tasks = due.into_iter().map(async |(joiner, id, change)| {
                let result = provider.change(joiner.person.dialect, id, change).await.map(|()| (id, change));
                Done { external_id: joiner.person.external_id.clone(), what: words(change).to_owned(), result }
            });
            self.phase(Phase::Changes, tasks, |own, (id, change)| {
                own.expected.changed(id, change);
                None
            })
            .await?;
        }
        Ok(())
    }

    /// People leave groups; also some who were deleted meanwhile, which a provider does not know to be settled.
    async fn leave_groups(&mut self) -> Result<(), Stalled> {
        let (people, provider) = (self.people.clone(), self.provider);
        let leavers: Vec<(&Team, String, String)> = self
            .known_teams()
            .flat_map(|(team, group)| team.leavers.iter().map(move |member| (team, group, member)))
            .filter_map(|(team, group, member)| Some((team, group.to_owned(), people.get(member)?.clone())))
            .collect();
        let tasks = leavers.into_iter().map(async |(team, group, member)| {
            let removed = provider.remove_member(team.dialect, &group, &member).await;
            let result = removed.map(|()| (group, member));
            Done { external_id: team.external_id.clone(), what: "remove member".to_owned(), result }
        });
        self.phase(Phase::Changes, tasks, |own, (group, member)| {
            own.expected.members.entry(group).or_default().remove(&member);
            None
        })
        .await
    }

    fn known_teams(&self) -> impl Iterator<Item = (&'a Team, &str)> {
        let teams = self.plan.teams.iter().enumerate();
        teams.filter_map(|(index, team)| self.teams.get(&index).map(|id| (team, id.as_str())))
    }

    /// Runs tasks, as many at a time as allowed, and notes how each one ended.
    async fn phase<T>(
        &mut self,
        phase: Phase,
        tasks: impl Iterator<Item = impl Future<Output = Done<T>>>,
        acknowledged: impl Fn(&mut Self, T) -> Option<String>,
    ) -> Result<(), Stalled> {
        let mut running = stream::iter(tasks).buffer_unordered(self.concurrency);
        while self.errors.len() < MAX_FAILURES {
            let next = async { Ok(running.next().await) };
            let next = match self.stall {
                Some(limit) => timeout(limit, next).await.unwrap_or(Err(Stalled(limit)))?,
                None => next.await?,
            };
            let Some(Done { external_id, what, result }) = next else { break };
            match result {
                Ok(value) => drop(acknowledged(self, value)),
                Err(failure) => {
                    self.expected.unsure.insert(external_id.clone());
                    self.errors.push(OperationError { external_id, operation: what, why: failure.to_string() });
                }
            }
            self.answered += 1;
            let done = if self.phase.0 == phase { self.phase.1 + 1 } else { 1 };
            self.phase = (phase, done);
            let (of, total) = (self.plan.writes_of(phase), self.plan.writes());
            (self.progress)(Progress { phase, done, of, answered: self.answered, total });
        }
        Ok(())
    }
}

const fn words(change: &Change) -> &'static str {
    match change {
        Change::Update(_) => "update user",
        Change::SetActive(true) => "reactivate",
        Change::SetActive(false) => "deactivate",
        Change::Delete => "delete user",
    }
}
