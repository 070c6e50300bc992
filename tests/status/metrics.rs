//! A page of metrics as a process shows it, and the table in which they are documented.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::Part;
use crate::harness::program::find_or_install;

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Metrics(String);

impl Metrics {
    pub(super) async fn of(part: &Part) -> Self {
        Self(part.metrics().await)
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// The sum of the samples that have all these labels; not a number without any.
    pub(super) fn value(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.0.lines().filter_map(|line| line.rsplit_once(' '));
        let wanted = samples.filter(|(series, _)| {
            let (own, having) = series.split_once('{').unwrap_or((series, ""));
            own == name && labels.iter().all(|label| having.contains(label))
        });
        let values: Vec<f64> = wanted.map(|(_, value)| value.parse().unwrap()).collect();
        if values.is_empty() { f64::NAN } else { values.iter().sum() }
    }

    /// Each name with its type.
    pub(super) fn families(&self) -> BTreeSet<String> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(str::to_owned).collect()
    }
}

/// The names that the document has under these headings, with their types.
pub(super) fn documented(headings: &[&str]) -> BTreeSet<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md")).unwrap();
    let sections = text.split("\n## ").filter(|section| headings.iter().any(|heading| section.starts_with(heading)));
    let rows = sections.flat_map(str::lines).filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        format!("{} {}", cells[1].trim_matches('`'), cells[2])
    })
    .collect()
}

/// `promtool check metrics`.
pub(super) async fn lint(page: &str) {
    let program = find_or_install("promtool", "prometheus");
    let page = page.to_owned();
    let linted = tokio::task::spawn_blocking(move || {
        let mut promtool = Command::new(program);
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut promtool = promtool.spawn().unwrap();
        promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        promtool.wait_with_output().unwrap()
    });
    let said = linted.await.unwrap();
    let text = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && text.is_empty(), "{}", String::from_utf8_lossy(&text));
}
