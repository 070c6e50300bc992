//! Why the schema could not be brought to another state.

use sea_orm_migration::prelude::DbErr;
use sea_orm_migration::sea_orm::{RuntimeErr, SqlxError};

/// A migration failed; the schema is as it was before. Never prints the database's URL.
#[derive(Debug, thiserror::Error)]
#[error("{doing}")]
pub struct MigrateError {
    doing: &'static str,
    unavailable: bool,
    #[source]
    cause: Cause,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

impl MigrateError {
    /// Whether time may heal it: the database is away, or another process holds it.
    pub const fn is_unavailable(&self) -> bool {
        self.unavailable
    }

    pub(crate) fn connect(error: &DbErr) -> Self {
        Self::new("connecting to the database to migrate it", error)
    }

    pub(crate) fn exclude(error: &DbErr) -> Self {
        Self::new("waiting until no other process migrates", error)
    }

    pub(crate) fn apply(error: &DbErr) -> Self {
        Self::new("migrating", error)
    }

    pub(crate) fn status(error: &DbErr) -> Self {
        Self::new("reading which migrations were applied", error)
    }

    pub(crate) fn unknown_scheme() -> Self {
        let cause = Cause("it must begin with sqlite: or postgres:".to_owned());
        Self { doing: "reading the database's URL", unavailable: false, cause }
    }

    fn new(doing: &'static str, error: &DbErr) -> Self {
        Self { doing, unavailable: may_pass(error), cause: Cause(describe(error)) }
    }
}

fn sqlx(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

fn may_pass(error: &DbErr) -> bool {
    match sqlx(error) {
        Some(SqlxError::Configuration(_)) => false,
        Some(SqlxError::Database(error)) => error.code().is_some_and(|code| {
            // Connection, resources, operator intervention, lock timeout; SQLite: busy, locked.
            ["08", "53", "57", "55P03", "40"].iter().any(|class| code.starts_with(class)) && code.len() == 5
                || code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
        }),
        Some(_) => true,
        None => matches!(error, DbErr::ConnectionAcquire(_)),
    }
}

/// The driver's own words, except those that could hold the URL.
fn describe(error: &DbErr) -> String {
    match sqlx(error) {
        Some(SqlxError::Configuration(_)) => "the URL or its options are not valid".to_owned(),
        Some(error) => error.to_string(),
        None if matches!(error, DbErr::Conn(_)) => "the connection cannot be opened".to_owned(),
        None => error.to_string(),
    }
}
