//! One value against another.

use protocol::id::ResourceId;
use protocol::scim::filter::{CompareOp, FilterValue};
use protocol::scim::name::CanonicalName;
use protocol::scim::schema::AttributeDefinition;
use sea_orm::Value;

use super::Scope;
use super::fragment::Fragment;
use super::place::{Form, Place};
use crate::store::DatabaseKind;

impl Place {
    /// Whether there is a value.
    pub(super) fn is_there(&self) -> Fragment {
        match self.form {
            Form::Name | Form::Integer | Form::Boolean => Fragment::TRUE,
            Form::Json | Form::Text | Form::Id => Fragment::text(format!("({} IS NOT NULL)", self.sql)),
        }
    }

    /// Whether there is a value that is not the empty text (`pr`).
    pub(super) fn is_present(&self) -> Fragment {
        match self.form {
            Form::Json | Form::Text => Fragment::text(format!("COALESCE({} <> '', FALSE)", self.sql)),
            Form::Name | Form::Id | Form::Integer | Form::Boolean => self.is_there(),
        }
    }

    /// Whether the value compares so with `wanted`; false where there is none, or one of another type.
    pub(super) fn compare(
        &self,
        scope: Scope<'_>,
        definition: &AttributeDefinition,
        op: CompareOp,
        wanted: &FilterValue,
    ) -> Fragment {
        match wanted {
            FilterValue::Null => Fragment::FALSE,
            FilterValue::Boolean(wanted) => self.compare_boolean(scope, op, *wanted),
            FilterValue::Number(wanted) => {
                wanted.as_f64().map_or(Fragment::FALSE, |wanted| self.compare_number(scope, op, wanted))
            }
            FilterValue::Time(wanted) => self.compare_time(scope, op, wanted.as_millis()),
            FilterValue::String(wanted) if definition.case_exact => self.compare_text(scope, op, wanted),
            FilterValue::String(wanted) => self.compare_text(scope, op, CanonicalName::of(wanted).as_str()),
        }
    }

    fn compare_boolean(&self, scope: Scope<'_>, op: CompareOp, wanted: bool) -> Fragment {
        let sql = &self.sql;
        match (self.form, scope.kind, op) {
            (Form::Boolean, _, CompareOp::Eq) => Fragment::with(format!("{sql} = ?"), [Value::from(wanted)]),
            (Form::Json, DatabaseKind::Postgres, CompareOp::Eq) => {
                Fragment::text(format!("COALESCE({sql} = '{wanted}', FALSE)"))
            }
            (Form::Json, DatabaseKind::Sqlite, CompareOp::Eq) => {
                Fragment::text(format!("COALESCE({sql} = {}, FALSE)", u8::from(wanted)))
            }
            _ => Fragment::FALSE,
        }
    }

    fn compare_number(&self, scope: Scope<'_>, op: CompareOp, wanted: f64) -> Fragment {
        let (Form::Json, Some(operator)) = (self.form, order(op)) else { return Fragment::FALSE };
        let number = scope.number(&self.sql);
        let (bound, wanted) = match scope.kind {
            DatabaseKind::Postgres => ("?", Value::from(wanted)),
            // SQLite does not read every decimal exactly: both sides have to be read by it, from the same text.
            DatabaseKind::Sqlite => ("CAST(? AS REAL)", Value::from(serde_json::Value::from(wanted).to_string())),
        };
        Fragment::with(format!("COALESCE({number} {operator} {bound}, FALSE)"), [wanted])
    }

    fn compare_time(&self, scope: Scope<'_>, op: CompareOp, wanted: i64) -> Fragment {
        let Some(operator) = order(op) else { return Fragment::FALSE };
        match (self.form, scope.kind) {
            (Form::Integer, _) => Fragment::with(format!("{} {operator} ?", self.sql), [Value::from(wanted)]),
            (Form::Json, DatabaseKind::Postgres) => {
                Fragment::with(format!("COALESCE({}::bigint {operator} ?, FALSE)", self.sql), [Value::from(wanted)])
            }
            (Form::Json, DatabaseKind::Sqlite) => {
                Fragment::with(format!("COALESCE({} {operator} ?, FALSE)", self.sql), [Value::from(wanted)])
            }
            _ => Fragment::FALSE,
        }
    }

