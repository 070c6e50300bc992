//! What the provider is going to do: people, groups and later changes, all made from the seed alone.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

const GIVEN_NAMES: [&str; 12] =
    ["Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatima", "Grace", "Hiroshi", "Inês", "José", "Kwame", "Li"];
const FAMILY_NAMES: [&str; 10] =
    ["Lovelace", "Ångström", "Dubois", "O'Neill", "García", "Nakamura", "Okafor", "Müller", "Sá", "van der Berg"];
const TITLES: [&str; 6] = ["Engineer", "Designer", "Accountant", "Team Lead", "Intern", "Head of \"Special\" Projects"];
const ZONES: [&str; 5] = ["Europe/Paris", "America/Los_Angeles", "Asia/Tokyo", "Africa/Lagos", "America/Sao_Paulo"];

/// Whose requests are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Okta: looks people up by userName, updates by PUT of what it read.
    Okta,
    /// Microsoft Entra ID: looks people up by externalId, updates by PATCH with capitalised operations.
    Entra,
}

/// The parts of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// People are created.
    People,
    /// Groups are created.
    Groups,
    /// Groups are filled.
    Members,
    /// People change, leave, come back; some leave a group.
    Changes,
    /// Everything is read back.
    Verification,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::People => "people",
            Self::Groups => "groups",
            Self::Members => "members",
            Self::Changes => "changes",
            Self::Verification => "verifying",
        })
    }
}

/// How many groups a person is in, besides the one of everybody.
const GROUPS_A_PERSON: usize = 3;

/// One run: who joins, which groups there are, and what changes afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Part of every name of this run, so that runs against one workspace do not meet.
    pub run: String,
    /// Everybody who joins, in order.
    pub joiners: Vec<Joiner>,
    /// The groups; the first one is everybody's.
    pub teams: Vec<Team>,
}

/// A person who joins, and what happens to them afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joiner {
    /// As created.
    pub person: Person,
    /// Applied one after the other once all groups are filled.
    pub changes: Vec<Change>,
}

/// A person as the provider knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Which provider's requests are sent for them.
    pub dialect: Dialect,
    /// Unique in the run.
    pub user_name: String,
    /// Unique in the run, never changes.
    pub external_id: String,
    /// First name.
    pub given_name: String,
    /// Last name.
    pub family_name: String,
    /// The work address.
    pub email: String,
    /// What they do.
    pub title: String,
    /// IANA name.
    pub timezone: String,
    /// Whether they have access.
    pub active: bool,
}

/// What happens to a person after joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// New values.
    Update(Box<Person>),
    /// Access is taken away or given back.
    SetActive(bool),
    /// The person is removed.
    Delete,
}

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Team {
    /// Which provider's requests are sent for it.
    pub dialect: Dialect,
    /// Unique in the run.
    pub display_name: String,
    /// Unique in the run.
    pub external_id: String,
    /// Who is added: indexes of [`Plan::joiners`].
    pub members: Vec<usize>,
    /// Who is taken out again afterwards.
    pub leavers: Vec<usize>,
}

impl Plan {
    /// The plan for a seed. The same numbers give the same plan.
    pub fn new(seed: u64, users: usize, groups: usize) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let run = format!("r{seed:x}");
        let joiners: Vec<Joiner> = (0..users).map(|index| joiner(&run, index, &mut random)).collect();
        let teams = teams(&run, users, groups, &mut random);
        Self { run, joiners, teams }
    }

    /// How many writes that is, one for each create, chunk of members, removal and change.
    pub fn writes(&self) -> usize {
        [Phase::People, Phase::Groups, Phase::Members, Phase::Changes].map(|phase| self.writes_of(phase)).iter().sum()
    }

    /// How many of them belong to this phase.
    pub fn writes_of(&self, phase: Phase) -> usize {
        match phase {
            Phase::People => self.joiners.len(),
            Phase::Groups => self.teams.len(),
            Phase::Members => self.teams.iter().map(|team| team.chunks().len()).sum(),
            Phase::Changes => {
                let changes: usize = self.joiners.iter().map(|joiner| joiner.changes.len()).sum();
                changes + self.teams.iter().map(|team| team.leavers.len()).sum::<usize>()
            }
            Phase::Verification => 0,
        }
    }

    /// Whether a person of that userName belongs to this run.
    pub fn owns_user(&self, user_name: &str) -> bool {
        user_name.strip_suffix(".example.com").is_some_and(|rest| rest.ends_with(&format!("@{}", self.run)))
    }

    /// Whether a group of that displayName belongs to this run.
    pub fn owns_group(&self, display_name: &str) -> bool {
        display_name.strip_prefix(&self.run).is_some_and(|rest| rest.starts_with(' '))
    }
}

impl Team {
    /// The members as they are sent: at most 100 in one request, as Okta does.
    pub fn chunks(&self) -> std::slice::Chunks<'_, usize> {
        self.members.chunks(100)
    }
}

impl Person {
    /// First and last name.
    pub fn display_name(&self) -> String {
        format!("{} {}", self.given_name, self.family_name)
    }
}

fn joiner(run: &str, index: usize, random: &mut StdRng) -> Joiner {
    let person = Person {
        dialect: if index.is_multiple_of(2) { Dialect::Okta } else { Dialect::Entra },
        user_name: format!("Person.{index}@{run}.example.com"),
        external_id: format!("{run}-u{index}"),
        given_name: pick(&GIVEN_NAMES, random),
        family_name: format!("{} {index}", pick(&FAMILY_NAMES, random)),
        email: format!("person.{index}@mail.{run}.example.com"),
        title: pick(&TITLES, random),
        timezone: pick(&ZONES, random),
        active: true,
    };
    let changes = changes(&person, run, index);
    Joiner { person, changes }
}

