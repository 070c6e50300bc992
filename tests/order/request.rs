//! What a provider asks of one resource: the request itself, and the fingerprint by which the ledger names it.

use std::collections::BTreeSet;
use std::fmt::Write;

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::model::Content;
use crate::harness::scim::{Scim, patch, send};

/// A change of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(super) target: Uuid,
    pub(super) kind: Kind,
    pub(super) edit: Edit,
    /// Only if it has this version.
    pub(super) if_match: Option<i64>,
}

/// What kind of resource it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Group,
}

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edit {
    /// PATCH of a user.
    Title(Option<String>),
    /// PATCH of a user.
    Nickname(Option<String>),
    /// PATCH of a user; `false` goes through the urgent lane.
    Active(bool),
    /// PATCH of a group.
    Rename(String),
    /// PATCH of a group.
    Join(BTreeSet<Uuid>),
    /// PATCH of a group.
    Leave(BTreeSet<Uuid>),
    /// PUT.
    Replace(Content),
    /// DELETE; of a user through the urgent lane.
    Delete,
}

impl Request {
    /// Sends it; the answer's status.
    pub(super) async fn send(&self, scim: &Scim) -> u16 {
        let mut request = scim.request(self.method(), &self.path());
        if let Some(tag) = self.tag() {
            request = request.header("if-match", tag);
        }
        if let Some(body) = self.body() {
            request = request.header("content-type", "application/scim+json").body(body);
        }
        send(request).await.status
    }

    /// SHA-256 over method, path, precondition and body, each after its length.
    pub(super) fn fingerprint(&self, scim: &Scim) -> String {
        let base = scim.base_url.find("/scim/").map_or("", |start| &scim.base_url[start..]);
        let (path, tag, body) = (format!("{base}{}", self.path()), self.tag(), self.body());
        let mut hash = Sha256::new();
        for part in [self.method().as_str(), &path, tag.as_deref().unwrap_or(""), body.as_deref().unwrap_or("")] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        })
    }

    /// The answer to it if it is carried out.
    pub(super) const fn status(&self) -> u16 {
        match (self.kind, &self.edit) {
            (_, Edit::Replace(_)) | (Kind::User, Edit::Title(_) | Edit::Nickname(_) | Edit::Active(_)) => 200,
            _ => 204,
        }
    }

    const fn method(&self) -> Method {
        match self.edit {
            Edit::Replace(_) => Method::PUT,
            Edit::Delete => Method::DELETE,
            _ => Method::PATCH,
        }
    }

    fn path(&self) -> String {
        self.kind.path(self.target)
    }

    fn tag(&self) -> Option<String> {
        self.if_match.map(|version| format!("W/\"{version}\""))
    }

    fn body(&self) -> Option<String> {
        let operation = match &self.edit {
            Edit::Delete => return None,
            Edit::Replace(content) => return Some(content.body(self.kind).to_string()),
            Edit::Title(title) => assign("title", title.as_deref()),
            Edit::Nickname(nickname) => assign("nickName", nickname.as_deref()),
            Edit::Active(active) => json!({ "op": "replace", "path": "active", "value": active }),
            Edit::Rename(name) => assign("displayName", Some(name)),
            Edit::Join(ids) => json!({ "op": "add", "path": "members", "value": members(ids) }),
            Edit::Leave(ids) => json!({ "op": "remove", "path": "members", "value": members(ids) }),
        };
        Some(patch(&json!([operation])).to_string())
    }
}

impl Kind {
    /// Where a resource of this kind is, below the Base URL.
    pub(super) fn path(self, id: Uuid) -> String {
        match self {
            Self::User => format!("/Users/{id}"),
            Self::Group => format!("/Groups/{id}"),
        }
    }
}

/// Members as SCIM writes them.
pub(super) fn members(ids: &BTreeSet<Uuid>) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

fn assign(path: &str, value: Option<&str>) -> Value {
    match value {
        Some(value) => json!({ "op": "replace", "path": path, "value": value }),
        None => json!({ "op": "remove", "path": path }),
    }
}
