//! Filters as conditions of SQL, on both databases: the same resources that `protocol`'s evaluator chooses in memory.
//!
//! Every condition is true or false, never NULL, so that `not` means what it says. Text is compared in the form in which
//! it is kept for comparing ([`Attributes::search_form`](protocol::scim::attributes::Attributes::search_form)), byte by
//! byte: no collation, no letter case, no wildcard of the database has a say.

mod compare;
mod fragment;
mod narrow;
mod place;
mod rows;
mod sort;

use protocol::scim::filter::{CompareOp, Filter, FilterValue};
use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use protocol::scim::schema::Kind;
use sea_orm::sea_query::Expr;

use self::fragment::Fragment;
use self::place::{Place, Subject};
use crate::store::DatabaseKind;

pub(super) use narrow::narrowing;
pub(super) use sort::{nothing, sort_key};

/// What a filter is compiled for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Which database.
    pub(super) kind: DatabaseKind,
    /// What locations begin with.
    pub(super) base_url: &'a str,
}

/// The condition that a row of this kind of resource has to meet.
pub(super) fn condition(scope: Scope<'_>, resource_type: ResourceType, filter: &Filter) -> Expr {
    let fragment = scope.compile(&Subject::Resource(resource_type), filter);
    // Only there: SQLite would no longer see the equality that an index of it serves.
    let joins_all = scope.kind == DatabaseKind::Postgres && terms(filter) > FEW;
    let fragment = if joins_all { fragment.one_by_one() } else { fragment };
    fragment.into_expr(scope.kind)
}

/// Up to so many comparisons the planner may turn into joins.
const FEW: usize = 2;

fn terms(filter: &Filter) -> usize {
    match filter {
        Filter::And(filters) | Filter::Or(filters) => filters.iter().map(terms).sum(),
        Filter::Not(filter) | Filter::ValuePath { filter, .. } => terms(filter),
        Filter::Present(_) | Filter::Compare { .. } => 1,
    }
}

impl Scope<'_> {
    fn compile(self, subject: &Subject, filter: &Filter) -> Fragment {
        match filter {
            Filter::And(filters) => Fragment::all(filters.iter().map(|filter| self.compile(subject, filter))),
            Filter::Or(filters) => Fragment::any(filters.iter().map(|filter| self.compile(subject, filter))),
            Filter::Not(filter) => self.compile(subject, filter).negated(),
            // A complex value is there if any part of it is: an empty one is not kept (RFC 7643 §2.5).
            Filter::Present(path) if path.sub_attribute().is_none() && path.attribute().kind == Kind::Complex => {
                let elements = self.elements(subject, path).into_iter();
                Fragment::any(elements.map(|(rows, _)| rows.exists(Fragment::TRUE)))
            }
            Filter::Present(path) => self.some(subject, path, Place::is_present),
            Filter::Compare { path, op, value } => self.comparison(subject, path, *op, value),
            Filter::ValuePath { attribute, filter } => {
                let inner = self.elements(subject, attribute).into_iter();
                Fragment::any(inner.map(|(rows, element)| rows.exists(self.compile(&element, filter))))
            }
        }
    }

    fn comparison(self, subject: &Subject, path: &AttributePath, op: CompareOp, value: &FilterValue) -> Fragment {
        let Some(definition) = path.compared() else { return Fragment::FALSE };
        let holds = |op| move |place: &Place| place.compare(self, definition, op, value);
        match (op, value) {
            (CompareOp::Eq, FilterValue::Null) => self.some(subject, path, Place::is_there).negated(),
            (CompareOp::Ne, FilterValue::Null) => self.some(subject, path, Place::is_there),
            // No value is equal: so it holds where there is none.
            (CompareOp::Ne, _) => self.some(subject, path, holds(CompareOp::Eq)).negated(),
            (op, _) => self.some(subject, path, holds(op)),
        }
    }

    /// Whether the condition holds for one of the values at a path.
    fn some(self, subject: &Subject, path: &AttributePath, condition: impl Fn(&Place) -> Fragment) -> Fragment {
        let values = self.values(subject, path).into_iter();
        Fragment::any(values.map(|(rows, place)| rows.exists(condition(&place))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_postgresql_is_kept_from_joining() {
        let filter = |text| Filter::parse(ResourceType::User, text).unwrap();
        let is_wrapped = |kind, text| {
            let scope = Scope { kind, base_url: "https://scim.example.com" };
            format!("{:?}", condition(scope, ResourceType::User, &filter(text))).contains(" OR FALSE")
        };
        let long = r#"userName eq "x" and active eq true and emails pr"#;
        assert!(is_wrapped(DatabaseKind::Postgres, long) && !is_wrapped(DatabaseKind::Postgres, "emails pr"));
        assert!(!is_wrapped(DatabaseKind::Sqlite, long));
    }
}
