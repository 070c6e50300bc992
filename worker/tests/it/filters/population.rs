//! The people and groups that filters choose from.

use protocol::message::command::Command;
use protocol::scim::attributes::Attributes;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::{AttributeDefinition, ExtensionJson, Extensions, Kind, Mutability};
use serde_json::{Map, Value, json};

use super::dice::Dice;
use crate::log::{Log, group, user};
use crate::test_database::{TestDatabase, statuses};

pub(super) const BASE_URL: &str = "https://scim.example.com/scim/v2/acme";
pub(super) const USERS: usize = 24;
pub(super) const GROUPS: usize = 12;
const URN: &str = "urn:acme:scim:schemas:extension:2.0:User";

/// Texts that databases compare each in its own way: letter case, accents, wildcards, quotes, length, order.
pub(super) const TEXTS: [&str; 24] = [
    "",
    "a",
    "A",
    "ab",
    "Ab",
    "aB%",
    "a_b",
    "%",
    "_",
    "ä",
    "Ä",
    "a\u{308}",
    "Straße",
    "STRASSE",
    "\u{130}",
    "'",
    "\"",
    "\\",
    "a\nb",
    "x?",
    "$1",
    "zz zz",
    "\u{1f600}",
    "Ünïcödé and a long tail that goes on",
];

/// A schema of the workspace's own, with every kind of value.
pub(super) fn extensions() -> Extensions {
    let schema: ExtensionJson = serde_json::from_value(json!({ "resource_type": "User", "schema": { "id": URN, "attributes": [
        { "name": "badge", "caseExact": true }, { "name": "nick" },
        { "name": "floor", "type": "integer" }, { "name": "share", "type": "decimal" },
        { "name": "hiredAt", "type": "dateTime" }, { "name": "remote", "type": "boolean" },
        { "name": "tags", "multiValued": true }, { "name": "codes", "type": "integer", "multiValued": true },
        { "name": "desk", "type": "complex", "subAttributes": [{ "name": "value" }, { "name": "since", "type": "dateTime" }, { "name": "marks", "multiValued": true }] },
        { "name": "keys", "type": "complex", "multiValued": true, "subAttributes": [
            { "name": "value", "caseExact": true }, { "name": "level", "type": "integer" }, { "name": "marks", "multiValued": true },
            { "name": "primary", "type": "boolean" },
        ] },
    ] } }))
    .unwrap();
    schema.check().unwrap();
    Extensions::from(vec![schema])
}

/// Fills the workspace, and another one with the same.
pub(super) async fn fill(db: &TestDatabase) {
    for (workspace, first) in [("acme", 1), ("umbrella", 10_000)] {
        let (mut dice, mut log) = (Dice::of(7643), Log::from(workspace, first));
        let mut batch = Vec::new();
        for n in 0..USERS {
            let at = u128::try_from(n).unwrap() + u128::from(first);
            batch.push(log.user(at, Command::Create { attributes: person(&mut dice, n) }));
        }
        for n in 0..GROUPS {
            let at = u128::try_from(n).unwrap() + u128::from(first);
            batch.push(log.group(at, Command::Create { attributes: team(&mut dice, n, u128::from(first)) }));
        }
        for accepted in &mut batch {
            accepted.envelope.extensions = extensions();
        }
        assert!(statuses(&db.apply(&batch).await).iter().all(|status| *status == 201));
    }
}

fn person(dice: &mut Dice, n: usize) -> Attributes {
    let schema = extensions().of(ResourceType::User);
    let mut body = some_of(dice, ResourceType::User.schema().attributes);
    body.insert("userName".to_owned(), format!("{}{n}", dice.pick(&TEXTS)).into());
    if dice.one_in(2) {
        body.insert("externalId".to_owned(), (*dice.pick(&TEXTS)).into());
    }
    for extension in schema.extensions() {
        if dice.one_in(2) {
            body.insert(extension.id.to_owned(), some_of(dice, extension.attributes).into());
        }
    }
    Attributes::parse(schema, body.into()).unwrap()
}

fn team(dice: &mut Dice, n: usize, first: u128) -> Attributes {
    let mut members = Vec::new();
    for _ in 0..dice.below(5) {
        let users = u128::try_from(dice.below(USERS + 5)).unwrap() + first;
        let groups = u128::try_from(dice.below(GROUPS + 2)).unwrap() + first;
        let own = u128::try_from(n).unwrap() + first;
        // Some are not there; a group is a member now and then, but never of itself.
        let member = if dice.one_in(4) && groups != own { group(groups) } else { user(users) };
        members.push(json!({ "value": member }));
    }
    let external = if dice.one_in(2) { json!(dice.pick(&TEXTS)) } else { Value::Null };
    let body =
        json!({ "displayName": format!("{}{n}", dice.pick(&TEXTS)), "members": members, "externalId": external });
    Attributes::parse(ResourceType::Group, body).unwrap()
}

fn some_of(dice: &mut Dice, definitions: &[AttributeDefinition]) -> Map<String, Value> {
    let writable = definitions.iter().filter(|definition| definition.mutability == Mutability::ReadWrite);
    let mut some = Map::new();
    for definition in writable {
        if dice.one_in(3) {
            some.insert(definition.name.to_owned(), value(dice, definition));
        }
    }
    some
}

fn value(dice: &mut Dice, definition: &AttributeDefinition) -> Value {
    if !definition.multi_valued {
        return single(dice, definition);
    }
    let mut primary = false;
    let mut values = Vec::new();
    for _ in 0..=dice.below(3) {
        let mut value = single(dice, definition);
        // At most one may be the primary one (RFC 7643 §2.4).
        if value.get("primary") == Some(&Value::Bool(true)) && std::mem::replace(&mut primary, true) {
            value["primary"] = Value::Bool(false);
        }
        values.push(value);
    }
    values.into()
}

fn single(dice: &mut Dice, definition: &AttributeDefinition) -> Value {
    match definition.kind {
        Kind::Complex => some_of(dice, definition.sub_attributes).into(),
        kind => simple(dice, kind),
    }
}

/// A value of a kind that has no parts.
pub(super) fn simple(dice: &mut Dice, kind: Kind) -> Value {
    match kind {
        Kind::Boolean => dice.one_in(2).into(),
        Kind::Integer => (*dice.pick(&[-7_i64, 0, 7, 70, 9_007_199_254_740_993])).into(),
        Kind::Decimal => (*dice.pick(&[-0.5_f64, 0.0, 0.1, 7.0, 1e300, 1e-300])).into(),
        Kind::DateTime => (*dice.pick(&[
            "2026-01-31T08:00:00Z",
            "2026-01-31T09:00:00.000+01:00",
            "2026-01-31T08:00:00.001Z",
            "1969-12-31T23:59:59Z",
        ]))
        .into(),
        Kind::Binary => (*dice.pick(&["", "QQ==", "qq==", "Qk0="])).into(),
        Kind::String | Kind::Reference | Kind::Complex => (*dice.pick(&TEXTS)).into(),
    }
}