/// A share of everything: one in five changes name, mail and title (one in ten the userName as well), one in sixteen is
/// deactivated, half of these come back, one in fifty is removed.
fn changes(person: &Person, run: &str, index: usize) -> Vec<Change> {
    let mut changes = Vec::new();
    if index % 5 == 1 || index.is_multiple_of(10) {
        let mut after = person.clone();
        after.family_name = format!("{}-Married", person.family_name);
        after.email = format!("person.{index}.married@mail.{run}.example.com");
        after.title = format!("Senior {}", person.title);
        if index % 10 < 2 {
            after.user_name = format!("Person.{index}.Married@{run}.example.com");
        }
        changes.push(Change::Update(Box::new(after)));
    }
    if index % 16 == 3 || index % 16 == 8 {
        changes.push(Change::SetActive(false));
        if index % 32 < 16 {
            changes.push(Change::SetActive(true));
        }
    }
    if index % 50 == 7 {
        changes.push(Change::Delete);
    }
    changes
}

fn teams(run: &str, users: usize, groups: usize, random: &mut StdRng) -> Vec<Team> {
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups];
    for person in 0..users {
        let others = groups.saturating_sub(1);
        let chosen = index::sample(random, others, GROUPS_A_PERSON.min(others)).into_iter().map(|group| group + 1);
        for group in std::iter::once(0).chain(chosen) {
            if let Some(members) = members.get_mut(group) {
                members.push(person);
            }
        }
    }
    members.into_iter().enumerate().map(|(index, members)| team(run, index, members)).collect()
}

fn team(run: &str, index: usize, members: Vec<usize>) -> Team {
    let everybody = index == 0;
    Team {
        dialect: if index.is_multiple_of(2) { Dialect::Okta } else { Dialect::Entra },
        display_name: if everybody { format!("{run} Everybody") } else { format!("{run} Team {index} (Zürich)") },
        external_id: format!("{run}-g{index}"),
        leavers: members.iter().copied().take(if everybody { 0 } else { 2 }).collect(),
        members,
    }
}

fn pick(from: &[&str], random: &mut StdRng) -> String {
    from.get(random.random_range(0..from.len())).copied().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_shares_no_name() {
        assert_eq!(Plan::new(7, 50, 4), Plan::new(7, 50, 4));
        let (one, two) = (Plan::new(7, 50, 4), Plan::new(8, 50, 4));
        assert!(one.joiners.iter().all(|joiner| !two.owns_user(&joiner.person.user_name)));
        assert!(one.teams.iter().all(|team| one.owns_group(&team.display_name) && !two.owns_group(&team.display_name)));
        assert!(one.joiners.iter().all(|joiner| one.owns_user(&joiner.person.user_name)));
    }

    #[test]
    fn a_run_does_not_own_the_names_of_a_run_that_begins_alike() {
        let (short, long) = (Plan::new(0x1, 1, 1), Plan::new(0x12, 1, 1));
        assert!(!short.owns_user(&long.joiners[0].person.user_name));
        assert!(!short.owns_group(&long.teams[0].display_name));
    }

    #[test]
    fn names_are_unique_also_after_all_changes() {
        let plan = Plan::new(1, 500, 20);
        let names = plan.joiners.iter().map(|joiner| {
            let updated = joiner.changes.iter().find_map(|change| match change {
                Change::Update(after) => Some(after.user_name.clone()),
                Change::SetActive(_) | Change::Delete => None,
            });
            updated.unwrap_or_else(|| joiner.person.user_name.clone()).to_lowercase()
        });
        assert_eq!(names.collect::<BTreeSet<_>>().len(), 500);
    }

    #[test]
    fn every_kind_of_change_happens_in_both_dialects() {
        let plan = Plan::new(1, 500, 20);
        for dialect in [Dialect::Okta, Dialect::Entra] {
            let changes: Vec<&Change> = plan
                .joiners
                .iter()
                .filter(|joiner| joiner.person.dialect == dialect)
                .flat_map(|joiner| &joiner.changes)
                .collect();
            assert!(changes.iter().any(|change| matches!(change, Change::Update(_))), "{dialect:?}");
            assert!(changes.contains(&&Change::SetActive(false)), "{dialect:?}");
            assert!(changes.contains(&&Change::SetActive(true)), "{dialect:?}");
        }
        assert!(plan.joiners.iter().any(|joiner| joiner.changes.contains(&Change::Delete)));
    }

    #[test]
    fn everybody_is_in_the_first_group_and_in_three_others() {
        let plan = Plan::new(3, 200, 10);
        assert_eq!(plan.teams[0].members.len(), 200);
        assert_eq!(plan.teams.iter().map(|team| team.members.len()).sum::<usize>(), 200 * 4);
        assert_eq!(plan.teams[0].chunks().len(), 2);
    }

    #[test]
    fn a_run_without_groups_or_people_is_a_plan_too() {
        assert_eq!(Plan::new(3, 10, 0).teams.len(), 0);
        assert_eq!(Plan::new(3, 0, 2).writes(), 2);
        assert_eq!(Plan::new(3, 0, 0).writes(), 0);
    }
}
