//! The state at rest in itself: the list is the set of all reads by id, names are unique, members are live users.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Evidence;
use crate::history::{GroupSight, Kind, Snapshot, UserSight, Violation};

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let Snapshot { listed_users, listed_groups, read_users, read_groups } = evidence.snapshot;
    let user = |user: &UserSight| (user.id.clone(), user.user_name.to_lowercase());
    let group = |group: &GroupSight| (group.id.clone(), group.name.to_lowercase());
    let mut violations = listing("Users", listed_users, read_users, &user);
    violations.extend(listing("Groups", listed_groups, read_groups, &group));
    violations.extend(doubles("Users", read_users, &user));
    violations.extend(doubles("Groups", read_groups, &group));
    violations.extend(dangling(evidence.snapshot));
    violations
}

fn listing<T: PartialEq>(
    kind: &str,
    listed: &[T],
    read: &BTreeMap<String, Option<T>>,
    key: &impl Fn(&T) -> (String, String),
) -> Vec<Violation> {
    let violation = |id: &str, kind_of, sentence: &str| Violation {
        kind: kind_of,
        register: format!("{kind}/{id}"),
        sentence: sentence.to_owned(),
    };
    let mut violations = Vec::new();
    let mut ids = BTreeSet::new();
    for resource in listed {
        let (id, _) = key(resource);
        if read.get(&id).and_then(Option::as_ref) != Some(resource) {
            violations.push(violation(&id, Kind::ListingDiffers, "at rest, the list and the read by id differ"));
        }
        if !ids.insert(id.clone()) {
            violations.push(violation(&id, Kind::ListingDiffers, "at rest, the list shows it twice"));
        }
    }
    let unlisted = read.iter().filter(|(id, resource)| resource.is_some() && !ids.contains(*id));
    violations
        .extend(unlisted.map(|(id, _)| violation(id, Kind::Unlisted, "at rest, it is there and not in the list")));
    violations
}

fn doubles<T>(kind: &str, read: &BTreeMap<String, Option<T>>, key: &impl Fn(&T) -> (String, String)) -> Vec<Violation> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, name) in read.values().flatten().map(key) {
        by_name.entry(name).or_default().push(id);
    }
    by_name.retain(|_, ids| ids.len() > 1);
    let violation = |(name, ids): (String, Vec<String>)| Violation {
        kind: Kind::Doubled,
        register: format!("{kind} name \"{name}\""),
        sentence: format!("at rest, {} have it", ids.join(" and ")),
    };
    by_name.into_iter().map(violation).collect()
}

fn dangling(snapshot: &Snapshot) -> Vec<Violation> {
    let live = |id: &str| snapshot.read_users.get(id).is_some_and(Option::is_some);
    let groups = snapshot.read_groups.values().flatten();
    let members = groups.flat_map(|group| group.members.iter().map(|member| (&group.id, member)));
    let dangling = members.filter(|(_, member)| !live(member));
    let violation = |(group, member): (&String, &String)| Violation {
        kind: Kind::GhostMember,
        register: format!("Groups/{group} member {member}"),
        sentence: "at rest, it is a member and no live user".to_owned(),
    };
    dangling.map(violation).collect()
}
