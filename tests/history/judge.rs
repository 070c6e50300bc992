//! Judges a history by what can be proven from outside.
//!
//! Existence, each attribute, `active`, a group's name and each (group, member) pair is a register. The single rule: *a
//! write is superseded by an acknowledged write that was invoked after it ended*; what is superseded is not seen by a
//! later read, and is not final. This is where it comes from, and how far it carries.
//!
//! **What an attempt proves.** An acknowledged write took effect between its start and its end. So it comes before every
//! write that starts later. A read shows the state at some moment between its start and its end; so does the answer to a
//! write, but not exactly that of its own effect: an answer that was lost is given again later, from what is stored then.
//! If the resource was deleted before that, such an answer shows nothing. A refused write (4xx) never takes effect. A 404
//! proves absence at some moment.
//!
//! **Unknown writes.** One that was not answered may take effect never, or at any later time, and no acknowledged write
//! invoked meanwhile rules it out: the log may have accepted it after that. Two things bound it. First, *whoever shows it
//! dates it*: once a read that showed it has ended, it has taken effect, and every write invoked later comes after it.
//! Second, the log accepts nothing after the request's deadline, and the order of effects is that of acceptance: a write
//! whose outcome the client lost more than [`ACCEPTED_WITHIN`] ago comes before every write invoked from now on, even if
//! its effect is still to be seen. For `active` that is true [`ACCESS_WITHIN`] already. A pending one has no such bound.
//!
//! **Values that are unique** (attributes, names) make this complete: a read names its write, so a write and its reads
//! are one cluster, and the register is atomic exactly if for no two clusters each has an operation that ended before an
//! operation of the other began (Gibbons and Korach, "Testing shared memories", 1997). Sorted by time, that is one pass.
//!
//! **Values that return** (`active`, membership) do not name their write. There the check is sound, not complete: a state
//! is right if some write of it may be the last one, given the acknowledged writes of the opposite that certainly came
//! before the read; an unknown write that alone explains a read is dated by it. What stays unprovable: an unanswered
//! reactivation that surfaces after an acknowledged deactivation which began within its bound.
//!
//! **Ids** never change and never return, so existence is a step up and a step down, and every proof of presence that
//! began after a proof of absence ended is a violation. Names are judged by ids: two of one name that certainly lived at
//! the same moment are double.
//!
//! Everything is linear in the size of the history, sorting aside.

mod answers;
mod evidence;
mod existence;
mod members;
mod moment;
mod names;
mod register;
mod rest;
mod switch;
mod versions;

use super::{History, Micros, Snapshot, Violation};
use evidence::Evidence;

/// How long after the client lost a request the log may still accept it: the ingress's deadline is 45 s after it read
/// the request, and it may have been frozen for some seconds before.
pub(super) const ACCEPTED_WITHIN: Micros = 60_000_000;

/// How long after the client lost a request it may still change `active`: what is held for more than 2 s changes nothing
/// that was asked for since it came (`protocol/src/access.rs`), and it had come when its client gave up. The
/// rest is for what a clock's measurement may be wrong by.
pub(super) const ACCESS_WITHIN: Micros = 3_000_000;

/// No end in sight.
const NEVER: Micros = Micros::MAX;

/// Names every promise that the history, or the state at rest after it, shows broken. Empty: nothing contradicts an order
/// in which each acknowledged write took effect once and for all.
pub(crate) fn verify(history: &History, snapshot: &Snapshot) -> Vec<Violation> {
    let evidence = Evidence::of(history, snapshot);
    let mut violations = answers::judge(&evidence);
    violations.extend(existence::judge(&evidence));
    violations.extend(names::judge(&evidence));
    violations.extend(register::judge(&evidence));
    violations.extend(switch::judge(&evidence));
    violations.extend(members::judge(&evidence));
    violations.extend(versions::judge(&evidence));
    violations.extend(rest::judge(&evidence));
    violations
}
