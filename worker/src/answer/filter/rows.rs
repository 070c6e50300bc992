//! The rows that a value is one of: elements of a list, memberships.

use protocol::scim::resource_type::ResourceType;

use super::fragment::Fragment;
use crate::store::DatabaseKind;
use crate::store::fence::no_fence_text;

/// A table's name as columns are qualified by it.
pub(super) const fn table(resource_type: ResourceType) -> &'static str {
    match resource_type {
        ResourceType::User => "\"users\"",
        ResourceType::Group => "\"groups\"",
    }
}

/// Where to look for a value.
#[derive(Debug, Clone)]
pub(super) enum Rows {
    /// In the row itself.
    None,
    /// In the row itself, if this expression is not NULL.
    Present(String),
    /// In a list that is itself part of each of some values.
    Nested { outer: Box<Self>, inner: Box<Self> },
    /// In other rows: a FROM clause, and what makes them the row's own. Memberships come in the order of an id, elements of
    /// a list in their own.
    From { from: String, own: String, by: Option<&'static str> },
}

impl Rows {
    /// The elements of a list in JSON, as `value` of this alias.
    pub(super) fn elements(kind: DatabaseKind, list: &str, alias: &str) -> Self {
        let from = match kind {
            DatabaseKind::Postgres => format!("jsonb_array_elements({list}) AS {alias}(value)"),
            DatabaseKind::Sqlite => format!("json_each({list}) AS {alias}"),
        };
        Self::From { from, own: "TRUE".to_owned(), by: None }
    }

    /// Rows within each of these.
    pub(super) fn around(self, inner: Self) -> Self {
        match inner {
            Self::None => self,
            inner => Self::Nested { outer: Box::new(self), inner: Box::new(inner) },
        }
    }

    /// The elements of a list in JSON, numbered by `e.number`.
    pub(super) fn numbered(kind: DatabaseKind, list: &str) -> String {
        match kind {
            DatabaseKind::Postgres => format!("jsonb_array_elements({list}) WITH ORDINALITY AS e(value, number)"),
            DatabaseKind::Sqlite => format!("(SELECT value, key AS number FROM json_each({list})) AS e"),
        }
    }

    /// The names in an object of JSON that are URNs, as `e.key`.
    pub(super) fn keys(kind: DatabaseKind, object: &str) -> Self {
        let from = match kind {
            DatabaseKind::Postgres => format!("jsonb_object_keys({object}) AS e(key)"),
            DatabaseKind::Sqlite => format!("json_each({object}) AS e"),
        };
        let own = match kind {
            DatabaseKind::Postgres => "strpos(e.key, ':') > 0",
            DatabaseKind::Sqlite => "instr(e.key, ':') > 0",
        };
        Self::From { from, own: own.to_owned(), by: None }
    }

    /// Whether the condition holds in one of the rows.
    pub(super) fn exists(&self, condition: Fragment) -> Fragment {
        match self {
            Self::None => condition,
            Self::Present(json) => condition.wrapped(&format!("({json} IS NOT NULL AND "), ")"),
            Self::Nested { outer, inner } => outer.exists(inner.exists(condition)),
            Self::From { from, own, by: _ } => {
                condition.wrapped(&format!("EXISTS (SELECT 1 FROM {from} WHERE {own} AND "), ")")
            }
        }
    }
}

/// A group's members of one kind: rows that name a live user or group.
pub(super) fn member_rows(kind: ResourceType) -> Rows {
    let joined = match kind {
        ResourceType::User => format!("{JOINED_MEMBER} AND {}", no_fence_text("j")),
        ResourceType::Group => JOINED_MEMBER.to_owned(),
    };
    Rows::From {
        from: format!("\"group_members\" AS m JOIN {} AS j {joined}", table(kind)),
        own: "m.\"workspace\" = \"groups\".\"workspace\" AND m.\"group_id\" = \"groups\".\"id\"".to_owned(),
        by: Some("m.\"member_id\""),
    }
}

/// The groups that name a user.
pub(super) fn user_group_rows() -> Rows {
    Rows::From {
        from: format!(
            "\"group_members\" AS m JOIN {} AS j ON j.\"workspace\" = m.\"workspace\" AND j.\"id\" = m.\"group_id\"",
            table(ResourceType::Group)
        ),
        own: "m.\"workspace\" = \"users\".\"workspace\" AND m.\"member_id\" = \"users\".\"id\"".to_owned(),
        by: Some("m.\"group_id\""),
    }
}

const JOINED_MEMBER: &str = "ON j.\"workspace\" = m.\"workspace\" AND j.\"id\" = m.\"member_id\"";
