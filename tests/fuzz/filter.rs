//! Filters, attribute names and numbers: mostly well-formed, often meaningless, sometimes broken.

use rand::RngExt;
use rand::rngs::StdRng;

use super::request::pick;

const ATTRIBUTES: [&str; 30] = [
    "userName",
    "USERNAME",
    "externalId",
    "id",
    "displayName",
    "active",
    "name",
    "name.familyName",
    "name.nothing",
    "emails",
    "emails.value",
    "emails.primary",
    "emails[type eq \"work\"].value",
    "members",
    "members.value",
    "groups",
    "meta",
    "meta.created",
    "meta.lastModified",
    "meta.resourceType",
    "meta.version",
    "schemas",
    "password",
    "x509Certificates.value",
    "urn:ietf:params:scim:schemas:core:2.0:User:userName",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    "urn:nobody:nothing",
    "$ref",
    "a..b",
];

const OPERATORS: [&str; 14] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "pr", "==", "like", ""];

/// A filter.
pub(super) fn filter(random: &mut StdRng) -> String {
    let mut text = match random.random_range(0..40) {
        0 => "(".repeat(random.random_range(1..2_000)),
        1 => format!("{}userName pr{}", "(".repeat(300), ")".repeat(300)),
        2 => format!("{}userName pr", "not ".repeat(300)),
        3 => vec!["userName pr"; random.random_range(50..200)].join(" or "),
        4 => String::new(),
        _ => expression(random, 3),
    };
    while random.random_bool(0.12) && !text.is_empty() {
        broken(&mut text, random);
    }
    text
}

fn expression(random: &mut StdRng, depth: u8) -> String {
    if depth == 0 {
        return comparison(random);
    }
    match random.random_range(0..8) {
        0 => format!("{} and {}", expression(random, depth - 1), expression(random, depth - 1)),
        1 => format!("{} or {}", expression(random, depth - 1), expression(random, depth - 1)),
        2 => format!("not ({})", expression(random, depth - 1)),
        3 => format!("({})", expression(random, depth - 1)),
        4 => format!(
            "{}[{}]",
            pick(&["emails", "members", "addresses", "name", "userName"], random),
            expression(random, depth - 1)
        ),
        _ => comparison(random),
    }
}

fn comparison(random: &mut StdRng) -> String {
    let (attribute, operator) = (attribute(random), pick(&OPERATORS, random));
    if operator == "pr" { format!("{attribute} pr") } else { format!("{attribute} {operator} {}", literal(random)) }
}

/// An attribute's name, or nearly.
pub(super) fn attribute(random: &mut StdRng) -> String {
    pick(&ATTRIBUTES, random).to_owned()
}

/// A literal of a filter.
pub(super) fn literal(random: &mut StdRng) -> String {
    match random.random_range(0..12) {
        0 => number(random),
        1 => pick(&["true", "false", "null", "TRUE", "nil"], random).to_owned(),
        2 => "\"2026-01-01T00:00:00Z\"".to_owned(),
        3 => pick(
            &[
                "\"\\u0000\"",
                "\"\0\"",
                "\"\\ud800\"",
                "\"\\x\"",
                "\"",
                "\"unclosed",
                "''",
                "\"%\"",
                "\"_\"",
                "\"\\\\\"",
            ],
            random,
        )
        .to_owned(),
        4 => format!("\"{}\"", "x".repeat(random.random_range(0..1_500))),
        5 => "\"\u{1F468}\u{200D}\u{1F469} İstanbul ß\"".to_owned(),
        _ => pick(&["\"ann\"", "\"ANN\"", "\"Team\"", "\"\"", "\"work\"", "\"a'b\""], random).to_owned(),
    }
}

/// A number, or nearly.
pub(super) fn number(random: &mut StdRng) -> String {
    let numbers = [
        "0",
        "1",
        "-1",
        "2",
        "10",
        "1000000",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999",
        "1.5",
        "1e9",
        "1e400",
        "0x10",
        "",
        " 1",
        "+1",
        "NaN",
        "١",
    ];
    pick(&numbers, random).to_owned()
}

/// Takes a character away, or puts one in.
fn broken(text: &mut String, random: &mut StdRng) {
    let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    let place = pick(&places, random);
    if random.random_bool(0.5) {
        text.remove(place);
    } else {
        text.insert(place, pick(&['"', '(', ')', '[', ']', '\\', ' ', '\0', '.', ':', '\u{FFFD}', 'x'], random));
    }
}
