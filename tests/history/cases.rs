//! What the judge says about histories of a few attempts: what is proven, and what is not.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Attempt, Attribute, GroupSight, History, Kind, Micros, Operation, Outcome, Sight, Snapshot, UserSight, verify,
};

const SECOND: Micros = 1_000_000;

#[test]
fn an_unanswered_write_may_surface_after_a_later_one() {
    let mut story = Story::begin();
    story.unanswered(2, 3, title("old"));
    story.ok(4, 5, title("new"));
    story.read(6, 7, "new", true);
    check(&story.end("old", true), &[]);
}

#[test]
fn an_unanswered_write_that_was_seen_does_not_surface_again() {
    let mut story = Story::begin();
    story.unanswered(2, 3, title("old"));
    story.read(4, 5, "old", true);
    story.ok(6, 7, title("new"));
    check(&story.end("old", true), &[Kind::LostWrite]);
}

#[test]
fn an_unanswered_write_does_not_surface_after_its_deadline() {
    let mut story = Story::begin();
    story.unanswered(2, 3, title("old"));
    story.ok(64, 65, title("new"));
    check(&story.clone().end("old", true), &[Kind::LostWrite]);
    story.read(66, 67, "new", true);
    check(&story.end("old", true), &[Kind::Reordered]);
}

#[test]
fn a_pending_write_may_surface_at_any_time() {
    let mut story = Story::begin();
    story.pending(2, title("old"));
    story.ok(100, 101, title("new"));
    check(&story.end("old", true), &[]);
}

#[test]
fn of_two_writes_at_the_same_time_either_may_win_but_not_both() {
    let mut story = Story::begin();
    story.ok(2, 9, title("one"));
    story.ok(2, 9, title("other"));
    check(&story.clone().end("one", true), &[]);
    check(&story.clone().end("other", true), &[]);
    story.read(10, 11, "one", true);
    check(&story.clone().end("one", true), &[]);
    check(&story.end("other", true), &[Kind::StaleRead]);
}

#[test]
fn reads_of_a_write_that_is_still_under_way_do_not_go_back() {
    let mut story = Story::begin();
    story.ok(2, 20, title("new"));
    story.read(4, 5, "new", true);
    story.read(6, 7, "first", true);
    check(&story.end("new", true), &[Kind::StaleRead]);
}

#[test]
fn an_acknowledged_deactivation_without_a_later_reactivation_sticks() {
    let mut story = Story::begin();
    story.ok(2, 3, active(true));
    story.ok(4, 5, active(false));
    check(&story.clone().end("first", false), &[]);
    check(&story.clone().end("first", true), &[Kind::StuckActive]);
    story.unanswered(6, 7, active(true));
    check(&story.end("first", true), &[]);
}

#[test]
fn an_unanswered_reactivation_before_a_deactivation_explains_one_read_and_no_second_deactivation() {
    let mut story = Story::begin();
    story.unanswered(2, 3, active(true));
    story.ok(4, 5, active(false));
    check(&story.clone().end("first", true), &[]);
    story.read(6, 7, "first", true);
    story.ok(8, 9, active(false));
    check(&story.end("first", true), &[Kind::StuckActive]);
}

#[test]
fn an_abandoned_change_of_access_does_not_undo_one_that_began_three_seconds_later() {
    for abandoned in [true, false] {
        let mut story = Story::begin();
        story.ok(1, 2, active(!abandoned));
        story.unanswered(2, 3, active(abandoned));
        story.ok(7, 8, active(!abandoned));
        check(&story.clone().end("first", !abandoned), &[]);
        check(&story.clone().end("first", abandoned), &[if abandoned { Kind::StuckActive } else { Kind::LostWrite }]);
        story.unanswered(9, 10, active(abandoned));
        check(&story.end("first", abandoned), &[]);
    }
}

#[test]
fn a_change_of_access_that_was_held_yields_to_the_contrary_that_came_meanwhile_and_to_nothing_else() {
    let refused = Outcome::Fail { status: Some(409) };
    let mut story = Story::begin();
    story.push(2, Some(9), active(false), refused.clone());
    check(&story.clone().end("first", true), &[Kind::WrongRefusal]);
    let mut same = story.clone();
    same.ok(4, 5, active(false));
    check(&same.end("first", false), &[Kind::WrongRefusal]);
    let mut earlier = Story::begin();
    earlier.ok(1, 2, active(true));
    earlier.push(3, Some(9), active(false), refused.clone());
    check(&earlier.end("first", true), &[Kind::WrongRefusal]);
    let mut quick = Story::begin();
    quick.ok(2, 9, active(true));
    quick.push(3, Some(4), active(false), refused);
    check(&quick.end("first", true), &[Kind::WrongRefusal]);
    story.ok(4, 5, active(true));
    check(&story.end("first", true), &[]);
}

