//! The database, read beside the workers: what was accepted, and the rows of members.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};
use uuid::Uuid;

use crate::harness::System;

/// A connection to the database of a system.
pub(super) struct Ledger(DatabaseConnection);

/// One row of the ledger.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) sequence: i64,
    pub(super) fingerprint: String,
    pub(super) status: u16,
    pub(super) version: Option<i64>,
    /// It was held on its way, and yielded to what had arrived after it.
    pub(super) superseded: bool,
    /// It took access away before its turn, at a moment that only the versions tell.
    pub(super) came_first: bool,
}

impl Ledger {
    pub(super) async fn open(system: &System) -> Self {
        Self(system.sql().await)
    }

    /// Everything but creates, in the order in which the log accepted it. `logs` are those of the workers.
    pub(super) async fn changes(&self, logs: &str) -> Vec<Operation> {
        let came_first: Vec<&str> = logs.lines().filter(|line| line.contains("access is taken away now")).collect();
        let sql = "SELECT sequence, fingerprint, CAST(status AS BIGINT), version, state, operation FROM operations \
                   WHERE kind <> 'create' ORDER BY sequence";
        let operation = |row: &QueryResult| Operation {
            sequence: row.try_get_by_index(0).unwrap(),
            fingerprint: row.try_get_by_index(1).unwrap(),
            status: u16::try_from(row.try_get_by_index::<i64>(2).unwrap()).unwrap(),
            version: row.try_get_by_index(3).unwrap(),
            superseded: row.try_get_by_index::<String>(4).unwrap() == "superseded",
            came_first: {
                let operation = row.try_get_by_index::<Uuid>(5).unwrap().to_string();
                came_first.iter().any(|line| line.contains(&operation))
            },
        };
        self.rows(sql).await.iter().map(operation).collect()
    }

    /// The members of a group, known or not, and how many the group itself says that it has.
    pub(super) async fn members(&self, group: Uuid) -> (BTreeSet<Uuid>, usize) {
        let all = self.rows("SELECT group_id, member_id FROM group_members").await;
        let of = |row: &QueryResult, index| row.try_get_by_index::<Uuid>(index).unwrap();
        let members = all.iter().filter(|row| of(row, 0) == group).map(|row| of(row, 1)).collect();
        let counts = self.rows("SELECT id, member_count FROM groups").await;
        let count =
            counts.iter().find(|row| of(row, 0) == group).map_or(0, |row| row.try_get_by_index::<i64>(1).unwrap());
        (members, usize::try_from(count).unwrap())
    }

    async fn rows(&self, sql: &str) -> Vec<QueryResult> {
        self.0.query_all_raw(Statement::from_string(self.0.get_database_backend(), sql)).await.unwrap()
    }
}
