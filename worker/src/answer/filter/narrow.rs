//! What must hold of every row that a filter chooses, and that an index can answer. Beside the filter's own condition, never
//! instead of it: here only the database's way to the rows is chosen, not the rows.

use protocol::id::{ResourceId, WorkspaceId};
use protocol::scim::filter::{CompareOp, Filter, FilterValue};
use protocol::scim::name::CanonicalName;
use protocol::scim::path::AttributePath;
use protocol::scim::resource_type::ResourceType;
use sea_orm::Value;
use sea_orm::sea_query::Expr;

use super::Scope;
use super::compare::{bytewise, order};
use super::fragment::Fragment;
use super::place::{Form, promoted};
use super::rows::table;
use crate::store::DatabaseKind;
use crate::store::emails::is_listed;

/// No more than so many: each is one more join to plan, and the first leaves few rows.
const MAX_CONDITIONS: usize = 2;

/// Conditions that hold wherever the filter holds, the most selective first. Comparisons with a column of their own need
/// none: `userName eq`, `externalId eq`, `active eq`, `meta.lastModified gt` are written so that an index serves them.
pub(in crate::answer) fn narrowing(scope: Scope<'_>, workspace: &WorkspaceId, filter: &Filter) -> Vec<Expr> {
    let kind = filter.resource_type();
    let parts = conjuncts(filter);
    let listed = parts.iter().filter_map(|part| listed(workspace, kind, part));
    let ranges = parts.iter().filter_map(|part| range(scope, workspace, kind, part));
    listed.chain(ranges).take(MAX_CONDITIONS).map(|fragment| fragment.into_expr(scope.kind)).collect()
}

/// What all has to hold for the filter to hold.
fn conjuncts(filter: &Filter) -> Vec<&Filter> {
    match filter {
        Filter::And(filters) => filters.iter().flat_map(conjuncts).collect(),
        Filter::Or(_) | Filter::Not(_) | Filter::Present(_) | Filter::Compare { .. } | Filter::ValuePath { .. } => {
            vec![filter]
        }
    }
}

/// One of several values is equal: the row is one of those that rows beside it name.
fn listed(workspace: &WorkspaceId, kind: ResourceType, filter: &Filter) -> Option<Fragment> {
    match filter {
        Filter::Compare { path, op: CompareOp::Eq, value: FilterValue::String(wanted) } => {
            let (rows, value) = rows_with(kind, path, wanted)?;
            let text = format!("{}.\"id\" IN (SELECT {rows} = ?)", table(kind));
            Some(Fragment::with(text, [Value::from(workspace.as_str()), value]))
        }
        Filter::ValuePath { filter, .. } => {
            conjuncts(filter).into_iter().find_map(|part| listed(workspace, kind, part))
        }
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) | Filter::Present(_) | Filter::Compare { .. } => None,
    }
}

/// The rows beside a resource's own that have a value, and the value.
fn rows_with(kind: ResourceType, path: &AttributePath, wanted: &str) -> Option<(&'static str, Value)> {
    let is_value = path.extension().is_none() && path.compared().is_some_and(|part| part.name == "value");
    let id = || Some(Value::from(wanted.parse::<ResourceId>().ok()?.0));
    match (kind, path.attribute().name) {
        _ if !is_value => None,
        (ResourceType::User, "emails") => {
            let wanted = CanonicalName::of(wanted);
            let rows = "e.\"user_id\" FROM \"user_emails\" AS e WHERE e.\"workspace\" = ? AND e.\"value\"";
            is_listed(wanted.as_str()).then(|| (rows, Value::from(wanted.as_str())))
        }
        (ResourceType::User, "groups") => {
            let rows = "m.\"member_id\" FROM \"group_members\" AS m WHERE m.\"workspace\" = ? AND m.\"group_id\"";
            Some((rows, id()?))
        }
        (ResourceType::Group, "members") => {
            let rows = "m.\"group_id\" FROM \"group_members\" AS m WHERE m.\"workspace\" = ? AND m.\"member_id\"";
            Some((rows, id()?))
        }
        _ => None,
    }
}

/// A column lies in a range that an index of it serves.
fn range(scope: Scope<'_>, workspace: &WorkspaceId, kind: ResourceType, filter: &Filter) -> Option<Fragment> {
    let Filter::Compare { path, op, value } = filter else { return None };
    let (column, bounds) = match (op, value) {
        (CompareOp::Sw, FilterValue::String(wanted)) => begins_with(kind, path, wanted)?,
        (op, FilterValue::Time(wanted)) => {
            (modified_at(scope.kind, kind, path)?, vec![(order(*op)?, Value::from(wanted.as_millis()))])
        }
        _ => return None,
    };
    let collation = if let CompareOp::Sw = op { bytewise(scope.kind) } else { "" };
    let all = bounds.iter().map(|(operator, _)| format!("{}.\"{column}\"{collation} {operator} ?", table(kind)));
    let range = Fragment::with(all.collect::<Vec<_>>().join(" AND "), bounds.into_iter().map(|(_, value)| value));
    // Of these columns SQLite chooses by id, out of the index alone: it cannot know how many there are in the range, and
    // would read and sort all of them, or walk through everybody, for one page. The other indexes do not hold the id.
    let holds_id = kind == ResourceType::User && matches!(column, "display_name_key" | "modified_at");
    if scope.kind == DatabaseKind::Postgres || !holds_id {
        return Some(range.wrapped("(", ")"));
    }
    let own = Fragment::with(format!("{}.\"workspace\" = ?", table(kind)), [Value::from(workspace.as_str())]);
    let rows = format!("{0}.\"id\" IN (SELECT {0}.\"id\" FROM {0} WHERE ", table(kind));
    Some(Fragment::all([own, range]).wrapped(&rows, ")"))
}

