//! Names: no two live resources of a kind have the same.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Field};
use super::moment::Moment;
use super::register::clusters;
use crate::history::{Kind, Violation};

/// The time in which a resource certainly had a name.
struct Tenure<'a> {
    id: &'a str,
    first: Moment,
    last: Moment,
}

/// Two violate this if they certainly had the name at the same moment.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut tenures: BTreeMap<(&str, String), Vec<Tenure<'_>>> = BTreeMap::new();
    for (id, life) in &evidence.users {
        let (Some(first), Some(last)) = (life.first_alive, life.last_alive) else { continue };
        tenures.entry(("Users", life.name.to_lowercase())).or_default().push(Tenure { id, first, last });
    }
    for ((id, _), register) in evidence.registers.iter().filter(|((_, field), _)| *field == Field::GroupName) {
        for cluster in clusters(register) {
            let tenure = Tenure { id, first: cluster.first, last: cluster.last };
            tenures.entry(("Groups", cluster.value.to_lowercase())).or_default().push(tenure);
        }
    }
    tenures.into_iter().filter_map(|((kind, name), tenures)| doubled(kind, &name, tenures)).collect()
}

fn doubled(kind: &str, name: &str, mut tenures: Vec<Tenure<'_>>) -> Option<Violation> {
    tenures.retain(|tenure| tenure.first.end < tenure.last.start);
    tenures.sort_by_key(|tenure| tenure.first.end);
    let mut longest: Option<Tenure<'_>> = None;
    for tenure in tenures {
        match longest {
            Some(other) if other.last.start > tenure.first.end => {
                let sentence = format!(
                    "{} had it (there by {}, still there: {}), and {} at the same time (there by {})",
                    other.id, other.first, other.last, tenure.id, tenure.first
                );
                return Some(Violation { kind: Kind::Doubled, register: format!("{kind} name \"{name}\""), sentence });
            }
            _ => longest = Some(tenure),
        }
    }
    None
}
