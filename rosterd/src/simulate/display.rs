//! Shows how far a run is: a bar on a terminal, else a line at each tenth. To standard error, without colours.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::Progress;
use crate::terminal::{Shown, say};

/// Where progress is shown, until this is dropped.
pub(crate) enum Display {
    /// A bar that is drawn anew.
    Bar(Shown),
    /// Lines; the last tenth that was printed.
    Lines(AtomicUsize),
}

impl Display {
    /// A bar if standard error is a terminal that can move its cursor.
    pub(crate) fn for_stderr() -> Self {
        let bar = ProgressBar::new(0);
        if !std::io::stderr().is_terminal() || bar.is_hidden() {
            return Self::Lines(AtomicUsize::new(0));
        }
        let style = ProgressStyle::with_template("  {msg:<10} {bar:32} {human_pos}/{human_len}  {elapsed}");
        Self::Bar(Shown::new(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }))
    }

    /// Shows one step: how much of the phase is done, and of what.
    pub(crate) fn show(&self, Progress { phase, done, of, answered, total }: Progress) {
        match self {
            Self::Bar(Shown(bar)) => {
                bar.set_length(u64::try_from(of).unwrap_or(u64::MAX));
                bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
                bar.set_message(phase.to_string());
            }
            Self::Lines(last) => {
                let tenth = answered * 10 / total.max(1);
                if last.swap(tenth, Ordering::Relaxed) < tenth {
                    say(&format!("  {phase:<10} {done}/{of}"));
                }
            }
        }
    }
}
