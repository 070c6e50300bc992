//! What can go wrong with the database, in three classes, decided by one pure function.

use std::fmt;

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr};

/// A database operation failed. Says what was being done; the source says why, without values from the rows.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{doing}")]
pub struct StoreError {
    doing: &'static str,
    class: Class,
    #[source]
    cause: Cause,
}

/// What a failure means for the work at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The database is away, out of room or not ready: try again later. Never condemns a message.
    Unavailable,
    /// Another transaction was in the way: redo at once, from the start.
    Contended,
    /// The operation itself cannot be applied.
    Broken,
    /// Its number in the log is that of another message: the log has to be numbered anew, unless it was already.
    Renumber,
}

/// Why, in words that hold no personal data.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
struct Cause(String);

impl StoreError {
    /// Wraps a driver's error.
    pub(crate) fn new(doing: &'static str, error: &DbErr) -> Self {
        Self { doing, class: classify(error), cause: Cause(describe(error)) }
    }

    /// The database did not answer in time.
    pub(crate) fn timed_out(doing: &'static str) -> Self {
        Self { doing, class: Class::Unavailable, cause: Cause("no answer in time".to_owned()) }
    }

    /// Another transaction was faster.
    pub(crate) fn lost_race(doing: &'static str) -> Self {
        Self { doing, class: Class::Contended, cause: Cause("another transaction was faster".to_owned()) }
    }

    /// SQL knows another operation under the same number.
    pub(crate) fn number_taken(doing: &'static str) -> Self {
        let cause = Cause("another operation has its number".to_owned());
        Self { doing, class: Class::Renumber, cause }
    }

    /// The log was numbered anew since the command was read.
    pub(crate) fn renumbered(doing: &'static str) -> Self {
        Self { doing, class: Class::Renumber, cause: Cause("the log is numbered anew".to_owned()) }
    }

    /// A stored or sent value cannot be used; `why` must not quote it.
    pub(crate) fn broken(doing: &'static str, why: impl fmt::Display) -> Self {
        Self { doing, class: Class::Broken, cause: Cause(why.to_string()) }
    }

    /// The same failure, as one that time may heal.
    pub(crate) fn unavailable(self) -> Self {
        Self { class: Class::Unavailable, ..self }
    }

    /// What the failure means.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether time may heal it.
    pub fn is_unavailable(&self) -> bool {
        self.class == Class::Unavailable
    }

    /// What was being done and why it failed, in one sentence without personal data.
    pub fn reason(&self) -> String {
        format!("{}: {}", self.doing, self.cause)
    }
}

/// The class of a driver's error.
pub(crate) fn classify(error: &DbErr) -> Class {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error)) if matches!(error.as_ref(), SqlxError::Configuration(_)) => {
            Class::Broken
        }
        DbErr::Conn(RuntimeErr::Internal(_)) => Class::Broken,
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Class::Unavailable,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match error.as_ref() {
                SqlxError::Database(error) => classify_code(error.as_ref()),
                SqlxError::ColumnDecode { .. }
                | SqlxError::ColumnNotFound(_)
                | SqlxError::ColumnIndexOutOfBounds { .. }
                | SqlxError::Decode(_)
                | SqlxError::Encode(_)
                | SqlxError::TypeNotFound { .. }
                | SqlxError::RowNotFound => Class::Broken,
                // Input and output, TLS, protocol, a closed or exhausted pool: the connection, not the operation.
                _ => Class::Unavailable,
            }
        }
        _ => Class::Broken,
    }
}

fn classify_code(error: &dyn DatabaseError) -> Class {
    let Some(code) = error.code() else { return Class::Unavailable };
    match code.parse::<u32>() {
        // SQLSTATEs have five characters, SQLite's result codes at most four digits.
        Ok(number) if code.len() < 5 => classify_sqlite(number),
        Ok(_) | Err(_) => classify_sqlstate(&code),
    }
}

