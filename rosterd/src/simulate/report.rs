//! The result of a run, for people and as JSON.

use std::fmt;

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use serde::Serialize;

use super::directory::Difference;
use super::measure::Measurement;

/// What was done, how fast, and everything that is not as it must be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The run's name, part of all names that it made.
    pub run: String,
    /// How many people must be there, active or not.
    pub people: usize,
    /// How many groups must be there.
    pub groups: usize,
    /// How many memberships must be there.
    pub memberships: usize,
    /// How many people were created and deleted again.
    pub deleted: usize,
    /// From the first request to the last write's answer.
    pub writing_seconds: f64,
    /// The same with verification.
    pub seconds: f64,
    /// Figures by kind of operation.
    pub operations: Vec<Measurement>,
    /// Operations that failed for good. A 409 after a try of unknown fate is none.
    pub errors: Vec<OperationError>,
    /// How what is there differs from what was acknowledged.
    pub differences: Vec<Difference>,
}

/// An operation that failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationError {
    /// Whose operation it was, by the provider's own id.
    pub external_id: String,
    /// What it was.
    pub operation: String,
    /// Why it failed.
    pub why: String,
}

impl Report {
    /// Whether nothing failed and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.differences.is_empty()
    }

    /// The figures as a table that fits 80 columns.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
        table.set_header(["operation", "count", "errors", "retries", "p50 ms", "p99 ms", "max ms", "/s"]);
        for one in &self.operations {
            table.add_row([
                one.operation.label().to_owned(),
                one.count.to_string(),
                one.errors.to_string(),
                one.retries.to_string(),
                milliseconds(one.p50_ms),
                milliseconds(one.p99_ms),
                milliseconds(one.max_ms),
                format!("{:.0}", one.rate),
            ]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        // Without the padding of the outer columns.
        let text = table.to_string();
        let inner = |line: &str| line.chars().skip(1).collect::<String>().trim_end().to_owned();
        text.lines().map(inner).collect::<Vec<_>>().join("\n")
    }
}

/// Tenths of what takes seconds tell nothing.
fn milliseconds(latency: f64) -> String {
    if latency < 1_000.0 { format!("{latency:.1}") } else { format!("{latency:.0}") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.table())?;
        for OperationError { external_id, operation, why } in &self.errors {
            writeln!(f, "error: {operation} of {external_id}: {why}")?;
        }
        for difference in &self.differences {
            writeln!(f, "difference: {difference}")?;
        }
        let Self { people, groups, memberships, deleted, seconds, .. } = self;
        let left = if *deleted == 1 { "1 person" } else { &format!("{deleted} people") };
        writeln!(f, "{} people and {groups} groups arrived; {left} left again", people + deleted)?;
        write!(f, "{people} people, {groups} groups, {memberships} memberships: ")?;
        if self.is_clean() {
            writeln!(f, "all verified,\nnothing missing, nothing doubled, in {seconds} s")
        } else {
            writeln!(f, "{} errors, {} differences, in {seconds} s", self.errors.len(), self.differences.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::simulate::measure::Operation;

    fn report() -> Report {
        Report {
            run: "r1".to_owned(),
            people: 2,
            groups: 1,
            memberships: 2,
            deleted: 0,
            writing_seconds: 0.5,
            seconds: 1.0,
            operations: Vec::new(),
            errors: Vec::new(),
            differences: Vec::new(),
        }
    }

    #[test]
    fn a_clean_report_says_that_all_is_verified() {
        assert!(report().is_clean());
        assert!(report().to_string().contains("all verified"));
    }

    #[test]
    fn the_figures_fit_80_columns() {
        let slow = |operation| Measurement {
            operation,
            count: 1_000_000,
            errors: 999_999,
            retries: 999_999,
            p50_ms: 179_999.9,
            p99_ms: 179_999.9,
            max_ms: 179_999.9,
            rate: 1_234.0,
        };
        let quick = Measurement { p50_ms: 6.5, errors: 0, retries: 0, ..slow(Operation::Probe) };
        let operations = vec![quick, slow(Operation::RemoveMember)];
        let table = Report { operations, ..report() }.table();
        expect![[r"
            operation         count   errors   retries   p50 ms   p99 ms   max ms     /s
            ─────────────────────────────────────────────────────────────────────────────
            probe           1000000        0         0      6.5   180000   180000   1234
            remove member   1000000   999999    999999   180000   180000   180000   1234"]]
        .assert_eq(&table);
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }

    #[test]
    fn every_error_and_every_difference_is_listed() {
        let error = OperationError {
            external_id: "r1-u0".to_owned(),
            operation: "create user".to_owned(),
            why: "500".to_owned(),
        };
        let difference = Difference::StillThere { id: "u1".to_owned() };
        let report = Report { errors: vec![error], differences: vec![difference], ..report() };
        let text = report.to_string();
        assert!(!report.is_clean());
        assert!(text.contains("error: create user of r1-u0: 500\n"), "{text}");
        assert!(text.contains("difference: u1 was deleted and is still there\n"), "{text}");
        assert!(text.contains("1 errors, 1 differences"), "{text}");
    }
}
