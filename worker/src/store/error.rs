//! What can go wrong with the database, in classes that one pure function decides.

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
    /// Nothing proves that it lies in the command: the database is away, out of room, broken or not set up. Never
    /// condemns a message by itself.
    Unknown,
    /// Another transaction holds a row or, on SQLite, the database.
    Locked,
    /// Another transaction was faster: redo at once, from the start.
    Raced,
    /// The database refuses this command's own data.
    Poison,
    /// Its number in the log is that of another message: the log has to be renumbered, unless it was already.
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
        Self { doing, class: Class::Unknown, cause: Cause("no answer in time".to_owned()) }
    }

    /// Another transaction was faster.
    pub(crate) fn lost_race(doing: &'static str) -> Self {
        Self { doing, class: Class::Raced, cause: Cause("another transaction was faster".to_owned()) }
    }

    /// SQL knows another operation under the same number.
    pub(crate) fn number_taken(doing: &'static str) -> Self {
        let cause = Cause("another operation has its number".to_owned());
        Self { doing, class: Class::Renumber, cause }
    }

    /// The log was renumbered since the command was read.
    pub(crate) fn renumbered(doing: &'static str) -> Self {
        Self { doing, class: Class::Renumber, cause: Cause("the log is renumbered".to_owned()) }
    }

    /// A value of the command itself, or of the configuration, cannot be used; `why` must not quote it.
    pub(crate) fn broken(doing: &'static str, why: impl fmt::Display) -> Self {
        Self { doing, class: Class::Poison, cause: Cause(why.to_string()) }
    }

    /// This build cannot read a stored value; `why` must not quote it. Another build may have written it, so it proves
    /// nothing against the command that needs it.
    pub(crate) fn unreadable(doing: &'static str, why: impl fmt::Display) -> Self {
        Self { doing, class: Class::Unknown, cause: Cause(why.to_string()) }
    }

    /// The same failure: the database is away.
    pub(crate) fn outage(self) -> Self {
        Self { class: Class::Unknown, ..self }
    }

    /// What the failure means.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether time may heal it.
    pub const fn is_unavailable(&self) -> bool {
        matches!(self.class, Class::Unknown | Class::Locked | Class::Raced)
    }

    /// What was being done and why it failed, in one sentence without personal data.
    pub fn reason(&self) -> String {
        format!("{}: {}", self.doing, self.cause)
    }
}

/// The class of a driver's error (ARCHITECTURE.md, "Failure classes"). Poison is only what the database says of the data.
pub(crate) fn classify(error: &DbErr) -> Class {
    match error {
        // At start only: the URL or an option in it is not valid.
        DbErr::Conn(RuntimeErr::SqlxError(error)) if matches!(error.as_ref(), SqlxError::Configuration(_)) => {
            Class::Poison
        }
        DbErr::Conn(RuntimeErr::Internal(_)) => Class::Poison,
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => match error.as_ref() {
            SqlxError::Database(error) => classify_code(error.as_ref()),
            // A value that the driver cannot write is the command's own.
            SqlxError::Encode(_) => Class::Poison,
            _ => Class::Unknown,
        },
        _ => Class::Unknown,
    }
}

fn classify_code(error: &dyn DatabaseError) -> Class {
    let Some(code) = error.code() else { return Class::Unknown };
    match code.parse::<u32>() {
        // SQLSTATEs have five characters, SQLite's result codes at most four digits.
        Ok(number) if code.len() < 5 => classify_sqlite(number),
        Ok(_) | Err(_) => classify_sqlstate(&code),
    }
}

/// By SQLSTATE (PostgreSQL, appendix A).
fn classify_sqlstate(code: &str) -> Class {
    match (code, code.get(..2)) {
        // Lock not available.
        ("55P03", _) => Class::Locked,
        // Unique violation: another resource has the name since it was looked up. Transaction rollback: deadlock and
        // serialization failure.
        ("23505", _) | (_, Some("40")) => Class::Raced,
        // Data exception, integrity constraint violation, program limit exceeded.
        (_, Some("22" | "23" | "54")) => Class::Poison,
        _ => Class::Unknown,
    }
}

/// By SQLite's extended result code.
fn classify_sqlite(code: u32) -> Class {
    const PRIMARY_KEY: u32 = 1555;
    const UNIQUE: u32 = 2067;
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const TOO_BIG: u32 = 18;
    const CONSTRAINT: u32 = 19;
    const MISMATCH: u32 = 20;
    match (code, code & 0xff) {
        (PRIMARY_KEY | UNIQUE, _) => Class::Raced,
        (_, BUSY | LOCKED) => Class::Locked,
        (_, CONSTRAINT | TOO_BIG | MISMATCH) => Class::Poison,
        _ => Class::Unknown,
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
        Some("14") if code.len() == 2 => {
            "the file cannot be opened (SQLite code 14): does its folder exist, and may this process write there?"
                .to_owned()
        }
        Some("08" | "0A" | "53" | "57" | "58" | "28" | "3D" | "3F" | "42" | "25" | "26" | "55" | "40")
            if code.len() == 5 =>
        {
            format!("{code} {}", error.message())
        }
        _ => format!("error code {code}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_proves_condemns_no_command() {
        let codes = ["08006", "0A000", "25006", "25P03", "28000", "42P01", "53300", "57014", "57P01", "58030", "P0001"];
        for code in codes.into_iter().chain(["XX000", "XX001"]) {
            assert_eq!(classify_sqlstate(code), Class::Unknown, "{code}");
        }
        for code in [1, 8, 10, 11, 13, 14, 3850] {
            assert_eq!(classify_sqlite(code), Class::Unknown, "{code}");
        }
    }

    #[test]
    fn a_lock_and_a_lost_race_are_contention() {
        assert_eq!(classify_sqlstate("55P03"), Class::Locked);
        for code in ["40001", "40P01", "23505"] {
            assert_eq!(classify_sqlstate(code), Class::Raced, "{code}");
        }
        for code in [5, 6, 261, 262, 517] {
            assert_eq!(classify_sqlite(code), Class::Locked, "{code}");
        }
        assert_eq!((classify_sqlite(1555), classify_sqlite(2067)), (Class::Raced, Class::Raced));
    }

    #[test]
    fn what_the_database_says_of_the_data_is_poison() {
        for code in ["22001", "22P05", "23514", "23502", "54000"] {
            assert_eq!(classify_sqlstate(code), Class::Poison, "{code}");
        }
        for code in [275, 1299, 1811, 18, 20] {
            assert_eq!(classify_sqlite(code), Class::Poison, "{code}");
        }
    }
}
