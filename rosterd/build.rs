//! Tells which commit is built, for `rosterd --version`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ROSTERD_COMMIT");
    println!("cargo::rustc-env=ROSTERD_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
}

/// What the environment says, where there is no repository: in an image. Else, of a release, what git says.
///
/// A development build does not ask: it would be built again after each commit, with all tests.
fn commit() -> Option<String> {
    if let Some(given) = std::env::var_os("ROSTERD_COMMIT").filter(|given| !given.is_empty()) {
        return given.into_string().ok();
    }
    if std::env::var_os("PROFILE")? != "release" {
        return Some("development build".to_owned());
    }
    // Written at each commit and checkout. A file that is not there would run this script each time.
    let moves = git(&["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])?;
    if std::path::Path::new(&moves).is_file() {
        println!("cargo::rerun-if-changed={moves}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

/// One line that git says; none without git or a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
