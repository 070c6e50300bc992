//! Membership: each pair of group and user is a register with two values, and the user's life bounds it.

use super::ACCEPTED_WITHIN;
use super::evidence::{Evidence, Life, Switch};
use super::moment::{Moment, Standing, Write};
use super::switch::{Wrong, wrong};
use crate::history::{GroupSight, Kind, Violation};

/// Sights of one group, by their start.
type Sights<'a> = Vec<(Moment, &'a GroupSight)>;

/// Out of the group since before the run.
const NOT_YET: Write = Write { moment: Moment { process: None, start: 0, end: 0 }, standing: Standing::Acknowledged };

/// One violation at most for each pair.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let nobody = Life::default();
    for (group, sights) in &evidence.group_sights {
        let mut sights = sights.clone();
        sights.sort_by_key(|(moment, _)| moment.start);
        let pairs = evidence.members.range((*group, "")..).take_while(|((of, _), _)| of == group);
        for ((_, user), writes) in pairs {
            let life = evidence.users.get(user).unwrap_or(&nobody);
            let found = pair(writes, &sights, user, life);
            let register = || format!("Groups/{group} member {user}");
            violations.extend(found.map(|(kind, sentence)| Violation { kind, register: register(), sentence }));
        }
        violations.extend(strangers(evidence, group, &sights));
    }
    violations
}

fn pair(writes: &[(bool, Write)], sights: &Sights<'_>, user: &str, life: &Life<'_>) -> Option<(Kind, String)> {
    let mut switch = Switch { writes: writes.to_vec(), seen: Vec::new() };
    let seen_in = sights.iter().filter(|(_, group)| group.members.contains(user));
    switch.seen.extend(seen_in.map(|(moment, _)| (true, *moment)));
    if let Some(gone) = life.first_gone()
        && let Some((_, by)) = switch.seen.iter().find(|(_, by)| by.start > gone.end)
    {
        return Some((Kind::GhostMember, format!("the user was gone ({gone}), and a member all the same ({by})")));
    }
    switch.seen.extend(seen_out(writes, sights, user, life));
    switch.writes.push((false, NOT_YET));
    let Wrong { shown, write, by, right_again } = wrong(&switch, |_, _| ACCEPTED_WITHIN)?;
    let kind = match (right_again, shown) {
        (true, _) => Kind::StaleRead,
        (false, true) => Kind::GhostMember,
        (false, false) => Kind::LostMember,
    };
    Some((
        kind,
        match (shown, write == NOT_YET) {
            (true, true) => format!("a member ({by}), and no add explains it"),
            (true, false) => format!("a member ({by}) after a remove ({write}) and no later add"),
            (false, _) => format!("no member ({by}) after an add ({write}) and no later remove"),
        },
    ))
}

/// Sights of the group without the user, after an add and while nobody can have deleted the user.
fn seen_out<'a>(
    writes: &[(bool, Write)],
    sights: &'a Sights<'_>,
    user: &'a str,
    life: &Life<'_>,
) -> impl Iterator<Item = (bool, Moment)> + use<'a> {
    let adds = writes.iter().filter(|(add, write)| *add && write.is_acknowledged());
    let first_add = adds.map(|(_, write)| write.moment.end).min();
    let from = first_add.map_or(sights.len(), |end| sights.partition_point(|(moment, _)| moment.start <= end));
    let may_go_from = life.may_go_from();
    let window = sights[from..].iter().take_while(move |(moment, _)| moment.start <= may_go_from);
    let out = window.filter(move |(moment, group)| moment.end <= may_go_from && !group.members.contains(user));
    out.map(|(moment, _)| (false, *moment))
}

/// Members whom nobody ever added.
fn strangers(evidence: &Evidence<'_>, group: &str, sights: &Sights<'_>) -> Option<Violation> {
    sights.iter().find_map(|(by, sight)| {
        let stranger = sight.members.iter().find(|user| !evidence.members.contains_key(&(group, user.as_str())))?;
        let sentence = format!("a member ({by}), and nobody ever added it");
        Some(Violation { kind: Kind::Invented, register: format!("Groups/{group} member {stranger}"), sentence })
    })
}
