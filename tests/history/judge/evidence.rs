//! The history sorted by register: who wrote what there, and who saw what.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::NEVER;
use super::moment::{Moment, Standing, Write};
use crate::history::{
    Attempt, Attribute, GroupSight, History, Micros, Operation, Outcome, Sight, Snapshot, UserSight, Values,
};

/// An ingress that stood still may need so long to catch up.
const THAW: Micros = 1_000_000;
/// How long an ingress may not have heard that the broker's clock has stepped.
pub(super) const UNHEARD: Micros = 6_000_000;
/// How far back an arrival may be that is told in another time (`protocol/src/access.rs`, `MAX_ARRIVAL_ERROR`).
const BELIEVED: Micros = 600_000_000;

/// Everything that is known, by what it is known about.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) history: &'a History,
    pub(super) snapshot: &'a Snapshot,
    pub(super) users: BTreeMap<&'a str, Life<'a>>,
    pub(super) groups: BTreeMap<&'a str, Life<'a>>,
    /// Creates by their marker.
    pub(super) creates: BTreeMap<&'a str, Create<'a>>,
    pub(super) registers: BTreeMap<(&'a str, Field), Register<'a>>,
    /// `active`, by user.
    pub(super) switches: BTreeMap<&'a str, Switch>,
    /// Adds (`true`) and removes (`false`) by group and user.
    pub(super) members: BTreeMap<(&'a str, &'a str), Vec<(bool, Write)>>,
    /// Every sight of a user, with its moment.
    pub(super) user_sights: BTreeMap<&'a str, Vec<(Moment, &'a UserSight)>>,
    pub(super) group_sights: BTreeMap<&'a str, Vec<(Moment, &'a GroupSight)>>,
}

/// A register of unique values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Of(Attribute),
    GroupName,
}

/// The writes of a register of unique values, and the values that were seen; an empty value is none.
#[derive(Debug, Default)]
pub(super) struct Register<'a> {
    pub(super) writes: Vec<(&'a str, Write)>,
    pub(super) seen: Vec<(&'a str, Moment)>,
}

/// The writes of a register with two values, and what was seen.
#[derive(Debug, Default)]
pub(super) struct Switch {
    pub(super) writes: Vec<(bool, Write)>,
    pub(super) seen: Vec<(bool, Moment)>,
}

/// What is known of one id.
#[derive(Debug, Default)]
pub(super) struct Life<'a> {
    /// The userName; of a group the first name.
    pub(super) name: &'a str,
    /// The attempts that a sight's marker names; more than one is a mix-up.
    pub(super) markers: BTreeSet<&'a str>,
    pub(super) deletes: Vec<Write>,
    /// The first proof that it was there, by its end.
    pub(super) first_alive: Option<Moment>,
    /// The last proof that it was there, by its start.
    pub(super) last_alive: Option<Moment>,
    /// Acknowledged deletes aside.
    pub(super) gone: Vec<Moment>,
}

/// An attempt to create something.
#[derive(Debug)]
pub(super) struct Create<'a> {
    pub(super) name: &'a str,
    pub(super) write: Write,
    pub(super) values: Option<&'a Values>,
    /// The ids under which its marker was seen.
    pub(super) ids: BTreeSet<&'a str>,
}

impl<'a> Evidence<'a> {
    pub(super) fn of(history: &'a History, snapshot: &'a Snapshot) -> Self {
        let mut evidence = Self {
            history,
            snapshot,
            users: BTreeMap::new(),
            groups: BTreeMap::new(),
            creates: BTreeMap::new(),
            registers: BTreeMap::new(),
            switches: BTreeMap::new(),
            members: BTreeMap::new(),
            user_sights: BTreeMap::new(),
            group_sights: BTreeMap::new(),
        };
        for attempt in &history.attempts {
            evidence.wrote(attempt);
            evidence.answered(attempt);
        }
        evidence.rest(Self::at_rest(history));
        evidence.attribute_creates();
        evidence
    }

    /// The moment of the snapshot: after everything else.
    fn at_rest(history: &History) -> Moment {
        let ends = history.attempts.iter().map(|attempt| attempt.end.unwrap_or(attempt.start));
        let after = ends.max().unwrap_or_default() + 1;
        Moment { process: None, start: after, end: after }
    }

    /// Since when it may be in doubt at what time a request arrived that was under way then; none if it is not.
    pub(super) fn in_doubt_since(&self, start: Micros, end: Micros) -> Option<Micros> {
        let standstills = self.history.standstills.iter().map(|(from, to)| (*from, *from, to + THAW));
        let steps = self.history.clock_steps.iter().map(|step| (step.saturating_sub(BELIEVED), *step, step + UNHEARD));
        let in_doubt = standstills.chain(steps).filter(|(_, from, to)| start <= *to && *from <= end);
        in_doubt.map(|(since, ..)| since).min()
    }

