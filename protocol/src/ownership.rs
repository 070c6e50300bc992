//! Who may write an attribute: the provider, or, once a person has changed it in the product, the product.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::scim::attributes::Attributes;
use crate::scim::error::ScimError;
use crate::scim::resource::Ownership;

/// Which attributes pass to the product, per workspace. The built-in policy: `timezone`, at its first local change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnershipPolicy {
    passes_at_first_local_change: Vec<String>,
}

impl Default for OwnershipPolicy {
    fn default() -> Self {
        Self { passes_at_first_local_change: vec!["timezone".to_owned()] }
    }
}

impl OwnershipPolicy {
    /// The attributes and the ownership after a change. It compares states, never operations, so it holds whatever path
    /// or spelling the change came by.
    ///
    /// What the product owns, the provider leaves as it was, and is told of success. The product writes only what the
    /// policy names, else 403; all of that is its own from then on, `written` with an equal value, too: the person has
    /// chosen it. `written` holds the canonical names that the request names.
    pub fn enforce(
        &self,
        source: Source,
        owned: &Ownership,
        before: &Attributes,
        mut after: Attributes,
        written: &BTreeSet<String>,
    ) -> Result<(Attributes, Ownership), ScimError> {
        match source {
            Source::IdentityProvider => {
                for name in owned.names() {
                    put(after.as_map_mut(), name, at(before.as_map(), name).cloned());
                }
                Ok((after, owned.clone()))
            }
            Source::Application => {
                let names: BTreeSet<String> = changed(before, &after).chain(written.iter().cloned()).collect();
                match names.iter().find(|name| !self.passes_at_first_local_change.contains(name)) {
                    Some(name) => Err(ScimError::new(403, format!("{name} is the identity provider's to change"))),
                    None => Ok((after, owned.with(names))),
                }
            }
        }
    }
}

/// Where a change comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// The identity provider, over SCIM.
    IdentityProvider,
    /// The product, on behalf of the person.
    Application,
}

/// The names of the attributes that differ; an extension's, one by one.
fn changed<'a>(before: &'a Attributes, after: &'a Attributes) -> impl Iterator<Item = String> + 'a {
    let names: BTreeSet<String> = names(before).chain(names(after)).collect();
    names.into_iter().filter(|name| at(before.as_map(), name) != at(after.as_map(), name))
}

fn names(attributes: &Attributes) -> impl Iterator<Item = String> + '_ {
    attributes.as_map().iter().flat_map(|(name, value)| match value.as_object().filter(|_| is_urn(name)) {
        Some(members) => members.keys().map(|member| format!("{name}:{member}")).collect(),
        None => vec![name.clone()],
    })
}

/// The value of an attribute, by its canonical name.
fn at<'a>(attributes: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    match name.rsplit_once(':') {
        Some((urn, name)) => attributes.get(urn)?.get(name),
        None => attributes.get(name),
    }
}

/// Sets the value of an attribute, or unassigns it.
fn put(attributes: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    let Some((urn, name)) = name.rsplit_once(':') else {
        set_or_remove(attributes, name, value);
        return;
    };
    let mut extension = if let Some(Value::Object(members)) = attributes.remove(urn) { members } else { Map::new() };
    set_or_remove(&mut extension, name, value);
    if !extension.is_empty() {
        attributes.insert(urn.to_owned(), Value::Object(extension));
    }
}

fn set_or_remove(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
}

fn is_urn(name: &str) -> bool {
    name.contains(':')
}
