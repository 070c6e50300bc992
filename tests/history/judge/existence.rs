//! Whether resources are there: an id begins with its create, ends with its delete, and never returns.

use super::evidence::{Create, Evidence, Life};
use super::moment::Moment;
use crate::history::{Kind, Violation};

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let users = evidence.users.iter().map(|(id, life)| (format!("Users/{id}"), life));
    let groups = evidence.groups.iter().map(|(id, life)| (format!("Groups/{id}"), life));
    let mut violations = Vec::new();
    for (register, life) in users.chain(groups) {
        let found = stranger(evidence, life).or_else(|| lost(life)).or_else(|| returned(life));
        violations.extend(found.map(|(kind, sentence)| Violation { kind, register, sentence }));
    }
    violations.extend(evidence.creates.iter().filter_map(|(marker, create)| created(marker, create)));
    violations
}

/// A request makes one resource, and none if it is refused.
fn created(marker: &str, create: &Create<'_>) -> Option<Violation> {
    let Create { name, write, ids, .. } = create;
    let (kind, sentence) = match ids.len() {
        0 => return None,
        1 if !write.is_refused() => return None,
        1 => (Kind::GhostWrite, format!("the create ({write}) was refused, and made {ids:?}")),
        _ => (Kind::Doubled, format!("one create ({write}) made {ids:?}")),
    };
    Some(Violation { kind, register: format!("create of \"{name}\" ({marker})"), sentence })
}

/// Whoever is there was made by a request, and by one only.
fn stranger(evidence: &Evidence<'_>, life: &Life<'_>) -> Option<(Kind, String)> {
    let seen = life.first_alive?;
    if life.markers.len() > 1 {
        return Some((Kind::Invented, format!("it was seen with different externalIds: {:?}", life.markers)));
    }
    let unknown = life.markers.iter().find(|marker| !evidence.creates.contains_key(*marker))?;
    Some((Kind::Invented, format!("it was seen ({seen}) with the externalId \"{unknown}\", which nobody created")))
}

/// Absent, though nobody can have deleted it by then.
fn lost(life: &Life<'_>) -> Option<(Kind, String)> {
    let gone = life.gone.iter().filter(|gone| gone.end <= life.may_go_from()).max_by_key(|gone| gone.start)?;
    let alive = life.last_alive?;
    let was = format!("it was there ({}), then not ({gone}), and nobody had deleted it", life.first_alive?);
    let again = || format!("{was}; and there again ({alive})");
    Some(if alive.start > gone.end { (Kind::StaleRead, again()) } else { (Kind::LostWrite, was) })
}

/// There after it was certainly gone.
fn returned(life: &Life<'_>) -> Option<(Kind, String)> {
    let (gone, alive) = (life.first_gone()?, life.last_alive?);
    if alive.start <= gone.end {
        return None;
    }
    let seen_gone = |moment: &&Moment| moment.end < alive.start;
    let later_gone = life.gone.iter().find(|moment| moment.start > alive.end);
    let deleted_again = life.deletes.iter().any(|write| write.moment.start > gone.end && !write.is_refused());
    let sentence = format!("it was gone ({gone}), and there after that ({alive})");
    match (life.gone.iter().find(seen_gone), later_gone) {
        (_, Some(later)) if !deleted_again => Some((Kind::StaleRead, format!("{sentence}, and gone again ({later})"))),
        (Some(seen), _) => Some((Kind::Resurrected, format!("{sentence}; its absence was seen ({seen})"))),
        (None, _) => Some((Kind::Undeleted, sentence)),
    }
}