#[test]
fn a_reactivation_yields_where_its_ingress_stood_still_or_the_clock_stepped_and_a_deactivation_never() {
    for wanted in [true, false] {
        for (frozen, stepped, in_doubt) in [(None, None, false), (Some((1, 4)), None, true), (None, Some(1), true)] {
            let mut story = Story::begin();
            story.ok(1, 2, active(!wanted));
            story.push(4, Some(5), active(wanted), Outcome::Fail { status: Some(409) });
            story.0.standstills.extend(frozen.map(|(from, to)| (from * SECOND, to * SECOND)));
            story.0.clock_steps.extend(stepped.map(|at| at * SECOND));
            let wrong: &[Kind] = if in_doubt && wanted { &[] } else { &[Kind::WrongRefusal] };
            check(&story.end("first", !wanted), wrong);
        }
    }
}

#[test]
fn a_deletion_of_which_nobody_heard_explains_inactivity_for_a_short_time() {
    let mut story = Story::begin();
    story.unanswered(1, 2, Operation::DeleteUser { user: "u".to_owned() });
    story.ok(20, 21, active(true));
    check(&story.end("first", false), &[Kind::LostWrite]);
}

#[test]
fn an_abandoned_deactivation_may_count_where_the_clock_stepped_while_it_was_on_its_way() {
    for abandoned in [true, false] {
        let mut story = Story::begin();
        story.ok(1, 2, active(!abandoned));
        story.unanswered(2, 3, active(abandoned));
        story.ok(7, 8, active(!abandoned));
        story.0.clock_steps.push(9 * SECOND);
        let wrong: &[Kind] = if abandoned { &[Kind::StuckActive] } else { &[] };
        check(&story.end("first", abandoned), wrong);
    }
}

#[test]
fn a_deletion_that_is_on_its_way_may_take_access_away_already() {
    let mut story = Story::begin();
    story.ok(1, 2, active(true));
    story.read(4, 5, "first", false);
    check(&story.clone().end("first", true), &[Kind::StaleRead]);
    let mut story = Story::begin();
    story.ok(1, 2, active(true));
    story.push(3, Some(8), Operation::DeleteUser { user: "u".to_owned() }, Outcome::Ok { shown: Vec::new() });
    story.read(4, 5, "first", false);
    check(&story.end_without(), &[]);
}

#[test]
fn an_update_that_was_made_is_not_answered_404() {
    let mut story = Story::begin();
    story.push(2, Some(9), title("new"), Outcome::Fail { status: Some(404) });
    story.read(3, 4, "new", true);
    story.ok(5, 6, Operation::DeleteUser { user: "u".to_owned() });
    check(&story.end_without(), &[Kind::GhostWrite]);
}

#[test]
fn an_answer_shows_nothing_only_if_somebody_deleted_the_resource() {
    let mut story = Story::begin();
    story.push(2, Some(9), title("new"), Outcome::Ok { shown: Vec::new() });
    check(&story.clone().end("new", true), &[Kind::WrongAnswer]);
    story.ok(5, 6, Operation::DeleteUser { user: "u".to_owned() });
    check(&story.end_without(), &[]);
}

#[test]
fn a_member_is_there_until_a_removal_or_the_user_s_deletion() {
    let mut story = Story::begin();
    story.ok(2, 3, Operation::AddMember { group: "g".to_owned(), user: "u".to_owned() });
    story.read_group(4, 5, &[]);
    check(&story.end("first", true), &[Kind::LostMember]);

    let mut story = Story::begin();
    story.ok(2, 3, Operation::AddMember { group: "g".to_owned(), user: "u".to_owned() });
    story.unanswered(3, 4, Operation::DeleteUser { user: "u".to_owned() });
    story.read_group(4, 5, &[]);
    check(&story.end_without(), &[]);
}

#[test]
fn a_deleted_user_is_not_a_member() {
    let mut story = Story::begin();
    story.ok(2, 3, Operation::AddMember { group: "g".to_owned(), user: "u".to_owned() });
    story.ok(3, 4, Operation::DeleteUser { user: "u".to_owned() });
    story.read_group(5, 6, &["u"]);
    check(&story.end_without(), &[Kind::GhostMember]);
}

#[test]
fn nobody_vanishes_without_a_deletion() {
    check(&Story::begin().end_without(), &[Kind::LostWrite]);
    let mut story = Story::begin();
    story.unanswered(2, 3, Operation::DeleteUser { user: "u".to_owned() });
    check(&story.end_without(), &[]);
}

#[test]
fn a_user_of_an_unanswered_create_is_known_by_its_marker() {
    let mut story = Story::begin();
    let values = user("other", true).values;
    let create = Operation::CreateUser { user_name: "bob".to_owned(), marker: "m-b".to_owned(), values };
    story.unanswered(2, 3, create);
    let (history, mut snapshot) = story.end("first", true);
    check(&(history.clone(), snapshot.clone()), &[]);
    let bob =
        UserSight { id: "b".to_owned(), user_name: "bob".to_owned(), marker: "m-b".to_owned(), ..user("other", true) };
    snapshot.listed_users.push(bob.clone());
    snapshot.read_users.insert("b".to_owned(), Some(bob.clone()));
    check(&(history.clone(), snapshot.clone()), &[]);
    let again = UserSight { id: "c".to_owned(), ..bob };
    snapshot.listed_users.push(again.clone());
    snapshot.read_users.insert("c".to_owned(), Some(again));
    check(&(history, snapshot), &[Kind::Doubled]);
}

