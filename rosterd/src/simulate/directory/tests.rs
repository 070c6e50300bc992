use serde_json::json;

use super::*;
use crate::simulate::plan::Plan;

/// Two people and a group with both, all there.
fn agreeing() -> (Expected, Observed) {
    let plan = Plan::new(1, 2, 1);
    let mut expected = Expected::default();
    for (index, joiner) in plan.joiners.iter().enumerate() {
        expected.created(format!("u{index}"), Record::of_person(&joiner.person));
    }
    expected.created("g".to_owned(), Record::of_team(&plan.teams[0]));
    expected.members.insert("g".to_owned(), BTreeSet::from(["u0".to_owned(), "u1".to_owned()]));
    let observed = Observed {
        records: expected.records.clone().into_iter().collect(),
        members: BTreeMap::from([("g".to_owned(), vec!["u1".to_owned(), "u0".to_owned()])]),
        still_there: Vec::new(),
    };
    (expected, observed)
}

fn lines(expected: &Expected, observed: &Observed) -> Vec<String> {
    compare(expected, observed).iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_differs_when_all_is_as_acknowledged() {
    let (expected, observed) = agreeing();
    assert_eq!(compare(&expected, &observed), []);
}

#[test]
fn a_missing_person_is_found() {
    let (expected, mut observed) = agreeing();
    observed.records.retain(|(id, _)| id != "u1");
    assert_eq!(lines(&expected, &observed), ["user Person.1@r1.example.com (u1) is missing"]);
}

#[test]
fn a_person_listed_twice_is_found() {
    let (expected, mut observed) = agreeing();
    let again = observed.records.iter().find(|(id, _)| id == "u0").unwrap().clone();
    observed.records.push(again);
    let found = lines(&expected, &observed);
    assert_eq!(found[0], "user r1-u0 is there 2 times: u0, u0");
    assert_eq!(found[1], "user person.0@r1.example.com is there 2 times: u0, u0");
}

#[test]
fn a_second_resource_of_the_same_name_in_other_letters_is_doubled_and_unexpected() {
    let (expected, mut observed) = agreeing();
    let mut double = observed.records.iter().find(|(id, _)| id == "u0").unwrap().1.clone();
    double.attributes.insert("userName", "PERSON.0@r1.example.com".to_owned());
    double.attributes.remove("externalId");
    observed.records.push(("u9".to_owned(), double));
    assert_eq!(
        lines(&expected, &observed),
        ["user person.0@r1.example.com is there 2 times: u0, u9", "user PERSON.0@r1.example.com (u9) is unexpected"]
    );
}

#[test]
fn a_changed_value_and_a_lost_value_are_found() {
    let (expected, mut observed) = agreeing();
    let (_, record) = observed.records.iter_mut().find(|(id, _)| id == "u0").unwrap();
    record.attributes.insert("active", "false".to_owned());
    record.attributes.remove("timezone");
    let found = lines(&expected, &observed);
    assert_eq!(found[0], "user u0: active is \"false\", expected \"true\"");
    assert!(found[1].starts_with("user u0: timezone is nothing, expected "), "{found:?}");
}

#[test]
fn missing_unexpected_and_doubled_members_are_found() {
    let (expected, mut observed) = agreeing();
    observed.members.insert("g".to_owned(), ["u0", "u0", "u7"].map(str::to_owned).to_vec());
    assert_eq!(
        lines(&expected, &observed),
        ["group g: member u1 is missing", "group g: member u0 is listed twice", "group g: member u7 is unexpected"]
    );
}

#[test]
fn who_is_deleted_must_be_gone_from_lists_groups_and_by_id() {
    let (mut expected, mut observed) = agreeing();
    expected.changed("u1", &Change::Delete);
    observed.still_there.push("u1".to_owned());
    assert_eq!(
        lines(&expected, &observed),
        [
            "user Person.1@r1.example.com (u1) is unexpected",
            "group g: member u1 is unexpected",
            "u1 was deleted and is still there"
        ]
    );
}

#[test]
fn an_update_keeps_whether_a_person_is_active() {
    let (mut expected, _) = agreeing();
    let mut person = Plan::new(1, 1, 0).joiners[0].person.clone();
    person.title = "Chief".to_owned();
    expected.changed("u0", &Change::SetActive(false));
    expected.changed("u0", &Change::Update(Box::new(person)));
    assert_eq!(expected.records["u0"].attributes["active"], "false");
    assert_eq!(expected.records["u0"].attributes["title"], "Chief");
}

#[test]
fn what_became_of_a_failed_operation_is_not_a_second_error() {
    let (mut expected, mut observed) = agreeing();
    expected.unsure.insert("r1-u1".to_owned());
    observed.records.retain(|(id, _)| id != "u1");
    observed.members.insert("g".to_owned(), vec!["u0".to_owned()]);
    assert_eq!(compare(&expected, &observed), []);
}

#[test]
fn a_resource_is_read_as_it_was_written() {
    let person = &Plan::new(1, 2, 0).joiners[1].person;
    let body = super::super::dialect::create_user(person);
    assert_eq!(Record::read(Kind::User, &body), Record::of_person(person));
    let absent = Record::read(Kind::Group, &json!({ "displayName": "A" }));
    assert_eq!(absent.attributes, BTreeMap::from([("displayName", "A".to_owned())]));
}
