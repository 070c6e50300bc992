//! Bodies: what a client could mean, changed until it means something else, or nothing.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use super::filter;
use super::request::{Known, id, pick};
use crate::harness::scim::{group, patch, user};

/// Above every limit of a user's body.
const TOO_LARGE: usize = 3 * 1024 * 1024;

const NAMES: [&str; 14] = [
    "userName",
    "USERNAME",
    "displayName",
    "name",
    "emails",
    "members",
    "active",
    "id",
    "meta",
    "schemas",
    "Operations",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "nothing",
    "",
];

/// A body for a request of this method to this path.
pub(super) fn body(method: &str, path: &str, known: &Known, random: &mut StdRng) -> Vec<u8> {
    match random.random_range(0..100) {
        0 => return vec![b'['; random.random_range(1..100_000)],
        1 => return format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000)).into_bytes(),
        2 => return json!({ "userName": "large", "title": "x".repeat(TOO_LARGE) }).to_string().into_bytes(),
        3 => return (0..random.random_range(0..500)).map(|_| random.random()).collect(),
        4 => return Vec::new(),
        5 => return numbers(random).into_bytes(),
        _ => {}
    }
    let mut value = valid(method, path, known, random);
    if random.random_bool(0.3) {
        return value.to_string().into_bytes();
    }
    while random.random_bool(0.5) {
        change(&mut value, random);
    }
    let mut bytes = spelled(&value.to_string(), random).into_bytes();
    while random.random_bool(0.08) && !bytes.is_empty() {
        let place = random.random_range(0..bytes.len());
        match random.random_range(0..3) {
            0 => bytes.truncate(place),
            1 => bytes[place] = random.random(),
            _ => bytes.insert(place, pick(b"{}[]\",:\\\0\xff ", random)),
        }
    }
    bytes
}

/// What a number of JSON can be at the worst.
fn numbers(random: &mut StdRng) -> String {
    let numbers = ["1e400", "-1e400", "99999999999999999999999999999999", "-0", "1E-999", "0.1e1", "1.0", "01", "+1"];
    format!("{{\"userName\":\"n\",\"active\":{},\"schemas\":{}}}", pick(&numbers, random), pick(&numbers, random))
}

/// Texts that JSON can write and not every program can read, in the place of some of this text's.
fn spelled(text: &str, random: &mut StdRng) -> String {
    if random.random_bool(0.85) {
        return text.to_owned();
    }
    let odd = [
        "\\ud800",
        "\\udc00\\ud800",
        "\\u0000",
        "\\uFFFF",
        "\\u202e",
        "\u{1F468}\u{200D}\u{1F469}",
        "\\\"",
        "\\x",
        "\u{1}",
        "é\\u0301",
    ];
    let place = text.match_indices(['a', 'e', 'n']).map(|(place, _)| place).collect::<Vec<_>>();
    let Some(place) = place.choose(random) else { return text.to_owned() };
    let (before, after) = text.split_at(*place);
    format!("{before}{}{after}", pick(&odd, random))
}

fn valid(method: &str, path: &str, known: &Known, random: &mut StdRng) -> Value {
    if path.ends_with(".search") {
        return search(random);
    }
    if path == "/Bulk" {
        let operations = json!([
            { "method": "POST", "path": "/Users", "bulkId": "1", "data": user("bulk") },
            { "method": pick(&["PATCH", "DELETE", "GET"], random), "path": format!("/Users/{}", id("/Users", known, random)), "data": {} },
        ]);
        return json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations });
    }
    if method == "PATCH" {
        let count = random.random_range(0..4);
        return patch(&(0..count).map(|_| operation(known, random)).collect());
    }
    let name = format!("name-{}", random.random_range(0..60));
    if path.starts_with("/Groups") {
        group(&name, &[&id(path, known, random), &id("/Users", known, random)])
    } else {
        user(&name)
    }
}

fn search(random: &mut StdRng) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": filter::filter(random),
        "attributes": [filter::attribute(random)],
        "sortBy": filter::attribute(random),
        "sortOrder": pick(&["ascending", "descending", "x"], random),
        "startIndex": random.random_range(-3..10),
        "count": random.random_range(-3..10),
    })
}

fn operation(known: &Known, random: &mut StdRng) -> Value {
    let mut operation = json!({ "op": pick(&["add", "replace", "remove", "Add", "REMOVE", "move", ""], random) });
    if random.random_bool(0.8) {
        let path = match random.random_range(0..4) {
            0 => format!("members[value eq \"{}\"]", id("/Users", known, random)),
            1 => format!("emails[{}].{}", filter::filter(random), pick(&["value", "type", "x", ""], random)),
            _ => filter::attribute(random),
        };
        operation["path"] = json!(path);
    }
    if random.random_bool(0.8) {
        operation["value"] = match random.random_range(0..4) {
            0 => json!([{ "value": id("/Users", known, random) }, { "value": id("/Groups", known, random) }]),
            1 => json!({ "active": pick(&["true", "False", "no"], random), "name.familyName": "X" }),
            _ => anything(random, 2),
        };
    }
    operation
}

/// Changes one place of a value.
fn change(value: &mut Value, random: &mut StdRng) {
    match value {
        Value::Object(fields) if !fields.is_empty() && random.random_bool(0.75) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            change_field(fields, names.choose(random).unwrap(), random);
        }
        Value::Array(items) if !items.is_empty() && random.random_bool(0.75) => {
            let index = random.random_range(0..items.len());
            change(&mut items[index], random);
        }
        other => *other = anything(random, 3),
    }
}

fn change_field(fields: &mut Map<String, Value>, name: &str, random: &mut StdRng) {
    match random.random_range(0..5) {
        0 => drop(fields.remove(name)),
        1 => drop(fields.insert(pick(&NAMES, random).to_owned(), anything(random, 2))),
        // The same name in another letter case: twice, to whoever does not mind the case.
        2 => drop(fields.insert(name.to_uppercase(), fields[name].clone())),
        _ => change(&mut fields[name], random),
    }
}

/// Any value.
fn anything(random: &mut StdRng, depth: u8) -> Value {
    match random.random_range(0..if depth == 0 { 8 } else { 10 }) {
        0 => Value::Null,
        1 => json!(random.random_bool(0.5)),
        2 => json!(random.random::<i64>()),
        3 => json!(f64::MAX),
        4 => json!(""),
        5 => json!("\0"),
        6 => json!("x".repeat(random.random_range(0..100_000))),
        7 => json!(pick(
            &["ann", "Team", "true", "2026-01-01T00:00:00Z", "Europe/Paris", "a@b", "\u{FFFF}\u{202E}"],
            random
        )),
        8 => (0..random.random_range(0..4)).map(|_| anything(random, depth - 1)).collect(),
        _ => (0..random.random_range(0..4))
            .map(|_| (pick(&NAMES, random).to_owned(), anything(random, depth - 1)))
            .collect(),
    }
}
