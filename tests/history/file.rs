//! A history as JSON lines, one attempt each, the snapshot last: a failed run can be judged again.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Attempt, History, Micros, Snapshot};

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    ClockStep(Micros),
    Standstill(Micros, Micros),
    Attempt(Attempt),
    Snapshot(Snapshot),
}

impl History {
    /// Writes the history, and the snapshot if one could be taken.
    pub(crate) fn save(&self, snapshot: Option<&Snapshot>, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        let steps = self.clock_steps.iter().copied().map(Line::ClockStep);
        let standstills = self.standstills.iter().map(|(from, to)| Line::Standstill(*from, *to));
        let attempts = self.attempts.iter().cloned().map(Line::Attempt);
        for line in steps.chain(standstills).chain(attempts).chain(snapshot.cloned().map(Line::Snapshot)) {
            serde_json::to_writer(&mut file, &line)?;
            file.write_all(b"\n")?;
        }
        file.flush()
    }

    /// Reads what [`Self::save`] wrote.
    pub(crate) fn load(path: &Path) -> io::Result<(Self, Option<Snapshot>)> {
        let (mut history, mut snapshot) = (Self::default(), None);
        for line in BufReader::new(std::fs::File::open(path)?).lines() {
            match serde_json::from_str(&line?)? {
                Line::ClockStep(step) => history.clock_steps.push(step),
                Line::Standstill(from, to) => history.standstills.push((from, to)),
                Line::Attempt(attempt) => history.attempts.push(attempt),
                Line::Snapshot(last) => snapshot = Some(last),
            }
        }
        Ok((history, snapshot))
    }
}