/// By SQLSTATE (PostgreSQL, appendix A).
fn classify_sqlstate(code: &str) -> Class {
    match code {
        // Serialization failure, deadlock, lock timeout, unique violation.
        "40001" | "40P01" | "55P03" | "23505" => return Class::Contended,
        "XX001" | "XX002" => return Class::Unavailable,
        _ => {}
    }
    match code.get(..2) {
        // Connection, resources, operator intervention, system: the server is not able to. Authorisation, missing
        // database or table, wrong transaction state (a standby, a timed-out session): it is not set up to.
        Some("08" | "53" | "57" | "58" | "28" | "3D" | "3F" | "42" | "25" | "26" | "55" | "40" | "0A") => {
            Class::Unavailable
        }
        _ => Class::Broken,
    }
}

/// By SQLite's extended result code.
fn classify_sqlite(code: u32) -> Class {
    const PRIMARY_KEY: u32 = 1555;
    const UNIQUE: u32 = 2067;
    const CONSTRAINT: u32 = 19;
    const TOO_BIG: u32 = 18;
    const MISMATCH: u32 = 20;
    match (code, code & 0xff) {
        (PRIMARY_KEY | UNIQUE, _) => Class::Contended,
        (_, CONSTRAINT | TOO_BIG | MISMATCH) => Class::Broken,
        // Busy, locked, input and output, full, read-only, no such table: not this operation's fault.
        _ => Class::Unavailable,
    }
}

/// The cause without values: messages about data may quote the data.
fn describe(error: &DbErr) -> String {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))
    | DbErr::Conn(RuntimeErr::SqlxError(cause))) = error
    else {
        return match error {
            DbErr::ConnectionAcquire(cause) => cause.to_string(),
            DbErr::Type(_) | DbErr::Json(_) | DbErr::TryIntoErr { .. } => {
                "a stored value has the wrong type".to_owned()
            }
            DbErr::Conn(_) => "the connection cannot be opened".to_owned(),
            _ => "the database layer refused the statement".to_owned(),
        };
    };
    match cause.as_ref() {
        SqlxError::Database(error) => describe_database(error.as_ref()),
        SqlxError::Io(error) => error.kind().to_string(),
        SqlxError::PoolTimedOut => "no connection became free in time".to_owned(),
        SqlxError::PoolClosed => "the connections are closed".to_owned(),
        SqlxError::Tls(_) => "TLS failed".to_owned(),
        SqlxError::Configuration(_) => "the database URL or its options are not valid".to_owned(),
        SqlxError::ColumnDecode { index, .. } => format!("column {index} holds a value of the wrong type"),
        _ => "the driver failed".to_owned(),
    }
}

fn describe_database(error: &dyn DatabaseError) -> String {
    let code = error.code().unwrap_or_default();
    let place = match (error.table(), error.constraint()) {
        (Some(table), Some(constraint)) => format!(" on {table}, {constraint}"),
        (Some(table), None) => format!(" on {table}"),
        (None, Some(constraint)) => format!(" on {constraint}"),
        (None, None) => String::new(),
    };
    match code.get(..2) {
        Some("08" | "53" | "57" | "58" | "28" | "3D" | "3F" | "42" | "25" | "55" | "40") if code.len() == 5 => {
            format!("{code} {}", error.message())
        }
        _ => format!("error code {code}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_never_condemns_an_operation() {
        for code in ["08006", "53300", "57014", "57P01", "25P03", "25006", "42P01", "28000", "XX001"] {
            assert_eq!(classify_sqlstate(code), Class::Unavailable, "{code}");
        }
        for code in [5, 6, 10, 13, 14, 261, 517, 3850, 1] {
            assert_eq!(classify_sqlite(code), Class::Unavailable, "{code}");
        }
    }

    #[test]
    fn a_lost_race_is_redone() {
        for code in ["40001", "40P01", "55P03", "23505"] {
            assert_eq!(classify_sqlstate(code), Class::Contended, "{code}");
        }
        assert_eq!((classify_sqlite(1555), classify_sqlite(2067)), (Class::Contended, Class::Contended));
    }

    #[test]
    fn what_the_data_breaks_is_the_operations_own_fault() {
        for code in ["22001", "22P05", "23514", "23502", "P0001", "54000"] {
            assert_eq!(classify_sqlstate(code), Class::Broken, "{code}");
        }
        for code in [275, 1299, 1811, 18, 20] {
            assert_eq!(classify_sqlite(code), Class::Broken, "{code}");
        }
    }
}
