//! Registers of unique values: attributes and group names. See Gibbons and Korach, in the words of [`super`].

use std::collections::BTreeMap;

use super::NEVER;
use super::evidence::{Evidence, Field, Register};
use super::moment::{Moment, Write};
use crate::history::{Kind, Micros, Violation};

/// A write and all reads that showed it: they follow each other in any order that explains the history.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster<'a> {
    pub(super) value: &'a str,
    write: Write,
    /// The first end: from then on the write has certainly taken effect.
    pub(super) first: Moment,
    /// The last start: until then it was certainly not replaced.
    pub(super) last: Moment,
    /// Somebody else than its own answer showed it.
    seen_by_others: bool,
}

/// One violation at most for each register: one contradiction makes more.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let found = evidence.registers.iter().filter_map(|((id, field), register)| {
        let (kind, sentence) =
            unwritten(register).or_else(|| contradiction(register)).or_else(|| surfaced(register))?;
        Some(Violation { kind, register: name(id, *field), sentence })
    });
    found.collect()
}

fn name(id: &str, field: Field) -> String {
    match field {
        Field::Of(_) => format!("Users/{id} {field}"),
        Field::GroupName => format!("Groups/{id} {field}"),
    }
}

/// Something was seen that nobody wrote, or that was refused.
fn unwritten(register: &Register<'_>) -> Option<(Kind, String)> {
    let writes: BTreeMap<&str, Write> = register.writes.iter().copied().collect();
    register.seen.iter().find_map(|(value, moment)| match writes.get(value) {
        Some(write) if write.is_refused() => {
            Some((Kind::GhostWrite, format!("\"{value}\" ({write}) was seen all the same ({moment})")))
        }
        Some(_) => None,
        None if value.is_empty() => {
            Some((Kind::LostWrite, format!("no value was seen ({moment}), though one was written")))
        }
        None => Some((Kind::Invented, format!("\"{value}\" was seen ({moment}), and nobody wrote it there"))),
    })
}

/// The clusters of writes that certainly took effect, in the order of their first end.
pub(super) fn clusters<'a>(register: &Register<'a>) -> Vec<Cluster<'a>> {
    let mut clusters: BTreeMap<&str, Cluster<'a>> = BTreeMap::new();
    for (value, write) in register.writes.iter().filter(|(_, write)| !write.is_refused()) {
        let end = if write.is_acknowledged() { write.moment.end } else { NEVER };
        let (first, last) = (Moment { end, ..write.moment }, write.moment);
        clusters.insert(value, Cluster { value, write: *write, first, last, seen_by_others: false });
    }
    for (value, moment) in &register.seen {
        let Some(cluster) = clusters.get_mut(value) else { continue };
        cluster.seen_by_others |= *moment != cluster.write.moment;
        if moment.end < cluster.first.end {
            cluster.first = *moment;
        }
        if moment.start > cluster.last.start {
            cluster.last = *moment;
        }
    }
    let mut clusters: Vec<Cluster<'a>> = clusters.into_values().filter(|cluster| cluster.first.end < NEVER).collect();
    clusters.sort_by_key(|cluster| cluster.first.end);
    clusters
}

/// Two clusters of which each has an operation that ended before an operation of the other began. The one that lasted
/// longest so far is enough to compare with: if another one contradicts, then those two contradict each other as well.
fn contradiction(register: &Register<'_>) -> Option<(Kind, String)> {
    let mut longest: Option<Cluster<'_>> = None;
    for cluster in clusters(register) {
        match longest {
            Some(old) if old.last.start > cluster.first.end && cluster.last.start > old.first.end => {
                return Some(describe(&old, &cluster));
            }
            Some(old) if old.last.start >= cluster.last.start => {}
            _ => longest = Some(cluster),
        }
    }
    None
}

/// An unanswered write that took effect after one that the log accepted later.
fn surfaced(register: &Register<'_>) -> Option<(Kind, String)> {
    let mut by_start = clusters(register);
    by_start.sort_by_key(|cluster| std::cmp::Reverse(cluster.write.moment.start));
    let mut late: Vec<Cluster<'_>> =
        clusters(register).into_iter().filter(|old| !old.write.is_acknowledged()).collect();
    late.sort_by_key(|cluster| std::cmp::Reverse(cluster.write.accepted_by()));
    let (mut newer, mut earliest): (_, Option<Cluster<'_>>) = (by_start.into_iter().peekable(), None);
    for old in late {
        while let Some(new) = newer.next_if(|new| new.write.moment.start > old.write.accepted_by()) {
            if earliest.is_none_or(|earliest| new.first.end < earliest.first.end) {
                earliest = Some(new);
            }
        }
        if let Some(new) = earliest.filter(|new| new.first.end < old.last.start) {
            return Some(describe(&old, &new));
        }
    }
    None
}

fn describe(old: &Cluster<'_>, new: &Cluster<'_>) -> (Kind, String) {
    let right_again: Micros = new.last.start;
    let kind = match () {
        () if right_again > old.last.end => Kind::StaleRead,
        () if new.seen_by_others => Kind::Reordered,
        () => Kind::LostWrite,
    };
    let again = if right_again > old.last.end { ", and the newer one again later" } else { "" };
    let sentence = format!(
        "\"{}\" ({}) was replaced by \"{}\" ({}; it had taken effect by {}), and was seen after that ({}){again}",
        old.value, old.write, new.value, new.write, new.first, old.last
    );
    (kind, sentence)
}