    fn compare_text(&self, scope: Scope<'_>, op: CompareOp, wanted: &str) -> Fragment {
        if wanted.is_empty() && matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew) {
            return self.is_there();
        }
        match (self.form, op) {
            (Form::Id, CompareOp::Eq) => self.compare_id(wanted),
            (Form::Id, op) => Self::compare_parts(scope, &scope.id_text(&self.sql), op, wanted),
            (Form::Name, CompareOp::Eq) => Fragment::with(format!("{} = ?", self.sql), [Value::from(wanted)]),
            // Written so that an index on the column serves it.
            (Form::Text, CompareOp::Eq) => {
                Fragment::with(format!("({0} IS NOT NULL AND {0} = ?)", self.sql), [Value::from(wanted)])
            }
            (Form::Json | Form::Text | Form::Name, op) => Self::compare_parts(scope, &self.sql, op, wanted),
            (Form::Integer | Form::Boolean, _) => Fragment::FALSE,
        }
    }

    /// An id has one spelling; another spelling matches nothing.
    fn compare_id(&self, wanted: &str) -> Fragment {
        match wanted.parse::<ResourceId>() {
            Ok(id) if id.to_string() == wanted => Fragment::with(format!("{} = ?", self.sql), [Value::from(id.0)]),
            Ok(_) | Err(_) => Fragment::FALSE,
        }
    }

    fn compare_parts(scope: Scope<'_>, sql: &str, op: CompareOp, wanted: &str) -> Fragment {
        let (text, times) = match (op, scope.kind) {
            (CompareOp::Co, DatabaseKind::Postgres) => (format!("strpos({sql}, ?) > 0"), 1),
            (CompareOp::Co, DatabaseKind::Sqlite) => (format!("instr({sql}, ?) > 0"), 1),
            (CompareOp::Sw, DatabaseKind::Postgres) => (format!("starts_with({sql}, ?)"), 1),
            (CompareOp::Sw, DatabaseKind::Sqlite) => (format!("substr({sql}, 1, length(?)) = ?"), 2),
            (CompareOp::Ew, DatabaseKind::Postgres) => (format!("right({sql}, length(?)) = ?"), 2),
            (CompareOp::Ew, DatabaseKind::Sqlite) => (format!("substr({sql}, -length(?)) = ?"), 2),
            (op, kind) => match order(op) {
                Some(operator) => (format!("{}{} {operator} ?", sql, bytewise(kind)), 1),
                None => return Fragment::FALSE,
            },
        };
        let values = std::iter::repeat_n(Value::from(wanted), times);
        Fragment::with(text, values).wrapped("COALESCE(", ", FALSE)")
    }
}

impl Scope<'_> {
    /// A value out of JSON as a number.
    pub(super) fn number(self, sql: &str) -> String {
        match self.kind {
            DatabaseKind::Postgres => format!("({sql})::double precision"),
            DatabaseKind::Sqlite => format!("CAST({sql} AS REAL)"),
        }
    }
}

/// Text is ordered byte by byte, whatever the database's locale; SQLite does so by itself.
pub(super) const fn bytewise(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Postgres => " COLLATE \"C\"",
        DatabaseKind::Sqlite => "",
    }
}

pub(super) const fn order(op: CompareOp) -> Option<&'static str> {
    match op {
        CompareOp::Eq => Some("="),
        CompareOp::Gt => Some(">"),
        CompareOp::Ge => Some(">="),
        CompareOp::Lt => Some("<"),
        CompareOp::Le => Some("<="),
        CompareOp::Ne | CompareOp::Co | CompareOp::Sw | CompareOp::Ew => None,
    }
}