type Bounds = Vec<(&'static str, Value)>;

/// A name begins so: it lies, byte by byte, between two texts.
fn begins_with(kind: ResourceType, path: &AttributePath, wanted: &str) -> Option<(&'static str, Bounds)> {
    let (column, _) = promoted(kind, path).filter(|(_, form)| matches!(form, Form::Name | Form::Text))?;
    let from =
        if path.compared()?.case_exact { wanted.to_owned() } else { CanonicalName::of(wanted).as_str().to_owned() };
    let before = after_all_that_begin_with(&from)?;
    Some((column, vec![(">=", Value::from(from)), ("<", Value::from(before))]))
}

/// Where an index by it is: PostgreSQL, which knows how many there are, finds it by itself.
fn modified_at(database: DatabaseKind, kind: ResourceType, path: &AttributePath) -> Option<&'static str> {
    let is_indexed = database == DatabaseKind::Sqlite && kind == ResourceType::User;
    let name = path.sub_attribute().map(|sub| sub.name);
    (is_indexed && path.attribute().name == "meta" && name == Some("lastModified")).then_some("modified_at")
}

/// The first text, byte by byte, behind all that begin with this one. UTF-8 is ordered as its characters are numbered.
/// There is none behind what begins with nothing, or with nothing but the last character of all.
fn after_all_that_begin_with(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // A range of characters leaves the surrogates out.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn narrowed(kind: ResourceType, filter: &str) -> usize {
        let scope = Scope { kind: DatabaseKind::Sqlite, base_url: "https://scim.example.com" };
        narrowing(scope, &"acme".parse().unwrap(), &Filter::parse(kind, filter).unwrap()).len()
    }

    #[test]
    fn what_an_index_answers_narrows_wherever_it_must_hold() {
        for filter in [
            r#"emails eq "a@b.c""#,
            r#"emails.value eq "a@b.c" and active eq true"#,
            r#"emails[type eq "work" and value eq "a@b.c"]"#,
            r#"emails[type eq "work"].value eq "a@b.c""#,
            r#"title pr and (active eq true and displayName sw "x")"#,
            r#"userName sw "x" and not (emails eq "a@b.c")"#,
            r#"meta.lastModified gt "2026-01-01T00:00:00Z""#,
            r#"groups.value eq "01900000-0000-7000-9000-000000000001""#,
        ] {
            assert_eq!(narrowed(ResourceType::User, filter), 1, "{filter}");
        }
        let three = r#"displayName sw "x" and emails eq "a" and userName sw "y""#;
        assert_eq!(narrowed(ResourceType::User, three), MAX_CONDITIONS);
        let member = r#"members[value eq "01900000-0000-7000-9000-000000000001" and type eq "User"]"#;
        assert_eq!(narrowed(ResourceType::Group, member), 1);
    }

    #[test]
    fn what_need_not_hold_or_no_index_answers_narrows_nothing() {
        let long = format!("emails.value eq \"{}\"", "x".repeat(801));
        for filter in [
            r#"emails eq "a@b.c" or active eq true"#,
            r#"not (emails eq "a@b.c")"#,
            r#"emails[not (value eq "a@b.c")]"#,
            r#"emails[type eq "work" or value eq "a@b.c"]"#,
            r#"emails.type eq "work""#,
            r#"emails.value ne "a@b.c""#,
            "emails.value eq null",
            r#"displayName sw """#,
            r#"name.givenName sw "x""#,
            r#"meta.version sw "W""#,
            r#"groups.value eq "nonsense""#,
            &long,
        ] {
            assert_eq!(narrowed(ResourceType::User, filter), 0, "{filter}");
        }
    }

    #[test]
    fn a_range_ends_behind_everything_that_begins_so() {
        for (prefix, end) in [
            ("ab", Some("ac")),
            ("a\u{7f}", Some("a\u{80}")),
            ("\u{d7ff}", Some("\u{e000}")),
            ("a\u{10ffff}\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            assert_eq!(after_all_that_begin_with(prefix).as_deref(), end);
            assert!(end.is_none_or(|end| format!("{prefix}\u{10ffff}\u{10ffff}").as_str() < end));
        }
    }
}
