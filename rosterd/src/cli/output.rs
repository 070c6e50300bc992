//! Results on standard output: a table for people, or one JSON object.

use std::io::{ErrorKind, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use protocol::time::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// Prints a result in the chosen form. Neither has colours.
pub fn print(format: Format, value: &impl Serialize, table: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => table(),
        Format::Json => serde_json::to_string_pretty(value)?,
    };
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        // The program behind the pipe has read what it wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A value for machines; the members that are named are times, which people can read, too.
pub(super) fn with_times(value: &impl Serialize, times: &[&str]) -> Value {
    let mut value = json!(value);
    for name in times {
        let time = value.get(name).and_then(Value::as_i64).map(Timestamp::from_millis);
        if let (Some(member), Some(time)) = (value.get_mut(name), time) {
            *member = json!(time.to_string());
        }
    }
    value
}

/// Rows under a header, columns separated by spaces. Names and subjects cannot steer the terminal.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| cell.replace(char::is_control, "\u{fffd}")));
    }
    table.to_string().lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let shown = table(["ID", "NAME"], [["acme".to_owned(), "Acme\u{1b}[2J\nInc.".to_owned()]]);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
}