    fn wrote(&mut self, attempt: &'a Attempt) {
        let write = Write::of(attempt);
        let create = |name, values| Create { name, write, values, ids: BTreeSet::new() };
        match &attempt.operation {
            Operation::CreateUser { user_name, marker, values } => {
                self.creates.insert(marker, create(user_name, Some(values)));
            }
            Operation::CreateGroup { name, marker } => {
                self.creates.insert(marker, create(name, None));
            }
            Operation::UpdateUser { user, values } => {
                for (attribute, value) in values {
                    let register = self.registers.entry((user, Field::Of(*attribute))).or_default();
                    register.writes.push((value, write));
                }
            }
            Operation::SetActive { user, active } => {
                self.switches.entry(user).or_default().writes.push((*active, write));
            }
            Operation::RenameGroup { group, name } => {
                self.registers.entry((group, Field::GroupName)).or_default().writes.push((name, write));
            }
            Operation::DeleteUser { user } => {
                self.users.entry(user).or_default().deletes.push(write);
                // Its first effect may take access away before it is applied (`worker/src/apply/first_effect.rs`). It is no
                // proof of that.
                let standing = if write.is_acknowledged() { Standing::Unknown } else { write.standing };
                self.switches.entry(user).or_default().writes.push((false, Write { standing, ..write }));
            }
            Operation::DeleteGroup { group } => self.groups.entry(group).or_default().deletes.push(write),
            Operation::AddMember { group, user } => self.members.entry((group, user)).or_default().push((true, write)),
            Operation::RemoveMember { group, user } => {
                self.members.entry((group, user)).or_default().push((false, write));
            }
            Operation::ReadUser { .. } | Operation::ReadGroup { .. } | Operation::FindUsers { .. } => {}
        }
    }

    /// A 2xx proves that the resource was there, a 404 that it was not, and what is shown proves itself.
    fn answered(&mut self, attempt: &'a Attempt) {
        let moment = Moment::of(attempt);
        for sight in attempt.shown() {
            match sight {
                Sight::User(user) => self.saw_user(user, moment),
                Sight::Group(group) => self.saw_group(group, moment),
            }
        }
        let Some((is_group, id)) = attempt.operation.resource() else { return };
        let life = if is_group { self.groups.entry(id) } else { self.users.entry(id) }.or_default();
        match &attempt.outcome {
            // Two deletes of one resource may be one operation, answered twice.
            Outcome::Ok { .. } if attempt.operation.is_delete() => {}
            Outcome::Ok { .. } => life.was_there(moment),
            Outcome::Fail { status: Some(404) } => life.gone.push(moment),
            Outcome::Fail { .. } | Outcome::Unknown { .. } | Outcome::Pending => {}
        }
    }

    fn rest(&mut self, moment: Moment) {
        let snapshot = self.snapshot;
        for user in snapshot.listed_users.iter().chain(snapshot.read_users.values().flatten()) {
            self.saw_user(user, moment);
        }
        for group in snapshot.listed_groups.iter().chain(snapshot.read_groups.values().flatten()) {
            self.saw_group(group, moment);
        }
        for (id, _) in snapshot.read_users.iter().filter(|(_, sight)| sight.is_none()) {
            self.users.entry(id).or_default().gone.push(moment);
        }
        for (id, _) in snapshot.read_groups.iter().filter(|(_, sight)| sight.is_none()) {
            self.groups.entry(id).or_default().gone.push(moment);
        }
    }

    fn saw_user(&mut self, user: &'a UserSight, moment: Moment) {
        let life = self.users.entry(&user.id).or_default();
        life.saw(&user.user_name, &user.marker, moment);
        for attribute in Attribute::ALL {
            let value = user.values.get(&attribute).map_or("", String::as_str);
            self.registers.entry((&user.id, Field::Of(attribute))).or_default().seen.push((value, moment));
        }
        self.switches.entry(&user.id).or_default().seen.push((user.active, moment));
        self.user_sights.entry(&user.id).or_default().push((moment, user));
    }

    fn saw_group(&mut self, group: &'a GroupSight, moment: Moment) {
        let life = self.groups.entry(&group.id).or_default();
        life.saw(&group.name, &group.marker, moment);
        self.registers.entry((&group.id, Field::GroupName)).or_default().seen.push((&group.name, moment));
        self.group_sights.entry(&group.id).or_default().push((moment, group));
    }

    /// A marker that was seen names the create of an id, also of one whose answer was lost: that create is the first
    /// write of each of its registers.
    fn attribute_creates(&mut self) {
        let lives = self.users.iter().chain(&self.groups);
        let pairs: Vec<_> = lives.flat_map(|(id, life)| life.markers.iter().map(|marker| (*marker, *id))).collect();
        for (marker, id) in pairs {
            let Some(create) = self.creates.get_mut(marker) else { continue };
            create.ids.insert(id);
            let Some(values) = create.values else {
                self.registers.entry((id, Field::GroupName)).or_default().writes.push((create.name, create.write));
                continue;
            };
            for (attribute, value) in values {
                let register = self.registers.entry((id, Field::Of(*attribute))).or_default();
                register.writes.push((value, create.write));
            }
            self.switches.entry(id).or_default().writes.push((true, create.write));
        }
    }
}

impl<'a> Life<'a> {
    fn saw(&mut self, name: &'a str, marker: &'a str, moment: Moment) {
        if self.name.is_empty() {
            self.name = name;
        }
        self.markers.insert(marker);
        self.was_there(moment);
    }

    fn was_there(&mut self, moment: Moment) {
        if self.first_alive.is_none_or(|first| moment.end < first.end) {
            self.first_alive = Some(moment);
        }
        if self.last_alive.is_none_or(|last| moment.start > last.start) {
            self.last_alive = Some(moment);
        }
    }

    /// The first proof that it was gone, an acknowledged delete included, by its end.
    pub(super) fn first_gone(&self) -> Option<Moment> {
        let deletes = self.deletes.iter().filter(|write| write.is_acknowledged()).map(|write| write.moment);
        deletes.chain(self.gone.iter().copied()).min_by_key(|moment| moment.end)
    }

    /// Before this nobody can have deleted it.
    pub(super) fn may_go_from(&self) -> Micros {
        let possible = self.deletes.iter().filter(|write| !write.is_refused());
        possible.map(|write| write.moment.start).min().unwrap_or(NEVER)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(attribute) => attribute.fmt(formatter),
            Self::GroupName => formatter.write_str("displayName"),
        }
    }
}
