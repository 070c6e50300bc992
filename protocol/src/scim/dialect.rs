//! How identity providers speak: which one it is, and what is done where two of them need different answers.
//!
//! A harmless leniency holds for every provider and lives with what it reads: capitalised operations, text for
//! booleans, dotted names (`patch/parse.rs`, `value.rs`), forms of filters (`filter/parse.rs`). Here is only what one
//! provider needs and the standard, or another provider, forbids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The provider that a workspace is provisioned by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// No provider in particular: the standard's word.
    #[default]
    Standard,
    /// Okta.
    Okta,
    /// Microsoft Entra ID.
    Entra,
    /// Google Workspace.
    Google,
    /// JumpCloud.
    JumpCloud,
    /// OneLogin.
    OneLogin,
    /// PingFederate and PingOne.
    Ping,
}

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 7] =
        [Self::Standard, Self::Okta, Self::Entra, Self::Google, Self::JumpCloud, Self::OneLogin, Self::Ping];

    /// The dialect's word in commands, SQL and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Google => "google",
            Self::JumpCloud => "jumpcloud",
            Self::OneLogin => "onelogin",
            Self::Ping => "ping",
        }
    }

    /// Who asks, as far as a request's `User-Agent` and query string tell. JumpCloud and OneLogin cannot be told by
    /// them, and some of Entra's requests carry neither.
    pub fn detect(user_agent: &str, query: &str) -> Option<Self> {
        let agents = [
            ("okta scim client", Self::Okta),
            ("google-auto-provisioning", Self::Google),
            ("jumpcloud", Self::JumpCloud),
            ("onelogin", Self::OneLogin),
            ("pingfederate", Self::Ping),
            ("pingone", Self::Ping),
            ("azure", Self::Entra),
            ("microsoft", Self::Entra),
        ];
        // Entra's administrators append it to the URL, and every request then carries it.
        if query.to_ascii_lowercase().contains("aadoptscim062020") {
            return Some(Self::Entra);
        }
        let agent = user_agent.to_ascii_lowercase();
        agents.into_iter().find(|(word, _)| agent.contains(word)).map(|(_, dialect)| dialect)
    }

    /// Brings the body of a POST or PUT into the standard's form where only this provider says it otherwise.
    pub(crate) fn adjust(self, body: &mut Map<String, Value>) {
        match self {
            // PingFederate maps one value a type and marks each as primary; it can be taught nothing else.
            Self::Ping => keep_first_primary(body),
            Self::Standard | Self::Okta | Self::Entra | Self::Google | Self::JumpCloud | Self::OneLogin => {}
        }
    }
}

/// In each list of objects at the top, only the first `primary: true` stays (RFC 7643 §2.4 allows one).
fn keep_first_primary(body: &mut Map<String, Value>) {
    for values in body.values_mut().filter_map(Value::as_array_mut) {
        let primaries = values.iter_mut().filter_map(|value| value.get_mut("primary"));
        let primaries = primaries.filter(|primary| crate::scim::value::boolean(primary) == Some(true));
        primaries.skip(1).for_each(|primary| *primary = Value::Bool(false));
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, UnknownDialect> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == text).ok_or(UnknownDialect)
    }
}

/// The text names no dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a dialect is standard, okta, entra, google, jumpcloud, onelogin or ping")]
pub struct UnknownDialect;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_provider_is_known_by_what_it_sends() {
        for (agent, query, dialect) in [
            ("Okta SCIM Client 1.0.0", "", Some(Dialect::Okta)),
            ("Google-Auto-Provisioning", "count=1", Some(Dialect::Google)),
            ("", "aadOptscim062020", Some(Dialect::Entra)),
            ("curl/8", "filter=x", None),
        ] {
            assert_eq!(Dialect::detect(agent, query), dialect, "{agent}");
        }
    }

    #[test]
    fn only_ping_may_mark_two_values_as_primary() {
        let sent = json!({ "emails": [{ "value": "a", "primary": true }, { "value": "b", "primary": "True" }] });
        let mut body = sent.clone();
        Dialect::Entra.adjust(body.as_object_mut().unwrap());
        assert_eq!(body, sent);
        Dialect::Ping.adjust(body.as_object_mut().unwrap());
        assert_eq!(body["emails"][1]["primary"], json!(false));
        assert_eq!(body["emails"][0], sent["emails"][0]);
    }
}
