//! By what a list is sorted (RFC 7644 §3.4.2.3).

use protocol::scim::cursor::SortKey;
use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Kind;
use protocol::scim::sort::KeyKind;
use sea_orm::sea_query::Expr;

use super::Scope;
use super::compare::bytewise;
use super::fragment::Fragment;
use super::place::{Form, Place, Subject};
use super::rows::Rows;
use crate::store::DatabaseKind;

/// What stands for a resource without a value.
pub(in crate::answer) fn nothing(key: KeyKind, kind: DatabaseKind) -> Expr {
    let sql = match (key, kind) {
        (KeyKind::Text, DatabaseKind::Postgres) => "NULL::text",
        (KeyKind::Number, DatabaseKind::Postgres) => "NULL::double precision",
        (_, DatabaseKind::Sqlite) => "NULL",
    };
    Fragment::text(sql).into_expr(kind)
}

/// The value of a row by which it is sorted, NULL without one: of several, the primary one, else the first. Of a text it
/// is the beginning, so that a cursor can hold it.
pub(in crate::answer) fn sort_key(scope: Scope<'_>, resource_type: ResourceType, path: &AttributePath) -> Expr {
    let key = KeyKind::of(path);
    let subject = Subject::Resource(resource_type);
    let list = path.compared().filter(|part| part.multi_valued && path.attribute().kind == Kind::Complex);
    let values = match list {
        Some(part) => {
            let elements = scope.elements(&subject, &path.parent()).into_iter();
            elements.map(|(rows, element)| (rows, scope.part(&element, part))).collect()
        }
        None => scope.values(&subject, path),
    };
    let mut values = values.into_iter();
    let sql = match values.next() {
        None | Some((Rows::Nested { .. }, _)) => "NULL".to_owned(),
        Some((Rows::None | Rows::Present(_), place)) => scope.comparable(&place, key),
        Some((first @ Rows::From { .. }, place)) => {
            let all: Vec<_> = std::iter::once((first, place)).chain(values).collect();
            scope.first(resource_type, path, &all, key)
        }
    };
    let sql = match key {
        KeyKind::Text => beginning(&sql, scope.kind),
        KeyKind::Number => sql,
    };
    Fragment::text(sql).into_expr(scope.kind)
}

/// A boolean of SQLite becomes text by that, too: 0 or 1.
fn beginning(sql: &str, kind: DatabaseKind) -> String {
    let most = SortKey::MAX_CHARACTERS;
    match kind {
        DatabaseKind::Postgres => format!("left({sql}, {most})"),
        DatabaseKind::Sqlite => format!("substr({sql}, 1, {most})"),
    }
}

impl Scope<'_> {
    /// Of the values in other rows the one by which is sorted.
    fn first(self, kind: ResourceType, path: &AttributePath, values: &[(Rows, Place)], key: KeyKind) -> String {
        let memberships: Vec<String> = values.iter().filter_map(|(rows, place)| self.by_id(rows, place, key)).collect();
        if !memberships.is_empty() {
            // Members come by id, whatever their kind: a group's users and groups are sorted together.
            let all = memberships.join(" UNION ALL ");
            return format!("(SELECT f.v FROM ({all}) AS f ORDER BY f.i LIMIT 1)");
        }
        let Some((_, place)) = values.first() else { return "NULL".to_owned() };
        let value = self.comparable(place, key);
        let numbered = Rows::numbered(self.kind, &self.attribute(kind, &path.parent()));
        let primary = match self.kind {
            DatabaseKind::Postgres => "COALESCE(e.value ->> 'primary' = 'true', FALSE)",
            DatabaseKind::Sqlite => "COALESCE(e.value ->> '$.primary' = 1, FALSE)",
        };
        let order = if path.attribute().kind == Kind::Complex { format!("{primary} DESC, ") } else { String::new() };
        format!("(SELECT {value} FROM {numbered} ORDER BY {order}e.number LIMIT 1)")
    }

    /// The values of memberships, each with the id by which they come.
    fn by_id(self, rows: &Rows, place: &Place, key: KeyKind) -> Option<String> {
        let Rows::From { from, own, by: Some(by) } = rows else { return None };
        Some(format!("SELECT {} AS v, {by} AS i FROM {from} WHERE {own}", self.comparable(place, key)))
    }

    /// A value in the form in which it is ordered.
    fn comparable(self, place: &Place, key: KeyKind) -> String {
        let sql = &place.sql;
        match (place.form, key, self.kind) {
            (Form::Json | Form::Integer, KeyKind::Number, _) => self.number(sql),
            (Form::Id, ..) => self.id_text(sql),
            (Form::Boolean, _, DatabaseKind::Postgres) => format!("({sql})::text"),
            (_, KeyKind::Text, kind) => format!("({sql}){}", bytewise(kind)),
            (_, KeyKind::Number, _) => "NULL".to_owned(),
        }
    }
}
