//! Commands against resources: what is written, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::{Expect, expect};
use protocol::access::Verdict;
use protocol::decide::{Change, Lookup, claimed_names, decide, named_members};
use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::ownership::{OwnershipPolicy, Source};
use protocol::scim::body::ResourceBody;
use protocol::scim::error::ScimError;
use protocol::scim::members::MemberDelta;
use protocol::scim::name::CanonicalName;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::{Resource, Version};
use protocol::scim::resource_type::ResourceType;

use crate::values::{CREATED, NOW, body, envelope, id, json, patch, resource, shown};

/// Other rows, as values. The command's resource is `id(1)`.
#[derive(Default)]
struct Rows {
    names: BTreeMap<CanonicalName, ResourceId>,
    members: BTreeSet<ResourceId>,
}

impl Lookup for Rows {
    fn holder(&self, _: ResourceType, name: &CanonicalName) -> Option<ResourceId> {
        self.names.get(name).copied()
    }

    fn member_count(&self, _: ResourceId) -> u64 {
        self.members.len() as u64
    }

    fn is_member(&self, _: ResourceId, member: ResourceId) -> bool {
        self.members.contains(&member)
    }
}

fn holding(name: &str, holder: ResourceId) -> Rows {
    Rows { names: BTreeMap::from([(CanonicalName::of(name), holder)]), members: BTreeSet::new() }
}

fn with_members(members: &[u32]) -> Rows {
    Rows { names: BTreeMap::new(), members: members.iter().copied().map(id).collect() }
}

