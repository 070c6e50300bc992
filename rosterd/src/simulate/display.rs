//! Shows how far a run is: a bar on a terminal, else a line at each tenth. To standard error, without colours.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::Progress;

/// Where progress is shown.
pub(crate) enum Display {
    /// A bar that is drawn anew.
    Bar(ProgressBar),
    /// Lines; the last tenth that was printed.
    Lines(AtomicUsize),
}

impl Display {
    /// A bar if standard error is a terminal that can move its cursor.
    pub(crate) fn for_stderr(total: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX));
        if !std::io::stderr().is_terminal() || bar.is_hidden() {
            return Self::Lines(AtomicUsize::new(0));
        }
        let style = ProgressStyle::with_template("  {msg:<10} {bar:32} {human_pos}/{human_len}  {elapsed}");
        Self::Bar(match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// Shows one step.
    pub(crate) fn show(&self, Progress { phase, answered, total }: Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(phase.to_string());
                bar.set_position(u64::try_from(answered).unwrap_or(u64::MAX));
            }
            Self::Lines(last) => {
                let tenth = answered * 10 / total.max(1);
                if last.swap(tenth, Ordering::Relaxed) < tenth {
                    eprintln!("  {phase:<10} {answered}/{total}");
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
