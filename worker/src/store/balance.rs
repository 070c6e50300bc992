//! The ledger by sequence: what is settled of a range of the log, and what is not.

use std::collections::BTreeMap;

use protocol::id::WorkspaceId;
use protocol::message::operator::WorkspaceBalance;
use sea_orm::{FromQueryResult, Statement};

use super::ledger::State;
use super::{Context, Store, StoreError, column, sequence, with_timeout};

/// A stretch of sequences that SQL does not know, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
struct Gap {
    first: i64,
    last: i64,
}

#[derive(Debug, FromQueryResult)]
struct Count {
    workspace: Option<String>,
    state: String,
    operations: i64,
}

impl Store {
    /// The sequences from `first` to `last` that are not settled, in order; none if there are more than `most`.
    pub async fn unsettled(&self, first: u64, last: u64, most: usize) -> Result<Option<Vec<u64>>, StoreError> {
        let doing = "reading which sequences are not settled";
        let (from, end) = (column(first), column(last));
        let sql = format!(
            "SELECT before + 1 AS first, sequence - 1 AS last FROM (\
                SELECT sequence, LAG(sequence, 1, CAST({from} - 1 AS bigint)) OVER (ORDER BY sequence) AS before FROM (\
                    SELECT sequence FROM operations WHERE sequence BETWEEN {from} AND {end} \
                    UNION SELECT sequence FROM settled_copies WHERE sequence BETWEEN {from} AND {end} \
                    UNION SELECT CAST({end} + 1 AS bigint) AS sequence\
                ) AS known\
            ) AS steps WHERE sequence > before + 1 ORDER BY sequence LIMIT {}",
            most.saturating_add(1)
        );
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let gaps =
            with_timeout(doing, async { Gap::find_by_statement(statement).all(self.reader()).await.context(doing) });
        let mut unsettled = Vec::new();
        for gap in gaps.await? {
            for number in gap.first..=gap.last {
                if unsettled.len() == most {
                    return Ok(None);
                }
                unsettled.push(sequence(number));
            }
        }
        Ok(Some(unsettled))
    }

    /// What is settled from `first` to `last`, by workspace.
    pub async fn settled_by_workspace(&self, first: u64, last: u64) -> Result<Balances, StoreError> {
        let doing = "counting what is settled";
        let (first, last) = (column(first), column(last));
        let sql = format!(
            "SELECT workspace, state, COUNT(*) AS operations FROM operations \
             WHERE sequence BETWEEN {first} AND {last} GROUP BY workspace, state \
             UNION ALL SELECT workspace, CASE reason WHEN 'dead-letter' THEN 'dead' ELSE 'copy' END AS state, \
             COUNT(*) AS operations FROM settled_copies AS copies \
             WHERE sequence BETWEEN {first} AND {last} \
             AND NOT EXISTS (SELECT 1 FROM operations WHERE operations.sequence = copies.sequence) GROUP BY workspace, 2"
        );
        let statement = Statement::from_string(self.reader().get_database_backend(), sql);
        let counts =
            with_timeout(doing, async { Count::find_by_statement(statement).all(self.reader()).await.context(doing) });
        let mut balances = Balances::default();
        for Count { workspace, state, operations } in counts.await? {
            let balance = balances.of(workspace.and_then(|id| WorkspaceId::try_from(id).ok()));
            let count = match state.as_str() {
                state if state == State::Applied.as_str() => &mut balance.applied,
                state if state == State::Rejected.as_str() => &mut balance.rejected,
                state if state == State::Superseded.as_str() => &mut balance.rejected,
                state if state == State::Dead.as_str() => &mut balance.dead,
                _ => &mut balance.copies,
            };
            *count += sequence(operations);
        }
        Ok(balances)
    }
}

/// Balances by workspace; what names none is by itself.
#[derive(Debug, Default)]
pub struct Balances(BTreeMap<Option<WorkspaceId>, WorkspaceBalance>);

impl Balances {
    /// The balance of a workspace.
    pub fn of(&mut self, workspace: Option<WorkspaceId>) -> &mut WorkspaceBalance {
        let empty = WorkspaceBalance { workspace: workspace.clone(), ..WorkspaceBalance::default() };
        self.0.entry(workspace).or_insert(empty)
    }

    /// All of them, by workspace.
    pub fn into_list(self) -> Vec<WorkspaceBalance> {
        self.0.into_values().collect()
    }
}
