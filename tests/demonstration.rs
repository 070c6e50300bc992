//! `rosterd demo`: one command that shows the whole system, and cleans up.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{ROSTERD, demo, signal, within};

#[tokio::test]
async fn the_demo_verifies_everything_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let said = demo(folder.path()).await.expect_success();
    let shown = format!("{}{}", said.stdout, said.stderr);
    assert!(shown.contains("500") && shown.contains("20"), "{shown}");
    assert_eq!(shown.matches(".cmd.").count(), 3, "three dead letters are shown: {shown}");
    assert!(shown.contains("  people ") && shown.contains("/500\n"), "people are counted as people: {shown}");
    assert!(shown.contains("was killed (SIGKILL), starting it again"), "{shown}");
    let own = folder.path().display().to_string();
    let wide: Vec<&str> = shown.lines().filter(|line| line.chars().count() > 80 && !line.contains(&own)).collect();
    assert!(wide.is_empty(), "wider than 80 columns: {wide:#?}");
    expect_nothing_left(folder.path()).await;
}

/// Told to end while it starts, and in the middle of its work.
#[tokio::test]
async fn an_interrupted_demo_leaves_no_process_and_no_folder() {
    for (moment, signal) in [("  broker", Signal::INT), ("  people", Signal::INT), ("  people", Signal::TERM)] {
        assert_eq!(end_at(moment, signal).await, Some(130), "{signal:?} at {moment}");
    }
}

#[tokio::test]
async fn a_demo_that_is_killed_leaves_nothing_either() {
    assert_eq!(end_at("  people", Signal::KILL).await, None);
}

/// Runs a demo until it says a line that begins like this, then sends the signal; its exit code.
async fn end_at(moment: &str, ending: Signal) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(ROSTERD);
    command.args(["demo", "--users", "2000"]).env("TMPDIR", folder.path()).kill_on_drop(true);
    let mut running = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().expect("it says what it does").starts_with(moment) {}
    signal(running.id().unwrap(), ending);
    let rest = async { while let Ok(Some(_)) = lines.next_line().await {} };
    let (status, ()) = futures::join!(running.wait(), rest);
    expect_nothing_left(folder.path()).await;
    status.unwrap().code()
}

/// What is ended by its guard needs a moment.
async fn expect_nothing_left(folder: &Path) {
    let own = folder.display().to_string();
    within(Duration::from_secs(5), "no process of the demo runs", async || {
        command_lines().all(|line| !line.contains(&own)).then_some(())
    })
    .await;
    within(Duration::from_secs(5), "the folder of the demo is gone", async || {
        std::fs::read_dir(folder).unwrap().next().is_none().then_some(())
    })
    .await;
}

/// The command line of every process.
fn command_lines() -> impl Iterator<Item = String> {
    let entries = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    entries.filter_map(|path| std::fs::read(path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
}
