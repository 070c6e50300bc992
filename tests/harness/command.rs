//! `rosterd` as an operator runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::ROSTERD;

/// How long a command may take; the demo, unoptimised, is the longest.
const LIMIT: Duration = Duration::from_mins(2);

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Exit status 0.
    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        self.expect_failure(0)
    }

    /// This exit status.
    #[track_caller]
    pub(crate) fn expect_failure(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// Runs the demo with all its temporary files in this folder.
pub(crate) async fn demo(folder: &Path) -> Said {
    rosterd(&["demo"], &[("TMPDIR", &folder.display().to_string())]).await
}

/// Runs rosterd to its end.
pub(crate) async fn rosterd(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(ROSTERD);
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    let output =
        timeout(LIMIT, command.output()).await.unwrap_or_else(|_| panic!("{arguments:?} took too long")).unwrap();
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
