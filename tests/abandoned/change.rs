//! What clients ask of one person, and which answer to which question decides what is there in the end.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::harness::scim::{Scim, patch, user};

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// PATCH of `active`.
    Patch(bool),
    /// PUT of everything, with `active`.
    Put(bool),
    Delete,
    /// POST, always with the same body.
    Create,
    /// PATCH of a text.
    Title(&'static str),
    /// PATCH of the name of the person's group.
    Rename(&'static str),
    /// PATCH of the person's group: in or out.
    Member(bool),
}

/// A request whose client gave up, and what somebody asked for afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Case {
    pub(super) old: Change,
    pub(super) newer: &'static [Change],
}

use Change::{Create, Delete, Member, Patch, Put, Rename, Title};

/// Whether somebody has access goes by the newest acknowledged change, always.
pub(super) const ACCESS: &[Case] = &[
    Case { old: Patch(true), newer: &[Patch(false)] },
    Case { old: Patch(false), newer: &[Patch(true)] },
    Case { old: Put(true), newer: &[Patch(false)] },
    Case { old: Put(false), newer: &[Patch(true)] },
    Case { old: Patch(true), newer: &[Put(false)] },
    Case { old: Patch(false), newer: &[Put(true)] },
    Case { old: Delete, newer: &[Patch(true)] },
    Case { old: Patch(true), newer: &[Delete] },
    Case { old: Create, newer: &[Create, Patch(false)] },
    Case { old: Create, newer: &[Create, Delete] },
];

/// What takes access away does so although no client waits for it any more.
pub(super) const ALONE: &[Case] =
    &[Case { old: Patch(false), newer: &[] }, Case { old: Put(false), newer: &[] }, Case { old: Delete, newer: &[] }];

/// Names and memberships go by the newest acknowledged change where the ingress can see that the client has gone.
pub(super) const VALUES: &[Case] = &[
    Case { old: Title("old"), newer: &[Title("new")] },
    Case { old: Rename("old"), newer: &[Rename("new")] },
    Case { old: Member(true), newer: &[Member(false)] },
    Case { old: Member(false), newer: &[Member(true)] },
];

/// Whom the requests are about.
#[derive(Debug, Clone, Default)]
pub(super) struct Subject {
    pub(super) name: String,
    /// Unknown before the create is answered.
    pub(super) user: String,
    pub(super) group: String,
}

impl Change {
    pub(super) fn request(self, scim: &Scim, subject: &Subject) -> RequestBuilder {
        let (user_path, group_path) = (format!("/Users/{}", subject.user), format!("/Groups/{}", subject.group));
        let patched = |path: &str, op: &str, attribute: &str, value: Value| {
            scim.json(Method::PATCH, path, &patch(&json!([{ "op": op, "path": attribute, "value": value }])))
        };
        match self {
            Patch(active) => patched(&user_path, "replace", "active", json!(active)),
            Put(active) => scim.json(Method::PUT, &user_path, &person(&subject.name, active)),
            Delete => scim.request(Method::DELETE, &user_path),
            Create => scim.json(Method::POST, "/Users", &person(&subject.name, true)),
            Title(title) => patched(&user_path, "replace", "title", json!(title)),
            Rename(name) => patched(&group_path, "replace", "displayName", json!(format!("{name} {}", subject.name))),
            Member(true) => patched(&group_path, "add", "members", json!([{ "value": subject.user }])),
            Member(false) => patched(&group_path, "remove", "members", json!([{ "value": subject.user }])),
        }
    }

    /// Whether a group is needed.
    pub(super) const fn is_about_a_group(self) -> bool {
        matches!(self, Rename(_) | Member(_))
    }
}

/// A user's body.
pub(super) fn person(name: &str, active: bool) -> Value {
    let mut body = user(name);
    body["active"] = json!(active);
    body
}
