//! Every example of RFC 7643 and RFC 7644, played over HTTP against a running system on both databases.
//!
//! The examples are in `testdata/rfc7643` and `testdata/rfc7644`, named after their sections and copied from the text.
//! Only what cannot be read was repaired: ids that the text shortens with `...` are spelt out as elsewhere in it, a
//! missing brace (§3.5.2.1, §3.5.2.3 without a path), comma (§3.12) or space (`value eq"` in §3.5.2.2) is put in, and a
//! list that ends in `...` (§3.4.3) ends there. The schemas of RFC 7643 §8.7 are without their descriptions, which are
//! prose, one attribute a line.
//!
//! Not played, and why:
//!
//! - RFC 7644 §3.7 (bulk): its examples are played in `tests/bulk.rs`, with resources of our own.
//! - RFC 7644 §3.8, `GET /Users/….scim`: a MAY that this server does not offer; the format is chosen by `Accept`.
//! - RFC 7644 §7.5.2, the 403 `sensitive`: filters in URLs are served; where they end up in logs, they are not written.
//! - RFC 7643 §3 and RFC 7644 §3.4.2.4 show parts of resources between `...`: the whole of the first is §8.3, the second is
//!   played with resources of our own.

mod core_schema;
mod discovery;
mod lists;
mod patches_of_groups;
mod patches_of_users;
mod requests;
mod schemas;

use serde_json::{Value, json};

use crate::harness::scim::{Answer, Scim};

/// Who the examples are about: Barbara Jensen.
const BARBARA: &str = "2819c223-7f76-453a-919d-413861904646";
/// Another user of the examples: James Smith.
const JAMES: &str = "08e1d05d-121c-4561-8b96-473d93df9210";

/// An example by its file.
fn example(file: &str) -> Value {
    let path = format!("{}/../tests/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("reading {file}: {error}"));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("reading {file}: {error}"))
}

/// The operations of an example of PATCH.
fn operations(file: &str) -> Value {
    example(file)["Operations"].take()
}

/// The example with other ids in place of its own: those of resources that exist.
fn with_ids(example: &Value, ids: &[(&str, &str)]) -> Value {
    let text = ids.iter().fold(example.to_string(), |text, (theirs, ours)| text.replace(theirs, ours));
    serde_json::from_str(&text).unwrap()
}

/// What a client gets back of a body that it sent: everything but what the server alone writes (`id`, `meta`, a user's
/// `groups`) or never shows (`password`); what is unassigned is absent (RFC 7643 §2.5), and somebody of whom nothing is
/// said has access.
fn kept(body: &Value) -> Value {
    let mut kept = body.clone();
    let attributes = kept.as_object_mut().unwrap();
    for name in ["id", "meta", "groups", "password"] {
        attributes.remove(name);
    }
    attributes.retain(|_, value| !value.is_null() && *value != json!([]));
    if attributes.contains_key("userName") {
        attributes.entry("active").or_insert(json!(true));
    }
    if let Some(manager) = kept.pointer_mut("/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/manager") {
        manager.as_object_mut().unwrap().remove("displayName");
    }
    kept
}

/// Checks an answer with one resource: its attributes, and that what the server adds is right.
#[track_caller]
fn assert_resource(scim: &Scim, answer: &Answer, expected: &Value) {
    assert_eq!(kept(&answer.body), kept(expected));
    assert!(answer.body.get("password").is_none());
    let meta = &answer.body["meta"];
    let kind = if answer.body.get("userName").is_some() { "User" } else { "Group" };
    assert_eq!(meta["resourceType"], kind);
    assert_eq!(meta["location"], format!("{}/{kind}s/{}", scim.base_url, answer.id()));
    assert_eq!(answer.header("location"), meta["location"].as_str().unwrap());
    assert_eq!(answer.header("etag"), meta["version"].as_str().unwrap());
    assert!(meta["created"].as_str() <= meta["lastModified"].as_str(), "{meta}");
}
