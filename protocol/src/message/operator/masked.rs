//! Personal data made unreadable, so that a body can be looked at.

use serde_json::Value;

/// Members whose text says what a value is, and not whose.
const PLAIN: [&str; 7] = ["schemas", "op", "path", "type", "primary", "active", "$ref"];

/// The same body in which every text but its first character is hidden. Names of members, truth values, and what says only of
/// which kind a value is stay, unless it quotes something. Numbers are hidden whole.
pub fn masked(body: &Value) -> Value {
    match body {
        Value::Null | Value::Bool(_) => body.clone(),
        Value::Number(_) => Value::from("•••"),
        Value::String(text) => Value::from(format!("{}•••", text.chars().next().map(String::from).unwrap_or_default())),
        Value::Array(values) => values.iter().map(masked).collect(),
        Value::Object(members) => {
            let masked = members.iter().map(|(name, value)| {
                let quotes = value.as_str().is_some_and(|text| text.contains('"'));
                let is_plain = !quotes && PLAIN.iter().any(|plain| name.eq_ignore_ascii_case(plain));
                (name.clone(), if is_plain { value.clone() } else { masked(value) })
            });
            Value::Object(masked.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_masked_body_shows_its_form_and_no_person() {
        let body = json!({
            "userName": "ann@example.com", "active": true,
            "emails": [{ "type": "work", "value": "ann@example.com", "primary": true }],
            "Operations": [{ "op": "replace", "path": "title", "value": "Dr." }, { "op": "remove", "path": "emails[value eq \"ann@x\"]" }],
        });
        let expected = json!({
            "userName": "a•••", "active": true,
            "emails": [{ "type": "work", "value": "a•••", "primary": true }],
            "Operations": [{ "op": "replace", "path": "title", "value": "D•••" }, { "op": "remove", "path": "e•••" }],
        });
        assert_eq!(masked(&body), expected);
    }
}