/// What happens to one user and one group; times are seconds.
#[derive(Debug, Clone)]
struct Story(History);

impl Story {
    /// The user is created with the title "first", and the group without members.
    fn begin() -> Self {
        let mut story = Self(History::default());
        let (user_name, marker) = ("ann".to_owned(), "m".to_owned());
        story.ok(0, 1, Operation::CreateUser { user_name, marker, values: values("first") });
        story.ok(0, 1, Operation::CreateGroup { name: "Team".to_owned(), marker: "m-g".to_owned() });
        story
    }

    fn ok(&mut self, start: u64, end: u64, operation: Operation) {
        let shown = match &operation {
            Operation::CreateUser { .. } => vec![Sight::User(user("first", true))],
            Operation::CreateGroup { .. } => vec![Sight::Group(group(&[]))],
            Operation::UpdateUser { values, .. } => vec![Sight::User(user(&values[&Attribute::Title], true))],
            // The answer need not show what was true at the moment of the effect.
            Operation::SetActive { active, .. } => vec![Sight::User(user("first", *active))],
            _ => Vec::new(),
        };
        self.push(start, Some(end), operation, Outcome::Ok { shown });
    }

    fn unanswered(&mut self, start: u64, end: u64, operation: Operation) {
        self.push(start, Some(end), operation, Outcome::Unknown { status: None, why: "timeout".to_owned() });
    }

    fn pending(&mut self, start: u64, operation: Operation) {
        self.push(start, None, operation, Outcome::Pending);
    }

    fn read(&mut self, start: u64, end: u64, title: &str, active: bool) {
        let shown = vec![Sight::User(user(title, active))];
        self.push(start, Some(end), Operation::ReadUser { user: "u".to_owned() }, Outcome::Ok { shown });
    }

    fn read_group(&mut self, start: u64, end: u64, members: &[&str]) {
        let shown = vec![Sight::Group(group(members))];
        self.push(start, Some(end), Operation::ReadGroup { group: "g".to_owned() }, Outcome::Ok { shown });
    }

    fn push(&mut self, start: u64, end: Option<u64>, operation: Operation, outcome: Outcome) {
        let (start, end) = (start * SECOND, end.map(|end| end * SECOND));
        self.0.attempts.push(Attempt { process: 0, start, end, operation, outcome });
    }

    /// At rest the user is like this; the group's members are what was read last.
    fn end(self, title: &str, active: bool) -> (History, Snapshot) {
        let user = user(title, active);
        let (history, mut snapshot) = self.end_without();
        snapshot.listed_users.push(user.clone());
        snapshot.read_users.insert("u".to_owned(), Some(user));
        (history, snapshot)
    }

    /// At rest the user is gone.
    fn end_without(self) -> (History, Snapshot) {
        let mut groups = self.0.attempts.iter().flat_map(Attempt::shown).filter_map(|sight| match sight {
            Sight::Group(group) => Some(group.clone()),
            Sight::User(_) => None,
        });
        let group = groups.next_back().unwrap();
        let snapshot = Snapshot {
            listed_users: Vec::new(),
            listed_groups: vec![group.clone()],
            read_users: BTreeMap::from([("u".to_owned(), None)]),
            read_groups: BTreeMap::from([("g".to_owned(), Some(group))]),
        };
        (self.0, snapshot)
    }
}

#[track_caller]
fn check((history, snapshot): &(History, Snapshot), expected: &[Kind]) {
    let violations = verify(history, snapshot);
    let kinds: BTreeSet<Kind> = violations.iter().map(|violation| violation.kind).collect();
    assert_eq!(kinds, expected.iter().copied().collect(), "{violations:#?}");
}

fn title(title: &str) -> Operation {
    let values = BTreeMap::from([(Attribute::Title, title.to_owned())]);
    Operation::UpdateUser { user: "u".to_owned(), values }
}

fn active(active: bool) -> Operation {
    Operation::SetActive { user: "u".to_owned(), active }
}

fn values(title: &str) -> super::Values {
    Attribute::ALL.into_iter().map(|attribute| (attribute, title.to_owned())).collect()
}

fn user(title: &str, active: bool) -> UserSight {
    let mut values = values("first");
    values.insert(Attribute::Title, title.to_owned());
    let (id, user_name, marker) = ("u".to_owned(), "ann".to_owned(), "m".to_owned());
    UserSight { id, user_name, marker, values, active, version: None }
}

fn group(members: &[&str]) -> GroupSight {
    let members = members.iter().map(|member| (*member).to_owned()).collect();
    GroupSight { id: "g".to_owned(), name: "Team".to_owned(), marker: "m-g".to_owned(), members }
}
