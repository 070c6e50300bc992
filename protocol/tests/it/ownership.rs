//! Who may write what: a timezone that a person has chosen stays, whatever the provider sends and however it spells it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use protocol::access::Verdict;
use protocol::decide::{Change, Lookup, decide};
use protocol::id::ResourceId;
use protocol::message::command::Command;
use protocol::ownership::{OwnershipPolicy, Source};
use protocol::scim::attributes::Attributes;
use protocol::scim::error::ScimError;
use protocol::scim::name::CanonicalName;
use protocol::scim::precondition::Precondition;
use protocol::scim::resource::Resource;
use protocol::scim::resource_type::ResourceType;

use crate::values::{NOW, envelope, id, json, patch, resource};

struct Nobody;

impl Lookup for Nobody {
    fn holder(&self, _: ResourceType, _: &CanonicalName) -> Option<ResourceId> {
        None
    }

    fn member_count(&self, _: ResourceId) -> u64 {
        0
    }

    fn is_member(&self, _: ResourceId, _: ResourceId) -> bool {
        false
    }
}

fn apply(current: &Resource, source: Source, body: Command) -> Result<Change, ScimError> {
    decide(
        Some(current),
        &envelope(ResourceType::User, source, body),
        &Nobody,
        &OwnershipPolicy::default(),
        Verdict::Counts,
        NOW,
    )
}

fn patching(operations: &str) -> Command {
    Command::Patch { request: patch(ResourceType::User, operations).unwrap(), precondition: Precondition::None }
}

/// The user after the change.
fn after(current: &Resource, source: Source, body: Command) -> Resource {
    match apply(current, source, body).unwrap() {
        Change::Update { resource, .. } => resource,
        Change::Unchanged => current.clone(),
        other => panic!("{other:?}"),
    }
}

fn provided() -> Resource {
    resource(
        ResourceType::User,
        id(1),
        r#"{"userName":"alice","active":true,"timezone":"Europe/Paris","title":"Boss"}"#,
    )
}

/// The person has chosen a timezone.
fn chosen(zone: &str) -> Resource {
    let operations = format!(r#"[{{"op":"replace","path":"timezone","value":"{zone}"}}]"#);
    after(&provided(), Source::Application, patching(&operations))
}

#[test]
fn the_providers_timezone_is_the_default() {
    let operations = r#"[{"op":"replace","path":"timezone","value":"Asia/Tokyo"}]"#;
    let user = after(&provided(), Source::IdentityProvider, patching(operations));
    assert_eq!(user.attributes.string("timezone"), Some("Asia/Tokyo"));
    assert!(user.ownership.is_empty());
}

#[test]
fn a_chosen_timezone_stays_and_the_rest_follows_the_provider() {
    let user = chosen("America/Lima");
    assert!(user.ownership.contains("timezone"));
    let both = r#"[{"op":"replace","value":{"timezone":"Asia/Tokyo","title":"CEO"}}]"#;
    let user = after(&user, Source::IdentityProvider, patching(both));
    assert_eq!(user.attributes.string("timezone"), Some("America/Lima"));
    assert_eq!(user.attributes.string("title"), Some("CEO"));
    assert!(user.ownership.contains("timezone"));
}

#[test]
fn choosing_the_providers_value_is_a_choice_too() {
    let user = chosen("Europe/Paris");
    assert!(user.ownership.contains("timezone"));
    let operations = r#"[{"op":"replace","path":"timezone","value":"Asia/Tokyo"}]"#;
    assert_eq!(apply(&user, Source::IdentityProvider, patching(operations)), Ok(Change::Unchanged));
}

#[test]
fn a_choice_of_no_timezone_stays() {
    let user = after(&provided(), Source::Application, patching(r#"[{"op":"remove","path":"timezone"}]"#));
    let operations = r#"[{"op":"add","path":"timezone","value":"Asia/Tokyo"}]"#;
    assert_eq!(apply(&user, Source::IdentityProvider, patching(operations)), Ok(Change::Unchanged));
}

#[test]
fn the_product_writes_nothing_else() {
    let status = |body| apply(&provided(), Source::Application, body).map_err(|error| error.status);
    assert_eq!(status(patching(r#"[{"op":"replace","path":"title","value":"CEO"}]"#)), Err(403));
    assert_eq!(status(patching(r#"[{"op":"replace","path":"title","value":"Boss"}]"#)), Err(403));
    assert_eq!(status(patching(r#"[{"op":"add","value":{"timezone":"UTC","active":false}}]"#)), Err(403));
    assert_eq!(status(Command::Delete { precondition: Precondition::None }), Err(403));
    let attributes = provided().attributes;
    assert_eq!(
        status(Command::Replace { attributes, members: BTreeSet::new(), precondition: Precondition::None }),
        Err(403)
    );
}

/// `timezone` in any letter case, bare or with its schema's URN.
fn spelling() -> impl Strategy<Value = String> {
    let cased = prop::collection::vec(any::<bool>(), 8).prop_map(|upper| {
        let letters = "timezone".chars().zip(upper);
        letters.map(|(letter, upper)| if upper { letter.to_ascii_uppercase() } else { letter }).collect::<String>()
    });
    let prefix = "(|urn:ietf:params:scim:schemas:core:2\\.0:User:|URN:ietf:params:scim:schemas:CORE:2\\.0:user:)";
    (prefix, cased).prop_map(|(prefix, name)| prefix + &name)
}

/// What a provider may send to change a timezone: PUT, PATCH with a path, PATCH without.
fn attempt() -> impl Strategy<Value = Command> {
    let value = "(\"[A-Z][a-z]{2,8}/[A-Z][a-z]{2,8}\"|null|\"\")";
    let put = (spelling(), value).prop_map(|(name, value)| {
        let body = format!(r#"{{"userName":"alice","active":true,"title":"Boss","{name}":{value}}}"#);
        let attributes = Attributes::parse(ResourceType::User, json(&body)).unwrap();
        Command::Replace { attributes, members: BTreeSet::new(), precondition: Precondition::None }
    });
    let with_path = ("(add|Replace|REMOVE)", spelling(), value)
        .prop_map(|(op, path, value)| patching(&format!(r#"[{{"op":"{op}","path":"{path}","value":{value}}}]"#)));
    let without_path = ("(add|Replace)", spelling(), value).prop_map(|(op, name, value)| {
        patching(&format!(r#"[{{"op":"{op}","value":{{"{name}":{value},"title":"Boss"}}}}]"#))
    });
    let core = ("(add|Replace)", spelling(), value).prop_map(|(op, name, value)| {
        let path = "urn:ietf:params:scim:schemas:core:2.0:User";
        patching(&format!(r#"[{{"op":"{op}","path":"{path}","value":{{"{name}":{value}}}}}]"#))
    });
    prop_oneof![put, with_path, without_path, core]
}

proptest! {
    #[test]
    fn no_spelling_and_no_path_overwrites_a_chosen_timezone(attempts in prop::collection::vec(attempt(), 1..4)) {
        let user = chosen("America/Lima");
        for attempt in attempts {
            prop_assert_eq!(apply(&user, Source::IdentityProvider, attempt), Ok(Change::Unchanged));
        }
    }

    #[test]
    fn each_of_these_would_change_one_that_is_not_chosen(name in spelling()) {
        let operations = format!(r#"[{{"op":"replace","value":{{"{name}":"Asia/Tokyo"}}}}]"#);
        let user = after(&provided(), Source::IdentityProvider, patching(&operations));
        prop_assert_eq!(user.attributes.string("timezone"), Some("Asia/Tokyo"));
    }
}
