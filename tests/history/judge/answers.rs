//! Answers one by one: each about what was asked, no refusal without a reason, no list without those who are there.

use std::collections::{BTreeMap, BTreeSet};

use super::NEVER;
use super::evidence::{Create, Evidence, Life};
use super::moment::Moment;
use crate::history::{Attempt, Kind, Micros, Operation, Outcome, Sight, UserSight, Violation};

/// A command that was on its way for so long was held: two seconds, and a little less as its client sees it.
const HELD: Micros = 1_900_000;

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let names = Names::of(evidence);
    let found = evidence.history.attempts.iter().filter_map(|attempt| {
        let (kind, sentence) = match &attempt.outcome {
            Outcome::Ok { shown } => {
                beside_the_point(attempt, shown, &names.deleted).or_else(|| names.missed(attempt, shown))
            }
            Outcome::Fail { status: Some(409) } if is_superseded(evidence, attempt) => None,
            Outcome::Fail { status: Some(status) } => names.unfounded(attempt, *status),
            Outcome::Fail { status: None } | Outcome::Unknown { .. } | Outcome::Pending => None,
        }?;
        Some(Violation { kind, register: format!("{} {:?}", attempt.operation.name(), attempt.operation), sentence })
    });
    found.collect()
}

/// Whether a change of access may yield to the contrary (`protocol/src/access.rs`): one that was held to what came
/// meanwhile; a reactivation also where it is in doubt when it arrived, because its ingress stood still or the broker's
/// clock stepped.
fn is_superseded(evidence: &Evidence<'_>, attempt: &Attempt) -> bool {
    let Operation::SetActive { user, active } = &attempt.operation else { return false };
    let (start, end) = (attempt.start, attempt.end.unwrap_or(NEVER));
    let held_since = (end - start >= HELD).then_some(start);
    let in_doubt_since = evidence.in_doubt_since(start, end).filter(|_| *active);
    let Some(since) = held_since.into_iter().chain(in_doubt_since).min() else { return false };
    let writes = evidence.switches.get(user.as_str()).into_iter().flat_map(|switch| &switch.writes);
    let mut contrary = writes.filter(|(value, write)| value != active && !write.is_refused());
    contrary.any(|(_, write)| write.moment.start < end && write.accepted_by() > since)
}

/// A 2xx that shows something else than what was asked for.
fn beside_the_point(attempt: &Attempt, shown: &[Sight], deleted: &BTreeSet<&str>) -> Option<(Kind, String)> {
    let right = match (&attempt.operation, shown) {
        (Operation::CreateUser { user_name, marker, .. }, [Sight::User(user)]) => {
            user.user_name == *user_name && user.marker == *marker
        }
        (Operation::CreateGroup { marker, .. }, [Sight::Group(group)]) => group.marker == *marker,
        (
            Operation::UpdateUser { user, .. } | Operation::SetActive { user, .. } | Operation::ReadUser { user },
            [Sight::User(shown)],
        ) => shown.id == *user,
        (
            Operation::ReadGroup { group }
            | Operation::RenameGroup { group, .. }
            | Operation::AddMember { group, .. }
            | Operation::RemoveMember { group, .. },
            [Sight::Group(shown)],
        ) => shown.id == *group,
        (
            Operation::RenameGroup { .. }
            | Operation::AddMember { .. }
            | Operation::RemoveMember { .. }
            | Operation::DeleteUser { .. }
            | Operation::DeleteGroup { .. },
            [],
        ) => true,
        // It was made, and somebody deleted the resource before the answer was given again.
        (
            Operation::CreateUser { marker: known_by, .. }
            | Operation::CreateGroup { marker: known_by, .. }
            | Operation::UpdateUser { user: known_by, .. }
            | Operation::SetActive { user: known_by, .. },
            [],
        ) => deleted.contains(known_by.as_str()),
        (Operation::FindUsers { user_name }, shown) => return found(attempt, user_name, shown),
        _ => false,
    };
    (!right).then(|| (Kind::WrongAnswer, format!("{} was answered with {shown:?}", Moment::of(attempt))))
}

