//! Pieces of SQL with the values that they bind. Nothing that a client sends is ever part of the text.

use std::borrow::Cow;

use sea_orm::Value;
use sea_orm::sea_query::Expr;

use crate::store::DatabaseKind;

/// A piece of SQL; each `?` in the text stands for the next value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fragment {
    text: Cow<'static, str>,
    values: Vec<Value>,
}

impl Fragment {
    /// What always holds.
    pub(super) const TRUE: Self = Self { text: Cow::Borrowed("TRUE"), values: Vec::new() };
    /// What never holds.
    pub(super) const FALSE: Self = Self { text: Cow::Borrowed("FALSE"), values: Vec::new() };

    /// Text without values.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into().into(), values: Vec::new() }
    }

    /// Text with a `?` for each of the values.
    pub(super) fn with(text: impl Into<String>, values: impl IntoIterator<Item = Value>) -> Self {
        Self { text: text.into().into(), values: values.into_iter().collect() }
    }

    /// All of them hold.
    pub(super) fn all(fragments: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(fragments, " AND ", Self::TRUE)
    }

    /// At least one of them holds.
    pub(super) fn any(fragments: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(fragments, " OR ", Self::FALSE)
    }

    fn joined(fragments: impl IntoIterator<Item = Self>, operator: &str, empty: Self) -> Self {
        let mut fragments = fragments.into_iter();
        let Some(mut joined) = fragments.next() else { return empty };
        let mut several = false;
        for fragment in fragments {
            several = true;
            joined.text.to_mut().push_str(operator);
            joined.text.to_mut().push_str(&fragment.text);
            joined.values.extend(fragment.values);
        }
        if several { joined.wrapped("(", ")") } else { joined }
    }

    /// It does not hold.
    pub(super) fn negated(self) -> Self {
        self.wrapped("NOT (", ")")
    }

    /// The same condition, of which PostgreSQL's planner makes no joins. It joins every EXISTS of an `and` with the rest, and
    /// looks for the best order of all: measured, more than ten seconds for a filter of 128 comparisons, which cannot be
    /// cancelled meanwhile.
    pub(super) fn one_by_one(self) -> Self {
        self.wrapped("(", " OR FALSE)")
    }

    /// The text between two others.
    pub(super) fn wrapped(self, before: &str, after: &str) -> Self {
        Self { text: format!("{before}{}{after}", self.text).into(), values: self.values }
    }

    /// As an expression of the query builder, which wants the placeholders of its database.
    pub(super) fn into_expr(self, kind: DatabaseKind) -> Expr {
        match kind {
            DatabaseKind::Sqlite => Expr::cust_with_values(self.text.into_owned(), self.values),
            DatabaseKind::Postgres => Expr::cust_with_values(numbered(&self.text), self.values),
        }
    }
}

/// Each `?` outside quotes as `$1`, `$2` and so on.
fn numbered(text: &str) -> String {
    let (mut numbered, mut number, mut quote) = (String::with_capacity(text.len()), 0_usize, None);
    for character in text.chars() {
        match (quote, character) {
            (None, '?') => {
                number += 1;
                numbered.push('$');
                numbered.push_str(&number.to_string());
                continue;
            }
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None | Some(_), _) => {}
        }
        numbered.push(character);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_values_in_order() {
        let piece = |text: &str, value: i64| Fragment::with(text, [Value::from(value)]);
        let any = Fragment::any([piece("a = ?", 1), Fragment::all([piece("b = ?", 2), piece("c = ?", 3)]).negated()]);
        assert_eq!(any.text, "(a = ? OR NOT ((b = ? AND c = ?)))");
        assert_eq!(any.values, [1, 2, 3].map(|value: i64| Value::from(value)));
        assert_eq!(numbered(&any.text), "(a = $1 OR NOT ((b = $2 AND c = $3)))");
        assert_eq!(numbered("'?' = \"?\" || ?"), "'?' = \"?\" || $1");
        assert_eq!(Fragment::all([]), Fragment::TRUE);
        assert_eq!(Fragment::any([]), Fragment::FALSE);
    }
}
