//! Versions: a user's version never goes back, and one version is one content.

use std::collections::BTreeMap;

use super::evidence::Evidence;
use super::moment::Moment;
use crate::history::{Kind, UserSight, Violation};

/// All sights of one version.
struct Version<'a> {
    content: &'a UserSight,
    /// By its end.
    first: Moment,
    /// By its start.
    last: Moment,
}

/// One violation at most for each user.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let found = evidence.user_sights.iter().filter_map(|(id, sights)| {
        let (kind, sentence) = versions(sights).map_or_else(Some, |versions| went_back(&versions))?;
        Some(Violation { kind, register: format!("Users/{id} version"), sentence })
    });
    found.collect()
}

/// The sights by version, or two contents of one.
fn versions<'a>(sights: &[(Moment, &'a UserSight)]) -> Result<BTreeMap<u64, Version<'a>>, (Kind, String)> {
    let mut versions: BTreeMap<u64, Version<'a>> = BTreeMap::new();
    for (moment, content) in sights {
        let Some(number) = content.version else { continue };
        let version = versions.entry(number).or_insert(Version { content, first: *moment, last: *moment });
        if version.content != *content {
            let (one, other) = (difference(version.content, content), difference(content, version.content));
            let sentence = format!("version {number} shows {one} ({}) and {other} ({moment})", version.first);
            return Err((Kind::ForkedVersion, sentence));
        }
        if moment.end < version.first.end {
            version.first = *moment;
        }
        if moment.start > version.last.start {
            version.last = *moment;
        }
    }
    Ok(versions)
}

/// What one shows and the other does not.
fn difference(one: &UserSight, other: &UserSight) -> String {
    let values = one.values.iter().filter(|(attribute, value)| other.values.get(attribute) != Some(*value));
    let values = values.map(|(attribute, value)| format!("{attribute} \"{value}\""));
    let active = (one.active != other.active).then(|| format!("active {}", one.active));
    values.chain(active).collect::<Vec<_>>().join(", ")
}

fn went_back(versions: &BTreeMap<u64, Version<'_>>) -> Option<(Kind, String)> {
    let mut higher: Option<(u64, Moment)> = None;
    for (number, version) in versions.iter().rev() {
        if let Some((above, first)) = higher
            && version.last.start > first.end
        {
            let sentence =
                format!("version {above} was there ({first}), and version {number} after that ({})", version.last);
            return Some((Kind::VersionWentBack, sentence));
        }
        if higher.is_none_or(|(_, first)| version.first.end < first.end) {
            higher = Some((*number, version.first));
        }
    }
    None
}