/// A filtered list shows one at most, and that of the name.
fn found(attempt: &Attempt, user_name: &str, shown: &[Sight]) -> Option<(Kind, String)> {
    let named = |sight: &Sight| matches!(sight, Sight::User(UserSight { user_name: name, .. }) if name == user_name);
    match shown {
        shown if !shown.iter().all(named) => {
            Some((Kind::WrongAnswer, format!("{} was answered with {shown:?}", Moment::of(attempt))))
        }
        [] | [_] => None,
        [one, other, ..] => {
            let sentence = format!("{} and {} were listed together ({})", one.id(), other.id(), Moment::of(attempt));
            Some((Kind::Doubled, sentence))
        }
    }
}

/// Who had which name.
struct Names<'a> {
    creates: BTreeMap<&'a str, Vec<(&'a str, &'a Create<'a>)>>,
    users: BTreeMap<&'a str, Vec<(&'a str, &'a Life<'a>)>>,
    /// From when on an id was certainly gone.
    gone: BTreeMap<&'a str, Micros>,
    /// The ids and markers of what somebody may have deleted.
    deleted: BTreeSet<&'a str>,
}

impl<'a> Names<'a> {
    fn of(evidence: &'a Evidence<'a>) -> Self {
        let (mut creates, mut users): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
        for (marker, create) in &evidence.creates {
            creates.entry(create.name).or_default().push((*marker, create));
        }
        for (id, life) in &evidence.users {
            users.entry(life.name).or_default().push((*id, life));
        }
        // In the order of time: whoever comes into question now is at the end.
        for creates in creates.values_mut() {
            creates.sort_by_key(|(_, create)| create.write.moment.start);
        }
        for users in users.values_mut() {
            users.sort_by_key(|(_, life)| life.may_go_from());
        }
        let lives = evidence.users.iter().chain(&evidence.groups);
        let gone = lives.map(|(id, life)| (*id, life.first_gone().map_or(NEVER, |gone| gone.end))).collect();
        let lives = evidence.users.iter().chain(&evidence.groups);
        let deleted = lives.filter(|(_, life)| life.may_go_from() < NEVER);
        let deleted = deleted.flat_map(|(id, life)| life.markers.iter().chain([id]).copied()).collect();
        Self { creates, users, gone, deleted }
    }

    /// A list by name without somebody who was certainly there from its start to its end.
    fn missed(&self, attempt: &Attempt, shown: &[Sight]) -> Option<(Kind, String)> {
        let Operation::FindUsers { user_name } = &attempt.operation else { return None };
        let end = attempt.end.unwrap_or(NEVER);
        let users = self.users.get(user_name.as_str())?;
        let stay = users.partition_point(|(_, life)| life.may_go_from() < end);
        users[stay..].iter().find_map(|(id, life)| {
            let first = life.first_alive.filter(|first| first.end < attempt.start)?;
            let missing = !shown.iter().any(|sight| sight.id() == *id);
            missing.then(|| {
                (
                    Kind::Unlisted,
                    format!("{id} was there ({first}), and the list did not show it ({})", Moment::of(attempt)),
                )
            })
        })
    }

    /// A refusal that no state can explain. A 404 is judged with the resource's existence.
    fn unfounded(&self, attempt: &Attempt, status: u16) -> Option<(Kind, String)> {
        let founded = match (status, &attempt.operation) {
            (404, operation) => operation.target().is_some(),
            (409, Operation::CreateUser { user_name: name, marker, .. } | Operation::CreateGroup { name, marker }) => {
                self.taken(name, marker, attempt)
            }
            (429, _) => true,
            _ => false,
        };
        (!founded).then(|| {
            (Kind::WrongRefusal, format!("{} was refused with {status}, and nothing explains it", Moment::of(attempt)))
        })
    }

    /// Whether somebody else may have had the name at some moment of the attempt. (A group may have been renamed since:
    /// that is not looked at.)
    fn taken(&self, name: &str, marker: &str, attempt: &Attempt) -> bool {
        let others = self.creates.get(name).into_iter().flatten().rev().filter(|(other, _)| *other != marker);
        let end = attempt.end.unwrap_or(NEVER);
        let mut possible = others.filter(|(_, create)| !create.write.is_refused() && create.write.moment.start < end);
        let there = |id: &&str| self.gone.get(id).is_none_or(|gone| *gone >= attempt.start);
        possible.any(|(_, create)| create.ids.is_empty() || create.ids.iter().any(there))
    }
}