fn user() -> Resource {
    resource(ResourceType::User, id(1), r#"{"userName":"alice","active":false,"title":"Boss"}"#)
}

fn group() -> Resource {
    resource(ResourceType::Group, id(1), r#"{"displayName":"Staff"}"#)
}

fn run(
    current: Option<&Resource>,
    resource_type: ResourceType,
    command: Command,
    rows: &Rows,
) -> Result<Change, ScimError> {
    heard(Verdict::Counts, current, resource_type, command, rows)
}

fn heard(
    verdict: Verdict,
    current: Option<&Resource>,
    resource_type: ResourceType,
    command: Command,
    rows: &Rows,
) -> Result<Change, ScimError> {
    let envelope = envelope(resource_type, Source::IdentityProvider, command);
    decide(current, &envelope, rows, &OwnershipPolicy::default(), verdict, NOW)
}

fn create(resource_type: ResourceType, sent: &str) -> Command {
    let ResourceBody { attributes, members } = body(resource_type, json(sent)).unwrap();
    Command::Create { attributes, members }
}

fn replace(resource_type: ResourceType, sent: &str) -> Command {
    let ResourceBody { attributes, members } = body(resource_type, json(sent)).unwrap();
    Command::Replace { attributes, members, precondition: Precondition::None }
}

fn patching(resource_type: ResourceType, operations: &str) -> Command {
    Command::Patch { request: patch(resource_type, operations).unwrap(), precondition: Precondition::None }
}

fn check(result: &Result<Change, ScimError>, expected: &Expect) {
    let members =
        |edit: &MemberDelta| format!("clear {} remove {} add {}", edit.clear, edit.remove.len(), edit.add.len());
    let text = match result {
        Ok(Change::Create { resource, members: edit } | Change::Update { resource, members: edit }) => {
            let attributes = serde_json::to_string(resource.attributes.as_map()).unwrap();
            format!("{} {attributes} {}", resource.meta.version, members(edit))
        }
        Ok(Change::Unchanged) => "unchanged".to_owned(),
        Ok(Change::Delete) => "delete".to_owned(),
        Ok(Change::Superseded) => "superseded".to_owned(),
        Err(error) => shown(error),
    };
    expected.assert_eq(&text);
}

#[test]
fn a_new_user_is_active_unless_said_otherwise() {
    let rows = Rows::default();
    check(
        &run(None, ResourceType::User, create(ResourceType::User, r#"{"userName":"a"}"#), &rows),
        &expect![[r#"W/"1" {"active":true,"userName":"a"} clear false remove 0 add 0"#]],
    );
    let inactive = create(ResourceType::User, r#"{"userName":"a","active":false}"#);
    check(
        &run(None, ResourceType::User, inactive, &rows),
        &expect![[r#"W/"1" {"active":false,"userName":"a"} clear false remove 0 add 0"#]],
    );
}

#[test]
fn a_command_whose_word_on_access_does_not_count_changes_everything_else() {
    let (rows, alice) = (Rows::default(), user());
    let both = || patching(ResourceType::User, r#"[{"op":"replace","value":{"active":true,"title":"Chief"}}]"#);
    for verdict in [Verdict::Yields, Verdict::Older] {
        check(
            &heard(verdict, Some(&alice), ResourceType::User, both(), &rows),
            &expect![[r#"W/"2" {"active":false,"title":"Chief","userName":"alice"} clear false remove 0 add 0"#]],
        );
    }
    let fenced =
        heard(Verdict::Older, None, ResourceType::User, create(ResourceType::User, r#"{"userName":"a"}"#), &rows);
    check(&fenced, &expect![[r#"W/"1" {"active":false,"userName":"a"} clear false remove 0 add 0"#]]);
}

#[test]
fn a_held_command_that_says_nothing_but_access_is_superseded() {
    let (rows, alice) = (Rows::default(), user());
    let say = |active: bool| {
        patching(ResourceType::User, &format!(r#"[{{"op":"replace","path":"active","value":{active}}}]"#))
    };
    let delete = || Command::Delete { precondition: Precondition::None };
    let check = |verdict, command, expected: Expect| {
        check(&heard(verdict, Some(&alice), ResourceType::User, command, &rows), &expected);
    };
    check(Verdict::Yields, say(true), expect!["superseded"]);
    check(Verdict::Yields, say(false), expect!["unchanged"]);
    check(Verdict::Older, say(true), expect!["unchanged"]);
    check(Verdict::Yields, delete(), expect!["superseded"]);
    check(Verdict::Older, delete(), expect!["delete"]);
}

#[test]
fn a_new_resource_has_the_envelopes_id_and_the_present_time() {
    let body = format!(r#"{{"displayName":"g","members":[{{"value":"{}"}}]}}"#, id(2));
    let change = run(None, ResourceType::Group, create(ResourceType::Group, &body), &Rows::default()).unwrap();
    let Change::Create { resource, members } = change else { panic!("{change:?}") };
    assert_eq!((resource.id, resource.meta.version), (id(1), Version::FIRST));
    assert_eq!((resource.meta.created, resource.meta.last_modified), (NOW, NOW));
    assert_eq!(members, MemberDelta { add: BTreeSet::from([id(2)]), ..MemberDelta::default() });
    assert!(resource.members.is_none() && !resource.attributes.as_map().contains_key("members"));
}

#[test]
fn a_taken_name_is_refused_in_any_letter_case() {
    let taken = holding("ALICE", id(9));
    check(
        &run(None, ResourceType::User, create(ResourceType::User, r#"{"userName":"alice"}"#), &taken),
        &expect!["409 uniqueness: another resource has this userName already; values of userName are unique"],
    );
    let rename = patching(ResourceType::User, r#"[{"op":"replace","path":"userName","value":"Alice"}]"#);
    check(
        &run(Some(&user()), ResourceType::User, rename, &taken),
        &expect!["409 uniqueness: another resource has this userName already; values of userName are unique"],
    );
    let existing = create(ResourceType::User, r#"{"userName":"b"}"#);
    check(
        &run(Some(&user()), ResourceType::User, existing, &Rows::default()),
        &expect!["409 uniqueness: another resource has this id already; values of id are unique"],
    );
}

#[test]
fn a_resource_may_keep_its_own_name_in_another_letter_case() {
    let rename = patching(ResourceType::User, r#"[{"op":"replace","path":"userName","value":"ALICE"}]"#);
    check(
        &run(Some(&user()), ResourceType::User, rename, &holding("alice", id(1))),
        &expect![[r#"W/"2" {"active":false,"title":"Boss","userName":"ALICE"} clear false remove 0 add 0"#]],
    );
}

#[test]
fn a_replace_removes_what_it_leaves_out_but_never_revives() {
    let body = replace(ResourceType::User, r#"{"userName":"alice"}"#);
    check(
        &run(Some(&user()), ResourceType::User, body, &Rows::default()),
        &expect![[r#"W/"2" {"active":false,"userName":"alice"} clear false remove 0 add 0"#]],
    );
    let body = replace(ResourceType::User, r#"{"userName":"alice","title":"Boss"}"#);
    check(&run(Some(&user()), ResourceType::User, body, &Rows::default()), &expect!["unchanged"]);
    let removed = patching(ResourceType::User, r#"[{"op":"remove","path":"active"}]"#);
    check(&run(Some(&user()), ResourceType::User, removed, &Rows::default()), &expect!["unchanged"]);
}

#[test]
fn a_change_raises_the_version_and_keeps_the_creation_time() {
    let command = patching(ResourceType::User, r#"[{"op":"add","path":"active","value":true}]"#);
    let change = run(Some(&user()), ResourceType::User, command, &Rows::default()).unwrap();
    let Change::Update { resource, .. } = change else { panic!("{change:?}") };
    assert_eq!(resource.meta.version, Version::FIRST.next());
    assert_eq!((resource.meta.created, resource.meta.last_modified), (CREATED, NOW));
}

#[test]
fn what_is_not_there_is_not_found() {
    let none = Precondition::None;
    for command in [
        replace(ResourceType::User, r#"{"userName":"a"}"#),
        patching(ResourceType::User, r#"[{"op":"remove","path":"title"}]"#),
        Command::Delete { precondition: none },
    ] {
        assert_eq!(run(None, ResourceType::User, command, &Rows::default()), Err(ScimError::not_found()));
    }
}

#[test]
fn a_precondition_names_versions() {
    let delete =
        |precondition| run(Some(&user()), ResourceType::User, Command::Delete { precondition }, &Rows::default());
    assert_eq!(delete(Precondition::Exists), Ok(Change::Delete));
    assert_eq!(delete(Precondition::IfMatch(vec![Version::FIRST.next(), Version::FIRST])), Ok(Change::Delete));
    assert_eq!(delete(Precondition::IfMatch(vec![Version::FIRST.next()])), Err(ScimError::precondition_failed()));
}

#[test]
fn members_change_only_where_they_differ() {
    let two = patching(
        ResourceType::Group,
        &format!(r#"[{{"op":"add","path":"members","value":["{}","{}"]}}]"#, id(2), id(3)),
    );
    check(&run(Some(&group()), ResourceType::Group, two.clone(), &with_members(&[2, 3])), &expect!["unchanged"]);
    check(
        &run(Some(&group()), ResourceType::Group, two, &with_members(&[2])),
        &expect![[r#"W/"2" {"displayName":"Staff"} clear false remove 0 add 1"#]],
    );
    let body = format!(r#"{{"displayName":"Staff","members":["{}","{}"]}}"#, id(2), id(3));
    let whole = replace(ResourceType::Group, &body);
    check(&run(Some(&group()), ResourceType::Group, whole.clone(), &with_members(&[2, 3])), &expect!["unchanged"]);
    check(
        &run(Some(&group()), ResourceType::Group, whole.clone(), &with_members(&[2])),
        &expect![[r#"W/"2" {"displayName":"Staff"} clear false remove 0 add 1"#]],
    );
    check(
        &run(Some(&group()), ResourceType::Group, whole, &with_members(&[2, 4])),
        &expect![[r#"W/"2" {"displayName":"Staff"} clear true remove 0 add 2"#]],
    );
    let none = replace(ResourceType::Group, r#"{"displayName":"Staff"}"#);
    check(
        &run(Some(&group()), ResourceType::Group, none.clone(), &with_members(&[2])),
        &expect![[r#"W/"2" {"displayName":"Staff"} clear true remove 0 add 0"#]],
    );
    check(&run(Some(&group()), ResourceType::Group, none, &with_members(&[])), &expect!["unchanged"]);
    let gone =
        patching(ResourceType::Group, &format!(r#"[{{"op":"remove","path":"members[value eq \"{}\"]"}}]"#, id(2)));
    check(
        &run(Some(&group()), ResourceType::Group, gone.clone(), &with_members(&[2])),
        &expect![[r#"W/"2" {"displayName":"Staff"} clear false remove 1 add 0"#]],
    );
    check(&run(Some(&group()), ResourceType::Group, gone, &with_members(&[3])), &expect!["unchanged"]);
}

#[test]
fn a_group_does_not_contain_itself() {
    let itself = patching(ResourceType::Group, &format!(r#"[{{"op":"add","path":"members","value":["{}"]}}]"#, id(1)));
    check(
        &run(Some(&group()), ResourceType::Group, itself, &Rows::default()),
        &expect!["400 invalidValue: a group cannot be a member of itself"],
    );
}

#[test]
fn names_and_members_to_look_up_are_known_beforehand() {
    let renames = r#"[{"op":"replace","value":{"USERNAME":"Bob"}},{"op":"replace","path":"userName","value":"carol"}]"#;
    let names = claimed_names(ResourceType::User, &patching(ResourceType::User, renames));
    assert_eq!(names, [CanonicalName::of("bob"), CanonicalName::of("carol")]);
    let body = create(ResourceType::Group, r#"{"displayName":"Staff"}"#);
    assert_eq!(claimed_names(ResourceType::Group, &body), [CanonicalName::of("staff")]);
    let members = format!(
        r#"[{{"op":"add","path":"members","value":["{}"]}},{{"op":"remove","path":"members[value eq \"{}\"]"}}]"#,
        id(2),
        id(3)
    );
    let looked_up = named_members(ResourceType::Group, &patching(ResourceType::Group, &members));
    assert_eq!(looked_up, BTreeSet::from([id(2), id(3)]));
}
