//! By which e-mail addresses a user is found without reading all: the rows of `user_emails`.

use std::collections::BTreeSet;

use sea_orm::entity::prelude::Json;
use serde_json::Value;

/// The longest address that is listed, in bytes: PostgreSQL's indexes take 2,704 for a whole row.
const MAX_BYTES: usize = 800;

/// Whether an address, in search form, is listed if a user has it.
pub(crate) const fn is_listed(value: &str) -> bool {
    value.len() <= MAX_BYTES
}

/// The listed addresses of a row with this `search` column.
pub(crate) fn listed(search: &Json) -> BTreeSet<String> {
    let emails = search.get("emails").and_then(Value::as_array).into_iter().flatten();
    let values = emails.filter_map(|email| email.get("value").and_then(Value::as_str));
    values.filter(|value| is_listed(value)).map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_address_is_listed_once_unless_it_is_too_long() {
        let long = "x".repeat(MAX_BYTES + 1);
        let emails = json!([{ "value": "b" }, { "value": "a", "type": "work" }, { "value": "b" }, { "type": "home" }, { "value": long }]);
        assert_eq!(listed(&json!({ "emails": emails })), ["a", "b"].map(ToOwned::to_owned).into());
        assert_eq!(listed(&json!({})), BTreeSet::new());
    }
}
