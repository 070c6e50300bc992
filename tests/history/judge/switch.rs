//! Registers whose values return: `active`, and membership by [`super::members`].

use std::iter::Peekable;
use std::vec::IntoIter;

use super::evidence::{Evidence, Switch, UNHEARD};
use super::moment::{Moment, Write};
use super::{ACCEPTED_WITHIN, ACCESS_WITHIN};
use crate::history::{Kind, Micros, Violation};

/// One violation at most for each user.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let found = evidence.switches.iter().filter_map(|(id, switch)| {
        let within = |shown: bool, write: &Write| lost_within(&evidence.history.clock_steps, shown, write);
        let Wrong { shown, write, by, right_again } = wrong(switch, within)?;
        let kind = match (right_again, shown) {
            (true, _) => Kind::StaleRead,
            (false, true) => Kind::StuckActive,
            (false, false) => Kind::LostWrite,
        };
        let (word, other) = if shown { ("active", "deactivation") } else { ("inactive", "reactivation") };
        let sentence = format!("{word} was seen ({by}) after a {other} ({write}) and no later write of {word}");
        Some(Violation { kind, register: format!("Users/{id} active"), sentence })
    });
    found.collect()
}

/// How long a link is cut or stalled at most.
const LONGEST_FAULT: Micros = 12_000_000;

/// How long a change of access may still take effect that its client lost. Where the broker's clock stepped while it was on
/// its way, its arrival is in doubt, and a deactivation counts then (`protocol/src/access.rs`).
fn lost_within(clock_steps: &[Micros], active: bool, write: &Write) -> Micros {
    // Or shortly before, so that its ingress had not heard of it.
    let on_its_way = write.moment.start.saturating_sub(UNHEARD)..write.settled_by(LONGEST_FAULT);
    let in_doubt = !active && clock_steps.iter().any(|step| on_its_way.contains(step));
    if in_doubt { ACCEPTED_WITHIN } else { ACCESS_WITHIN }
}

/// A read that no write explains.
pub(super) struct Wrong {
    /// What it showed.
    pub(super) shown: bool,
    /// The acknowledged write of the opposite.
    pub(super) write: Write,
    pub(super) by: Moment,
    /// A later read showed the opposite, though nobody wrote it again.
    pub(super) right_again: bool,
}

/// The first read, by its end, that shows what no write can have left there. A write that its client lost takes effect so
/// long afterwards at the latest.
pub(super) fn wrong(switch: &Switch, within: impl Fn(bool, &Write) -> Micros) -> Option<Wrong> {
    [true, false].into_iter().filter_map(|shown| wrong_side(switch, shown, &within)).min_by_key(|wrong| wrong.by.end)
}

fn wrong_side(switch: &Switch, shown: bool, within: &impl Fn(bool, &Write) -> Micros) -> Option<Wrong> {
    let opposites = Opposites::of(switch.writes.iter().filter(|(value, _)| *value != shown).map(|(_, write)| *write));
    let writes = switch.writes.iter().filter(|(value, _)| *value == shown).map(|(_, write)| *write);
    let mut explanations = Explanations::of(writes, |write| within(shown, write));
    let mut seen: Vec<Moment> =
        switch.seen.iter().filter(|(value, _)| *value == shown).map(|(_, moment)| *moment).collect();
    seen.sort_by_key(|moment| moment.end);
    for by in seen {
        let Some(write) = opposites.last_before(by.start) else { continue };
        if !explanations.explain(by, write.moment.start) {
            return Some(Wrong { shown, write, by, right_again: right_again(switch, shown, write, by) });
        }
    }
    None
}

/// Whether the opposite was seen later, and nobody had written it again.
fn right_again(switch: &Switch, shown: bool, write: Write, by: Moment) -> bool {
    let later = switch.seen.iter().filter(|(value, moment)| *value != shown && moment.start > by.end);
    let Some(seen) = later.map(|(_, moment)| moment.end).min() else { return false };
    let again =
        |other: &Write| other.moment.start > write.moment.start && other.moment.start < seen && !other.is_refused();
    !switch.writes.iter().any(|(value, other)| *value != shown && again(other))
}

/// Acknowledged writes of the opposite value, by their end, each with the one among those so far that began last.
struct Opposites(Vec<(Micros, Write)>);

impl Opposites {
    fn of(writes: impl Iterator<Item = Write>) -> Self {
        let mut writes: Vec<Write> = writes.filter(Write::is_acknowledged).collect();
        writes.sort_by_key(|write| write.moment.end);
        let mut last: Option<Write> = None;
        let with_last = writes.into_iter().map(|write| {
            let newest = last.filter(|last| last.moment.start > write.moment.start).unwrap_or(write);
            last = Some(newest);
            (write.moment.end, newest)
        });
        Self(with_last.collect())
    }

    /// Of those that ended before this, the one that began last.
    fn last_before(&self, start: Micros) -> Option<Write> {
        let before = self.0.partition_point(|(end, _)| *end < start);
        before.checked_sub(1).map(|index| self.0[index].1)
    }
}

/// Writes of the value, by their start, as they come into question: until when each may have taken effect.
struct Explanations {
    /// Each with the time by which it takes effect, if its client lost it.
    ahead: Peekable<IntoIter<(Write, Micros)>>,
    /// The latest of the acknowledged ones.
    acknowledged: Option<Micros>,
    unanswered: Vec<Micros>,
}

impl Explanations {
    fn of(writes: impl Iterator<Item = Write>, within: impl Fn(&Write) -> Micros) -> Self {
        let with_time = |write: Write| (write, write.settled_by(within(&write)));
        let mut writes: Vec<(Write, Micros)> = writes.filter(|write| !write.is_refused()).map(with_time).collect();
        writes.sort_by_key(|(write, _)| write.moment.start);
        Self { ahead: writes.into_iter().peekable(), acknowledged: None, unanswered: Vec::new() }
    }

    /// Whether a write may have come after one that began at `replaced`. If a single unanswered one may, then it had
    /// taken effect when the read ended, and explains nothing that was written over after that.
    fn explain(&mut self, by: Moment, replaced: Micros) -> bool {
        while let Some((write, until)) = self.ahead.next_if(|(write, _)| write.moment.start < by.end) {
            if write.is_acknowledged() {
                self.acknowledged = self.acknowledged.max(Some(write.moment.end));
            } else {
                self.unanswered.push(until);
            }
        }
        if self.acknowledged.is_some_and(|end| end >= replaced) {
            return true;
        }
        let mut possible = self.unanswered.iter_mut().filter(|until| **until >= replaced);
        match (possible.next(), possible.next()) {
            (Some(only), None) => *only = by.end.min(*only),
            (first, _) => return first.is_some(),
        }
        true
    }
}
